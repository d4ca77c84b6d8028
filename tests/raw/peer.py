"""One end of a raw connection, which parses what it receives with a fresh h11 each time.

h11 judges what the proxy sends without knowing what was meant.
"""

import socket

import h11
import trio
import trio.testing
from attrs import frozen

from blue_green.http.transport import RESET
from tests.raw.tls_client import TlsStream
from tests.raw.waiting import patience


class Gone(Exception):
    """The other side ended the connection; str() says what had come before."""


@frozen
class ParsedMessage:
    """A request or an answer as a fresh h11 understands it."""

    head: h11.Request | h11.Response
    body: bytes
    trailers: list[tuple[bytes, bytes]]
    interim: list[int]
    """The 1xx answers before this one."""
    raw: bytes

    @property
    def status(self) -> int:
        assert isinstance(self.head, h11.Response)
        return self.head.status_code

    @property
    def line(self) -> bytes:
        """The first line, as it came."""
        return self.raw.partition(b"\r\n")[0]

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Names as they were written, and values."""
        return self.head.headers.raw_items()

    def field(self, name: bytes) -> list[bytes]:
        """All values of one field; `name` in lower case."""
        return [value for key, value in self.head.headers if key == name]


class Peer:
    """One end of a connection, as raw as it gets, and everything that it received."""

    def __init__(self, stream: trio.SocketStream | TlsStream) -> None:
        self.stream = stream
        self.received = bytearray()
        self.unread = bytearray()
        self.was_reset = False
        self.gone = trio.Event()

    async def send(self, *pieces: bytes) -> None:
        """Send each piece, and let the others take it before the next."""
        for number, piece in enumerate(pieces):
            if number:
                await trio.testing.wait_all_tasks_blocked()
            with patience(f"sending {piece[:60]!r}", lambda: bytes(self.received)):
                await self.stream.send_all(piece)

    async def until(self, mark: bytes) -> bytes:
        """What comes up to and with the mark."""
        while (end := self.unread.find(mark)) < 0:
            await self._more(f"waiting for {mark!r}")
        return self._take(end + len(mark))

    async def exactly(self, count: int) -> bytes:
        while len(self.unread) < count:
            await self._more(f"waiting for {count} bytes")
        return self._take(count)

    async def some(self, most: int) -> bytes:
        """What comes, up to so many bytes; it is not remembered."""
        if not self.unread:
            await self._more("waiting for anything", remember=False)
        return self._take(most)

    async def next_head(self) -> bytes:
        """The next head, which stays unread."""
        head = await self.until(b"\r\n\r\n")
        self.unread[:0] = head
        return head

    async def request(self) -> ParsedMessage:
        """A whole request; `Gone` if it was never completed."""
        return await self._message(h11.Connection(h11.SERVER, 128 * 1024))

    async def answer(self, method: str = "GET") -> ParsedMessage:
        """A whole answer to a request with this method."""
        reader = h11.Connection(h11.CLIENT, 128 * 1024)
        reader.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
        reader.send(h11.EndOfMessage())
        return await self._message(reader)

    async def end(self) -> bytes:
        """What comes before the end of the connection, or of the other side's sending."""
        try:
            while True:
                await self._more("waiting for the end")
        except Gone:
            return self._take(len(self.unread))

    async def count(self, most: int | None = None) -> int:
        """Receive and forget so many bytes, or all until the end; how many they were."""
        total = len(self._take(len(self.unread)))
        while most is None or total < most:
            try:
                await self._more("counting", remember=False)
            except Gone:
                return total
            total += len(self._take(len(self.unread)))
        return total

    def has_nothing(self) -> bool:
        """Whether nothing at all has come that was not yet read, not even an end."""
        try:
            return not self.unread and not self._peek()
        except BlockingIOError:
            return True

    def small_buffers(self) -> None:
        """Let the kernel keep little, so that whoever sends too much is soon stopped."""
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.stream.setsockopt(socket.SOL_SOCKET, option, 64 * 1024)

    async def end_sending(self) -> None:
        await self.stream.send_eof()

    async def close(self) -> None:
        await self.stream.aclose()

    async def reset(self) -> None:
        """End the connection with RST."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await self.stream.aclose()

    def _peek(self) -> bytes:
        with socket.socket(fileno=socket.dup(self.stream.socket.fileno())) as twin:
            twin.setblocking(False)
            return twin.recv(1, socket.MSG_PEEK) or b"the end"

    def _take(self, count: int) -> bytes:
        data = bytes(self.unread[:count])
        del self.unread[:count]
        return data

    async def _more(self, what: str, *, remember: bool = True) -> None:
        data = b""
        with patience(what, lambda: bytes(self.received)):
            try:
                data = bytes(await self.stream.receive_some(64 * 1024))
            except trio.BrokenResourceError:
                self.was_reset = True
            except trio.ClosedResourceError:
                pass  # It was this side that ended it.
        if not data:
            self.gone.set()
            raise Gone(f"{what}: the connection ended after {bytes(self.unread)!r}")
        self.unread += data
        if remember:
            self.received += data

    async def _message(self, reader: h11.Connection) -> ParsedMessage:
        head: h11.Request | h11.Response | None = None
        body, raw, interim, ended = bytearray(), bytearray(), [], None
        while True:
            try:
                event = reader.next_event()
            except h11.RemoteProtocolError:
                if ended is None:
                    raise
                raise ended from None
            if event is h11.NEED_DATA:
                try:
                    if not self.unread:
                        await self._more("waiting for a message")
                except Gone as gone:
                    if self.was_reset:
                        raise
                    ended = gone
                piece = self._take(len(self.unread))
                raw += piece
                reader.receive_data(piece)
            elif isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Request | h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                assert isinstance(event, h11.EndOfMessage), (event, bytes(raw))
                break
        assert head is not None
        rest = reader.trailing_data[0]
        self.unread[:0] = rest
        raw_message = bytes(raw[: len(raw) - len(rest)])
        return ParsedMessage(head, bytes(body), event.headers.raw_items(), interim, raw_message)
