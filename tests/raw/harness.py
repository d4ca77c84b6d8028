"""The real proxy in this process, a backend that records what reaches it, and raw connections.

Nothing of ours is replaced: a real gate, a real listener, and real sockets on both sides. What
the proxy says, to either side, is understood by a fresh h11 each time: a judge that does not know
what was meant.
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import h11
import trio
import trio.testing
from attrs import Factory, define, frozen

from blue_green.config.settings import Endpoint, HoldSettings, ProxySettings
from blue_green.http.sockets import open_socket
from blue_green.http.transport import RESET
from blue_green.proxy.listener import Listener
from blue_green.proxy.pool import Pool
from blue_green.routing.gate import Gate
from blue_green.routing.lease import Target
from tests.raw.tls_client import TlsStream
from tests.support.site import until

PATIENCE = 10.0

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = 0.3
"""Seconds for whatever is to be too late."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GOOD = b"GET /good HTTP/1.1\r\nHost: good.example\r\n\r\n"
GOOD_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"


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


@define
class RunningProxy:
    """A running proxy, what is behind it, and whoever connected to it."""

    port: int
    gate: Gate
    listener: Listener
    pool: Pool
    backend: ScriptedBackend
    target: Target
    nursery: trio.Nursery
    speaks_tls: bool = False
    redirect_port: int = 0
    clients: list[Peer] = Factory(list)

    async def connect(self) -> Peer:
        """A new connection, with hands shaken where that is the custom."""
        if not self.speaks_tls:
            return await self.connect_plainly()
        stream = TlsStream(await trio.open_tcp_stream("127.0.0.1", self.port))
        self.clients.append(Peer(stream))
        with patience("shaking hands", stream.tls.version):
            await stream.shake_hands()
        return self.clients[-1]

    async def connect_plainly(self, port: int = 0) -> Peer:
        """A new connection without TLS."""
        self.clients.append(Peer(await trio.open_tcp_stream("127.0.0.1", port or self.port)))
        return self.clients[-1]

    async def ask(self, *pieces: bytes) -> Peer:
        """A new connection on which these bytes were sent."""
        client = await self.connect()
        await client.send(*pieces)
        return client

    async def until_backend_has(self, count: int) -> None:
        """Wait until so many requests have begun."""
        await until(f"{count} requests", lambda: len(self.backend.heads) >= count)

    async def until_drained(self) -> None:
        """Wait until no request has a claim on the backend."""
        await until("no leases", lambda: not self.target.leases)


@asynccontextmanager
async def running(
    script: Script | None = None, *, hold: HoldSettings | None = None, **settings: Any
) -> AsyncIterator[RunningProxy]:
    """The proxy before such a backend; in the end, no lease may be left."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        backend = ScriptedBackend(script or says(OK))
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        gate = Gate(hold or HoldSettings())
        target = Target("127.0.0.1", port_of(listeners[0].socket), "blue", "a" * 40)
        gate.switch([target])
        sock = open_socket(Endpoint("127.0.0.1", 0))
        redirecting = [open_socket(Endpoint("127.0.0.1", 0))] if "tls" in settings else []
        made = ProxySettings(**{"access_log": False, **settings})
        pool = Pool(made.backend_keepalive)
        listener = Listener(made, gate, pool, [sock], redirecting=redirecting)
        proxy = RunningProxy(port_of(sock), gate, listener, pool, backend, target, nursery)
        if redirecting:
            proxy.speaks_tls, proxy.redirect_port = True, port_of(redirecting[0])
        nursery.start_soon(trio.serve_listeners, backend.serve, listeners)
        nursery.start_soon(gate.keep_ramping)
        nursery.start_soon(pool.run)
        nursery.start_soon(listener.run)
        try:
            yield proxy
            for client in proxy.clients:
                await trio.aclose_forcefully(client.stream)
            await proxy.until_drained()
        except Exception as error:  # noqa: BLE001 - it is raised again below, on its own
            failure = error
        finally:
            with trio.CancelScope(shield=True):
                for client in proxy.clients:
                    await trio.aclose_forcefully(client.stream)
            nursery.cancel_scope.cancel()
    if failure:
        raise failure


async def check_good_request_follows(proxy: RunningProxy) -> None:
    """A good request on a new connection is answered right away, whatever came before it."""
    client = await proxy.ask(GOOD)
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, b"good"), answer


async def check_is_kept(client: Peer) -> None:
    """The connection takes a further request."""
    await client.send(GOOD)
    answer = await client.answer()
    assert (answer.status, answer.body) == (200, b"good"), answer


async def check_is_closed(client: Peer) -> None:
    """Nothing more comes, and the connection ends in an orderly way."""
    assert await client.end() == b""
    assert not client.was_reset


async def check_is_refused(
    proxy: RunningProxy, client: Peer, statuses: Sequence[int]
) -> ParsedMessage:
    """The client gets one of these and is closed; nothing reached the backend."""
    answer = await client.answer()
    assert answer.status in statuses, answer
    assert answer.field(b"connection") == [b"close"]
    await check_is_closed(client)
    assert [bytes(peer.received) for peer in proxy.backend.connections if peer.received] == []
    await check_good_request_follows(proxy)
    return answer


async def until_descriptors_are(count: int) -> None:
    """Wait until this process has no more than so many open descriptors."""
    await until(f"at most {count} descriptors", lambda: descriptors() <= count)


def descriptors() -> int:
    """How many are open in this process, which holds both ends of everything."""
    return len(list(Path("/proc/self/fd").iterdir()))


def port_of(sock: socket.socket | trio.socket.SocketType) -> int:
    port: int = sock.getsockname()[1]
    return port


@contextmanager
def patience(what: str, seen: Callable[[], object]) -> Iterator[None]:
    """Give up after a while, and say what was seen until then."""
    with trio.move_on_after(PATIENCE) as scope:
        yield
    if scope.cancelled_caught:
        raise AssertionError(f"{what}: not within {PATIENCE:g} s; last seen: {seen()!r}")
