"""What the backend is told of the client: X-Forwarded-*, X-Request-Id, Via (RFC 9110, 7.6.3).

What a client itself says of these is believed only if it is a trusted proxy.
"""

from blue_green.http.request import Request
from blue_green.proxy.client import Client


def lines(client: Client, request: Request, request_id: bytes) -> bytes:
    """The lines for one request."""
    told = request.told
    if not told and request.host and request.version == b"1.1":
        return b"%bX-Forwarded-Host: %b\r\nX-Request-Id: %b\r\n" % (
            client.forwarded, request.host, request_id
        )  # fmt: skip
    believed = told if client.trusted else {}
    seen = (believed.get(b"x-forwarded-for"), client.address.encode())
    via = (told.get(b"via"), b"%b blue-green" % request.version)
    ours = {
        b"x-forwarded-for": b", ".join(filter(None, seen)),
        b"x-forwarded-proto": believed.get(b"x-forwarded-proto", client.scheme),
        b"x-forwarded-host": believed.get(b"x-forwarded-host") or request.host or b"",
        b"via": b", ".join(filter(None, via)),
        b"x-request-id": request_id,
    }
    fields = [(name.title(), value) for name, value in {**believed, **ours}.items()]
    return b"".join(b"%b: %b\r\n" % (name, value) for name, value in fields if value)
