"""Forwarding headers for the backend: X-Forwarded-*, X-Request-Id, Via (RFC 9110, 7.6.3).

Values that a client sends itself are used only if it is a trusted proxy.
"""

from blue_green.http.request import Request
from blue_green.proxy.remote import Remote


def scheme(remote: Remote, request: Request) -> bytes:
    """How the client connected: to us, or to a trusted proxy that says so."""
    named = request.forwarding.get(b"x-forwarded-proto") if remote.trusted else None
    return named if named in (b"http", b"https") else remote.scheme


def is_secure(remote: Remote, request: Request) -> bool:
    """Whether the client uses https."""
    return scheme(remote, request) == b"https"


def lines(remote: Remote, request: Request, request_id: bytes, stripped: bytes = b"") -> bytes:
    """The header lines for one request, from whose path this prefix was stripped."""
    claims = request.forwarding
    if not claims and not stripped and request.host and request.version == remote.version:
        return b"%bX-Forwarded-Host: %b\r\nX-Request-Id: %b\r\n" % (
            remote.forwarded, request.host, request_id
        )  # fmt: skip
    trusted = claims if remote.trusted else {}
    seen = (trusted.get(b"x-forwarded-for"), remote.address.encode())
    prefix = trusted.get(b"x-forwarded-prefix", b"").rstrip(b"/") + stripped
    via = (claims.get(b"via"), b"%b blue-green" % request.version)
    ours = {
        b"x-forwarded-for": b", ".join(filter(None, seen)),
        b"x-forwarded-proto": trusted.get(b"x-forwarded-proto", remote.scheme),
        b"x-forwarded-host": trusted.get(b"x-forwarded-host") or request.host or b"",
        b"x-forwarded-prefix": prefix,
        b"via": b", ".join(filter(None, via)),
        b"x-request-id": request_id,
    }
    fields = [(name.title(), value) for name, value in {**trusted, **ours}.items()]
    return b"".join(b"%b: %b\r\n" % (name, value) for name, value in fields if value)
