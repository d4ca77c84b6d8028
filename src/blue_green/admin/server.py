"""A small HTTP/1.1 server: for health checks, scrapes, and whatever else is in its routes.

The rules:

- Host may be missing: many health checks send none. A request that has one is not asked which,
  unless it is for what browsers show: see `admin.names`.
- Only what is posted to a route that wants to read it is read, up to a bound. Any other request
  that has a body is answered, and the connection is closed.
- A client that is silent or slow costs nobody else anything. When all places are taken, a new
  client gets the place of the one that has been silent for longest.
- A stream goes on until its client goes away, or does not take what it is sent. There are few, so
  that they leave places for the others.
"""

import logging
import re
import socket
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from contextlib import suppress
from email.utils import formatdate
from functools import partial
from http import HTTPStatus

import h11
import trio
from attrs import define, field, frozen

from blue_green.admin.allowed_hosts import is_allowed_host
from blue_green.admin.request_body import Message, read_body
from blue_green.http.heads import MAX_LINES, check_lines
from blue_green.system import throttle

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 32
MAX_STREAMS = 8
STREAM_BUFFER = 64 * 1024
"""Bytes of a stream that the kernel keeps for a client: one that reads nothing is soon known."""
MAX_HEAD = 16 * 1024
HEAD_TIMEOUT = 5.0
"""Seconds for a request's head once it has begun."""
IDLE_TIMEOUT = 75.0
"""Seconds between requests: more than the minute at which many scrape."""
ANSWER_TIMEOUT = 10.0
"""Seconds to read a body and make an answer, and for the client to take it, or a piece of a
stream."""
LAST_WORDS = 1.0
"""Seconds in which a client may take an answer that ends its connection."""

EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
HOST = re.compile(rb"(?im)^host[ \t]*:")


@frozen
class Reply:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(factory=dict)
    """Besides those that every answer has."""


Send = Callable[[bytes], Awaitable[None]]


@frozen
class Stream:
    """An answer that goes on for as long as its client is there."""

    content_type: str
    send_all: Callable[[Send], Awaitable[None]]
    """Gets what sends a piece, and sends one after the other until it is cancelled."""


Handler = Callable[[], Awaitable[Reply | Stream]]


@frozen
class Reading:
    """A handler that reads the request's body."""

    handler: Callable[[Message], Awaitable[Reply]]
    most: int
    """Bytes. A larger body is answered 413."""


Routes = Mapping[str, Mapping[str, Handler | Reading]]
"""For each path, what answers each method. HEAD is answered as GET is, without the body."""


@define(eq=False)
class _Connection:
    """One client, and what it sent that was not used yet."""

    stream: trio.SocketStream
    unread: bytes = b""
    http: h11.Connection = field(factory=lambda: h11.Connection(h11.SERVER))
    scope: trio.CancelScope = field(factory=trio.CancelScope)


class Server:
    """Answers on these sockets what the routes say."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        routes: Routes,
        for_browsers: Container[str] = (),
    ) -> None:
        """`for_browsers` are the paths of what no other site may read in somebody's browser."""
        self._sockets = sockets
        self._routes = routes
        self._for_browsers = for_browsers
        self._count = 0
        self._streams = 0
        self._silent: dict[_Connection, None] = {}
        """Those that we wait for, the one that is silent for longest first."""

    async def run(self) -> None:
        """Serve until cancelled. One client's trouble is nobody else's."""
        listeners = [
            trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for sock in self._sockets
        ]
        await trio.serve_listeners(self._serve, listeners)

    async def _serve(self, stream: trio.SocketStream) -> None:
        self._count += 1
        try:
            async with stream:
                if self._count <= MAX_CONNECTIONS or self._make_room():
                    connection = _Connection(stream)
                    with suppress(trio.BrokenResourceError), connection.scope:  # It went away.
                        await self._serve_all(connection)
        except Exception:
            logger.exception("a connection to the admin address ended with an error of ours")
        finally:
            self._count -= 1

    def _make_room(self) -> bool:
        """End the connection that has been silent for longest; False if there is none."""
        oldest = next(iter(self._silent), None)
        if oldest is not None:
            del self._silent[oldest]
            oldest.scope.cancel()
        return oldest is not None

    async def _serve_all(self, connection: _Connection) -> None:
        may_follow = True
        while may_follow:
            head = await self._read_head(connection)
            if not head:
                return
            with trio.move_on_after(ANSWER_TIMEOUT) as in_time:
                reply, is_head = await self._understand(connection, head)
                if isinstance(reply, Reply):
                    may_follow = await _send_reply(connection, reply, is_head=is_head)
            if in_time.cancelled_caught:
                return
            if isinstance(reply, Stream):
                await self._send_stream(connection, reply)
                return
        with trio.move_on_after(LAST_WORDS):
            await _part(connection.stream)

    async def _read_head(self, connection: _Connection) -> bytes:
        """The next head; one that is too long as far as it came, and nothing if none comes."""
        self._silent[connection] = None
        try:
            with trio.move_on_after(IDLE_TIMEOUT) as in_time:
                while True:
                    # RFC 9112 section 2.2: empty lines before a request are to be ignored.
                    connection.unread = data = connection.unread.lstrip(b"\r\n")
                    end = EMPTY_LINE.search(data)
                    if end or len(data) > MAX_HEAD:
                        cut = end.end() if end else len(data)
                        head, connection.unread = data[:cut], data[cut:]
                        return head
                    if data:
                        begun = trio.current_time()
                        in_time.deadline = min(in_time.deadline, begun + HEAD_TIMEOUT)
                    more = await connection.stream.receive_some(MAX_HEAD)
                    if not more:
                        return b""
                    connection.unread += more
            return b""
        finally:
            self._silent.pop(connection, None)

    async def _understand(
        self, connection: _Connection, head: bytes
    ) -> tuple[Reply | Stream, bool]:
        """What to answer to a request with this head, and whether it is a HEAD."""
        if len(head) > MAX_HEAD:
            return Reply(431, f"The request's head is over {MAX_HEAD} bytes.\n".encode()), False
        if head.count(b"\n") > MAX_LINES + 2:
            return Reply(431, f"The request has over {MAX_LINES} header lines.\n".encode()), False
        await throttle.wait()
        http = connection.http
        try:
            check_lines(line.removesuffix(b"\r") for line in head.split(b"\n"))
        except ValueError as error:
            return Reply(400, f"The request is malformed: {error}.\n".encode()), False
        http.receive_data(_with_host(head))
        try:
            request = http.next_event()
            http.next_event()  # Its end, unless there is a body.
            assert isinstance(request, h11.Request)
            return await self._reply(connection, request), request.method == b"HEAD"
        except h11.RemoteProtocolError as error:
            return Reply(error.error_status_hint, f"{error}\n".encode()), False

    async def _reply(self, connection: _Connection, request: h11.Request) -> Reply | Stream:
        method, path = request.method.decode(), request.target.partition(b"?")[0].decode("latin-1")
        methods = self._routes.get(path)
        if methods is None:
            return Reply(404, f"Here are: {', '.join(sorted(self._routes))}\n".encode())
        handler = methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            # RFC 9110 section 15.5.6: with 405 come the methods that would have been served.
            allow = ", ".join([*methods, "HEAD"] if "GET" in methods else methods)
            return Reply(405, f"Here one can use: {allow}\n".encode(), headers={"Allow": allow})
        if path in self._for_browsers and method in ("GET", "HEAD"):
            host = dict(request.headers)[b"host"].decode("latin-1")
            if not is_allowed_host(host):
                return Reply(421, b"Ask for this by address, or through ssh -L.\n")
        if isinstance(handler, Reading):
            body = await self._read_body(connection, request, handler.most)
            if body is None:
                return Reply(413, f"The request's body is over {handler.most} bytes.\n".encode())
            handler = partial(handler.handler, Message(list(request.headers), body))
        try:
            reply = await handler()
        except Exception:
            logger.exception("a request to the admin address ended with an error of ours")
            return Reply(500, b"The supervisor made an error, which is in its log.\n")
        if isinstance(reply, Stream) and method == "HEAD":
            return Reply(200, b"", reply.content_type)
        if isinstance(reply, Stream) and self._streams >= MAX_STREAMS:
            why = f"{MAX_STREAMS} others read this already.\n"
            return Reply(503, why.encode(), headers={"Retry-After": "5"})
        return reply

    async def _read_body(
        self, connection: _Connection, request: h11.Request, most: int
    ) -> bytes | None:
        unread, connection.unread = connection.unread, b""
        self._silent[connection] = None
        try:
            return await read_body(connection.http, connection.stream, request, unread, most)
        finally:
            self._silent.pop(connection, None)

    async def _send_stream(self, connection: _Connection, stream: Stream) -> None:
        """Send it until its client goes away, or does not take it."""
        http, transport = connection.http, connection.stream

        async def send(piece: bytes) -> None:
            with trio.move_on_after(ANSWER_TIMEOUT) as in_time:
                await transport.send_all(http.send(h11.Data(data=piece)) or b"")
            if in_time.cancelled_caught:
                connection.scope.cancel()
                await trio.lowlevel.checkpoint()

        self._streams += 1
        try:
            transport.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, STREAM_BUFFER)
            head = _head(200, {"Content-Type": stream.content_type})
            await transport.send_all(http.send(head) or b"")
            await stream.send_all(send)
        finally:
            self._streams -= 1


def _with_host(head: bytes) -> bytes:
    """h11 insists on a Host in HTTP/1.1, as it should (RFC 9112 section 3.2); here none matters."""
    if HOST.search(head):
        return head
    line, end, rest = head.partition(b"\n")
    return line + end + b"Host: admin\r\n" + rest


async def _send_reply(connection: _Connection, reply: Reply, *, is_head: bool = False) -> bool:
    """Send an answer; whether another request may follow on this connection."""
    http = connection.http
    headers = {"Content-Type": reply.content_type, "Content-Length": str(len(reply.body))}
    if http.their_state is not h11.DONE:
        headers["Connection"] = "close"  # The rest of the request will not be read.
    body = h11.Data(data=b"" if is_head else reply.body)
    events = [_head(reply.status, {**headers, **reply.headers}), body, h11.EndOfMessage()]
    await connection.stream.send_all(b"".join([http.send(event) or b"" for event in events]))
    if http.our_state is h11.DONE and http.their_state is h11.DONE:
        # What came after a body is the next request, whose head is to be looked at first.
        connection.unread = http.trailing_data[0] + connection.unread
        connection.http = h11.Connection(h11.SERVER)
        return True
    return False


def _head(status: int, headers: Mapping[str, str]) -> h11.Response:
    always = {
        "Date": formatdate(usegmt=True),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return h11.Response(
        status_code=status,
        reason=HTTPStatus(status).phrase,
        headers=list({**always, **headers}.items()),
    )


async def _part(stream: trio.SocketStream) -> None:
    """A close with unread input would throw away our last words (RFC 9112 section 9.6)."""
    await stream.send_eof()
    while await stream.receive_some():
        pass
