"""The server of the admin address: health checks, metrics, and whatever else is in its routes.

It is the HTTP/1.1 connection of the proxy with a handler of its own. The rules:

- Host may be missing: many health checks send none. Its value does not matter, except for the
  paths that browsers show: see `admin.allowed_hosts`.
- A request's body is read only for a route that needs it, up to a limit. Any other request with a
  body gets its response, and the connection is closed.
- A client that is silent or slow costs the others nothing. When all connections are in use, a new
  one replaces the one that has been silent for longest.
- A stream goes on until its client disconnects, or stops reading. There are few, so that they leave
  connections for others.
"""

import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from http import HTTPStatus

import trio
from attrs import field, frozen

from blue_green.admin.allowed_hosts import is_allowed_host
from blue_green.admin.lenient_heads import parse_head
from blue_green.admin.request_body import Message, read_message
from blue_green.http.errors import ErrorPages, ErrorResponse
from blue_green.http.heads import Framing
from blue_green.http.response import Response
from blue_green.http.transport import Transport
from blue_green.proxy.client import Client
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.client_table import ClientTable
from blue_green.proxy.connection import serve
from blue_green.proxy.handler import ResponseAborted
from blue_green.proxy.remote import Remote, Trust
from blue_green.proxy.shared import Shared
from blue_green.system import throttle

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 32
MAX_STREAMS = 8
SEND_BUFFER = 64 * 1024
"""Bytes that the kernel keeps for a client, so that one that stops reading is noticed soon."""
MAX_HEAD = 16 * 1024
HEAD_TIMEOUT = 5.0
"""Seconds for a request's head once it has begun."""
IDLE_TIMEOUT = 75.0
"""Seconds between requests: more than the minute at which many scrape."""
RESPONSE_TIMEOUT = 10.0
"""Seconds to read a request's body and to make and send a response, or to send a piece of a
stream."""


@frozen
class Reply:
    """A whole response."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(factory=dict)
    """Besides those that every response has."""


Send = Callable[[bytes], Awaitable[None]]


@frozen
class StreamReply:
    """A response that goes on for as long as its client is there."""

    content_type: str
    send_all: Callable[[Send], Awaitable[None]]
    """Gets a function that sends a piece, and sends one after the other until it is cancelled."""


Route = Callable[[str], Awaitable[Reply | StreamReply]]
"""Gets the query of the request's target, without the question mark."""


@frozen
class BodyRoute:
    """A route that reads the request's body."""

    respond: Callable[[Message], Awaitable[Reply]]
    most: int
    """Bytes. A larger body gets 413."""


Methods = Mapping[str, Route | BodyRoute]
"""A route for each method. HEAD is served as GET is, without the body."""
Routes = Mapping[str, Methods]
"""The methods of each path."""


@frozen
class AdminLimits:
    """The limits of a connection to the admin address."""

    header_timeout: float
    idle_timeout: float
    max_head: int
    access_log: bool = False
    log_format: str = "logfmt"


class Server:
    """Serves the routes on these sockets."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        routes: Routes,
        for_browsers: Container[str] = (),
        find_hook: Callable[[str], Methods | None] = lambda path: None,
    ) -> None:
        """`for_browsers` are the paths that no other site may read in somebody's browser.

        Paths that are not in `routes` are looked up with `find_hook` for each request, since they
        may come and go.
        """
        self._sockets = sockets
        self._router = AdminRouter(routes, for_browsers, find_hook)
        self._limits = AdminLimits(HEAD_TIMEOUT, IDLE_TIMEOUT, MAX_HEAD)
        self._shared = Shared(self._limits, ErrorPages(), Counter(), parse_head=parse_head)
        self._clients = ClientTable()

    async def run(self) -> None:
        """Serve until cancelled."""
        listeners = [
            trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for sock in self._sockets
        ]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._clients.enforce_deadlines, lambda: HEAD_TIMEOUT / 8)
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)

    async def _serve(self, stream: trio.SocketStream) -> None:
        with socket.socket(fileno=stream.socket.detach()) as sock:
            is_full = len(self._clients) >= MAX_CONNECTIONS
            if is_full and not self._clients.make_room(MAX_CONNECTIONS):
                return
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            client = Client(Transport(sock), Remote("", trust=Trust(())))
            self._clients.add(client)
            try:
                await serve(client, self._shared, self._router)
            except Exception:  # One client's trouble must not end the others.
                logger.exception("unhandled exception in a connection to the admin address")
            finally:
                self._clients.remove(client)


class AdminRouter:
    """Finds the route for each request, and sends its response."""

    def __init__(
        self,
        routes: Routes,
        for_browsers: Container[str],
        find_hook: Callable[[str], Methods | None],
    ) -> None:
        self._routes = routes
        self._for_browsers = for_browsers
        self._find_hook = find_hook
        self._streams = 0

    async def handle(self, stream: ClientStream) -> None:
        reply: Reply | StreamReply | None = None
        # However many ask for metrics at once, the proxy's clients come first.
        await throttle.wait()
        with trio.move_on_after(RESPONSE_TIMEOUT) as in_time:
            reply = await self._reply(stream)
            if isinstance(reply, Reply):
                await _send(stream, reply)
        if in_time.cancelled_caught:
            raise ResponseAborted("The response was not made, or not read, in time.")
        if isinstance(reply, StreamReply):
            await self._send_stream(stream, reply)

    async def _reply(self, stream: ClientStream) -> Reply | StreamReply:
        request = stream.request
        method = request.method.decode()
        path, _, query = request.target.decode("latin-1").partition("?")
        methods = self._routes.get(path) or self._find_hook(path)
        if methods is None:
            return Reply(404, f"Not found. Paths: {', '.join(sorted(self._routes))}\n".encode())
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            # RFC 9110 section 15.5.6: with 405 come the methods that would have been served.
            allow = ", ".join([*methods, "HEAD"] if "GET" in methods else methods)
            return Reply(405, f"Here one can use: {allow}\n".encode(), headers={"Allow": allow})
        if path in self._for_browsers and method in ("GET", "HEAD"):
            host = (request.host or b"").decode("latin-1")
            if not is_allowed_host(host):
                return Reply(421, b"Ask for this by address, or through ssh -L.\n")
        try:
            if isinstance(route, BodyRoute):
                message = await read_message(stream, route.most, RESPONSE_TIMEOUT)
                if message is None:
                    return Reply(413, f"The request's body is over {route.most} bytes.\n".encode())
                return await route.respond(message)
            reply = await route(query)
        except (OSError, ErrorResponse):
            raise
        except Exception:
            logger.exception("unhandled exception in a request to the admin address")
            return Reply(500, b"The supervisor made an error, which is in its log.\n")
        if isinstance(reply, StreamReply) and method == "HEAD":
            return Reply(200, b"", reply.content_type)
        if isinstance(reply, StreamReply) and self._streams >= MAX_STREAMS:
            why = f"{MAX_STREAMS} others read this already.\n"
            return Reply(503, why.encode(), headers={"Retry-After": "5"})
        return reply

    async def _send_stream(self, stream: ClientStream, reply: StreamReply) -> None:
        """Send it until its client disconnects, or stops reading."""

        async def send(piece: bytes) -> None:
            with trio.move_on_after(RESPONSE_TIMEOUT) as in_time:
                await stream.send(piece)
            if in_time.cancelled_caught:
                raise ResponseAborted("The client stopped reading.")

        self._streams += 1
        try:
            await stream.start(_head(200, {"Content-Type": reply.content_type}, Framing.CHUNKED))
            stream.client.begin_events()
            await reply.send_all(send)
        finally:
            self._streams -= 1


async def _send(stream: ClientStream, reply: Reply) -> None:
    headers = {"Content-Type": reply.content_type, "Content-Length": str(len(reply.body))}
    response = _head(reply.status, {**headers, **reply.headers}, Framing.LENGTH)
    await stream.respond(response, b"" if stream.request.method == b"HEAD" else reply.body)


def _head(status: int, headers: Mapping[str, str], framing: Framing) -> Response:
    always = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**always, **headers}.items())
    return Response(status, HTTPStatus(status).phrase.encode(), lines.encode(), framing)
