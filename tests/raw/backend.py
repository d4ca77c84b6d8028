"""A backend that records every byte, and answers each request as a script says."""

from collections.abc import Awaitable, Callable

import trio
from attrs import Factory, define

from tests.raw.messages import GOOD_ANSWER
from tests.raw.peer import Gone, ParsedMessage, Peer

Script = Callable[[Peer], Awaitable[None]]
"""What a backend does with one request, whose head has come and is unread."""


def says(*pieces: bytes, close: bool = False) -> Script:
    """Takes a whole request and answers with these bytes, piece by piece."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(*pieces)
        if close:
            await peer.close()

    return script


def in_turn(*scripts: Script) -> Script:
    """One script for each request, and the last one for all others."""
    left = list(scripts)

    async def script(peer: Peer) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(peer)

    return script


async def drops(peer: Peer) -> None:
    """Takes a request and closes without a word."""
    await peer.request()
    await peer.close()


async def silence(peer: Peer) -> None:
    """Takes everything, and never says anything."""
    await peer.end()
    raise Gone


@define
class ScriptedBackend:
    """Records every connection and every byte; does with each request what the script says."""

    script: Script
    connections: list[Peer] = Factory(list)
    heads: list[bytes] = Factory(list)
    """Of all requests that began, but the good one that tests end with."""
    requests: list[ParsedMessage] = Factory(list)
    """Those that were complete and that a script took whole."""

    async def serve(self, stream: trio.SocketStream) -> None:
        peer = _Recorded(stream, self)
        self.connections.append(peer)
        try:
            while stream.socket.fileno() >= 0:
                head = await peer.next_head()
                if head.startswith(b"GET /good "):
                    await Peer.request(peer)
                    await peer.send(GOOD_ANSWER)
                else:
                    self.heads.append(head)
                    await self.script(peer)
        except (Gone, trio.BrokenResourceError):
            pass
        finally:
            peer.gone.set()
            await trio.aclose_forcefully(stream)


class _Recorded(Peer):
    """A backend's end, whose whole requests the backend remembers."""

    def __init__(self, stream: trio.SocketStream, backend: ScriptedBackend) -> None:
        super().__init__(stream)
        self._backend = backend

    async def request(self) -> ParsedMessage:
        request = await super().request()
        self._backend.requests.append(request)
        return request
