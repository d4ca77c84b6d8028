"""A small HTTP/1.1 server for programs: health checks, scrapes, and whatever is in its routes.

The rules:

- Host may be missing: many health checks send none. A request that has one is not asked which.
- Bodies are not read: a request that has one is answered, and the connection is closed.
- A client that is silent or slow costs nobody else anything. When all places are taken, a new
  client gets the place of the one that has been silent for longest.
"""

import logging
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus

import h11
import trio
from attrs import define, field, frozen

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 32
MAX_HEAD = 16 * 1024
HEAD_TIMEOUT = 5.0
"""Seconds for a request's head once it has begun."""
IDLE_TIMEOUT = 75.0
"""Seconds between requests: more than the minute at which many scrape."""
ANSWER_TIMEOUT = 10.0
"""Seconds to make an answer, and for the client to take it."""
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
    allow: str = ""
    """With 405: the methods that would have been served (RFC 9110 section 15.5.6)."""


Handler = Callable[[], Awaitable[Reply]]
Routes = Mapping[str, Mapping[str, Handler]]
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

    def __init__(self, sockets: Sequence[socket.socket], routes: Routes) -> None:
        self._sockets = sockets
        self._routes = routes
        self._count = 0
        self._silent: dict[_Connection, None] = {}
        """Those that wait for a request, the one that does so for longest first."""

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
                may_follow = await self._answer(connection, head)
            if in_time.cancelled_caught:
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

    async def _answer(self, connection: _Connection, head: bytes) -> bool:
        """Answer the request with this head; whether another one may follow."""
        http, request = connection.http, None
        if len(head) > MAX_HEAD:
            reply = Reply(431, f"The request's head is over {MAX_HEAD} bytes.\n".encode())
        else:
            http.receive_data(_with_host(head))
            try:
                request = http.next_event()
                http.next_event()  # Its end, unless there is a body.
                assert isinstance(request, h11.Request)
                reply = await self._reply(request.method.decode(), request.target)
            except h11.RemoteProtocolError as error:
                reply = Reply(error.error_status_hint, f"{error}\n".encode())
        is_head = isinstance(request, h11.Request) and request.method == b"HEAD"
        await connection.stream.send_all(_written(http, reply, is_head=is_head))
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
            return True
        return False

    async def _reply(self, method: str, target: bytes) -> Reply:
        methods = self._routes.get(target.partition(b"?")[0].decode("latin-1"))
        if methods is None:
            return Reply(404, f"Here are: {', '.join(sorted(self._routes))}\n".encode())
        handler = methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            allow = ", ".join([*methods, "HEAD"] if "GET" in methods else methods)
            return Reply(405, f"Here one can use: {allow}\n".encode(), allow=allow)
        try:
            return await handler()
        except Exception:
            logger.exception("a request to the admin address ended with an error of ours")
            return Reply(500, b"The supervisor made an error, which is in its log.\n")


def _with_host(head: bytes) -> bytes:
    """h11 insists on a Host in HTTP/1.1, as it should (RFC 9112 section 3.2); here none matters."""
    if HOST.search(head):
        return head
    line, end, rest = head.partition(b"\n")
    return line + end + b"Host: admin\r\n" + rest


def _written(http: h11.Connection, reply: Reply, *, is_head: bool) -> bytes:
    headers = {
        "Date": formatdate(usegmt=True),
        "Content-Type": reply.content_type,
        "Content-Length": str(len(reply.body)),
        "Cache-Control": "no-store",
    }
    if reply.allow:
        headers["Allow"] = reply.allow
    response = h11.Response(
        status_code=reply.status,
        reason=HTTPStatus(reply.status).phrase,
        headers=list(headers.items()),
    )
    events = [response, h11.Data(data=b"" if is_head else reply.body), h11.EndOfMessage()]
    return b"".join([http.send(event) or b"" for event in events])


async def _part(stream: trio.SocketStream) -> None:
    """A close with unread input would throw away our last words (RFC 9112 section 9.6)."""
    await stream.send_eof()
    while await stream.receive_some():
        pass
