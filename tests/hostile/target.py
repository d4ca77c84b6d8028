"""What an attacker and a polite client know of the site: addresses and files."""

import json
import socket
import ssl
from pathlib import Path

import trio
from attrs import asdict, frozen


@frozen
class TargetSite:
    """A site, as others see it."""

    port: int
    checkout: Path
    state: Path
    authority: Path | None = None
    """Who signed its certificate, as a file; None if it speaks HTTP."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "TargetSite":
        fields = json.loads(text)
        authority = fields["authority"]
        return cls(
            fields["port"],
            Path(fields["checkout"]),
            Path(fields["state"]),
            Path(authority) if authority else None,
        )

    def tls(self) -> ssl.SSLContext | None:
        """What a client needs to connect, if it speaks TLS."""
        return ssl.create_default_context(cafile=self.authority) if self.authority else None

    async def connect(self, address: str | None = None) -> trio.SocketStream:
        """A connection without TLS. Small buffers, so that what was sent has nearly been read."""
        sock = trio.socket.socket()
        if address is not None:
            await sock.bind((address, 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        await sock.connect(("127.0.0.1", self.port))
        return trio.SocketStream(sock)
