"""The keys of a WebSocket's opening handshake (RFC 6455 section 1.3).

A WebSocket over HTTP/2 has none (RFC 8441 section 5), but in HTTP/1.1 the backend asks for one.
"""

import os
from base64 import b64encode
from hashlib import sha1

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def new_key() -> bytes:
    """A fresh value for Sec-WebSocket-Key."""
    return b64encode(os.urandom(16))


def accept_for(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept with which a backend must respond to this key."""
    return b64encode(sha1(key + GUID).digest())
