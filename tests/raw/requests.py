"""Requests with some extra fields, and a request that is smuggled in a body."""


def get(*lines: bytes, target: bytes = b"/", version: bytes = b"1.1") -> bytes:
    """A request without a body, with exactly these header lines."""
    return b"\r\n".join([b"GET %b HTTP/%b" % (target, version), *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    head = [b"POST /p HTTP/" + version, b"Host: h", *lines, b"", b""]
    return b"\r\n".join(head) + body


CHUNKED = b"Transfer-Encoding: chunked"
SMUGGLED = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
UPGRADE = (b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: k")
