"""Handlers work with any `ClientStream`, not only with HTTP/1.1: here with one in memory."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blue_green.config.process_settings import ProxySettings
from blue_green.files.open_file import OpenFile
from blue_green.http.errors import ErrorResponse
from blue_green.http.heads import Fields
from blue_green.http.request import Request, read_request
from blue_green.http.response import Response
from blue_green.http.transport import Transport
from blue_green.proxy.buffer_space import BufferSpace
from blue_green.proxy.client import Client
from blue_green.proxy.client_stream import ByteStream, ClientStream, Unsent
from blue_green.proxy.handler import Handler, ResponseAborted
from blue_green.proxy.redirect import Redirect
from blue_green.proxy.relay import Body, LengthBody
from blue_green.proxy.remote import Remote, Trust
from blue_green.proxy.reverse_proxy import ReverseProxy
from blue_green.proxy.served_trial import ServedTrial
from blue_green.proxy.splice import ReadAhead
from blue_green.routing.lease import Target
from blue_green.routing.router import Router, routes_of
from tests.raw.backend import Script, says
from tests.raw.proxy import RunningProxy, running

GET = read_request(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
POST = read_request(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")


class MemoryStream:
    """One stream of a connection that carries frames, as HTTP/2 does: nothing is on a socket."""

    request_id = b"id"
    held = 0.0
    target: Target | None = None
    set_cookie = b""
    trial: ServedTrial | None = None
    is_admitted = False
    file_revision = ""

    def __init__(self, client: Client, request: Request, content: bytes = b"") -> None:
        self.client = client
        self.request = request
        self.content = content
        self.status = 0
        self.sent = 0
        self.unsent = 0
        self.pieces: list[bytes] = []
        self.trailers: Fields | None = None

    @property
    def has_whole_request(self) -> bool:
        return True

    def has_body(self, limit: int) -> bool:
        return len(self.content) <= limit

    def take_body(self, limit: int) -> bytes | None:
        return self.content if len(self.content) <= limit else None

    def body(self, limit: int) -> Body:
        raise NotImplementedError

    async def send_interim(self, response: Response) -> None:
        self.pieces.append(b"%d" % response.status)

    async def respond(self, response: Response, body: bytes) -> None:
        self.respond_now(response, body)

    async def start(self, response: Response, first: bytes = b"", *, more: bool = False) -> None:
        self.start_now(response, first)

    async def send(self, data: bytes | memoryview) -> None:
        self.send_now(data)

    def respond_now(self, response: Response, body: bytes) -> Unsent:
        self.trailers = []
        return self.start_now(response, body)

    def start_now(self, response: Response, first: bytes = b"", *, more: bool = False) -> Unsent:
        self.client.begin_response()
        self.status = response.status
        return self.send_now(first)

    def send_now(self, data: bytes | memoryview) -> Unsent:
        self.pieces.append(bytes(data))
        return b""

    async def finish(self, rest: Unsent, patience: float = 0.0) -> Unsent:
        raise NotImplementedError

    async def send_from(self, body: LengthBody, ahead: ReadAhead) -> bool:
        return False

    async def send_file(self, file: OpenFile, offset: int, length: int) -> None:
        raise NotImplementedError

    async def end(self, trailers: Fields, *, close: bool = False) -> None:
        self.trailers = trailers

    async def upgrade(self, response: Response) -> ByteStream:
        raise NotImplementedError

    def count(self, sent: int) -> None:
        raise NotImplementedError

    def reset(self) -> None:
        raise NotImplementedError


@contextmanager
def streams() -> Iterator["StreamMaker"]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield StreamMaker(Transport(ours))


class StreamMaker:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._remote = Remote("192.0.2.1", trust=Trust(()))

    def make(self, request: Request, content: bytes = b"") -> MemoryStream:
        client = Client(self._transport, self._remote)
        client.begin_request(request)
        return MemoryStream(client, request, content)


def reverse_proxy(proxy: RunningProxy) -> ReverseProxy:
    settings = ProxySettings()
    buffers = BufferSpace(settings, Path(tempfile.gettempdir()))
    return ReverseProxy(Router(routes_of(proxy.site)), settings, buffers)


async def respond(script: Script, request: Request, content: bytes = b"") -> MemoryStream:
    """The stream after the reverse proxy has sent the response of such a backend."""
    async with running(script) as proxy:
        handler: Handler = reverse_proxy(proxy)
        with streams() as maker:
            stream: MemoryStream = maker.make(request, content)
            as_protocol: ClientStream = stream
            await handler.handle(as_protocol)
        assert stream.target is proxy.target
    return stream


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("pieces", "body", "trailers"),
    [
        pytest.param([HEAD + b"Content-Length: 2\r\n\r\nok"], b"ok", [], id="whole"),
        pytest.param([HEAD + b"Content-Length: 4\r\n\r\nsl", b"ow"], b"slow", [], id="in pieces"),
        pytest.param(
            [HEAD + b"Content-Length: 900000\r\n\r\n", b"x" * 900000], b"x" * 900000, [], id="large"
        ),
        pytest.param(
            [HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n"],
            b"ab",
            [(b"X-Sum", b"1")],
            id="chunked, with trailers",
        ),
        pytest.param(
            [HEAD + b"Content-Type: text/event-stream\r\n\r\ndata: a\n\n"],
            b"data: a\n\n",
            [],
            id="events",
        ),
    ],
)
async def test_a_response_arrives_unframed(
    pieces: list[bytes], body: bytes, trailers: Fields
) -> None:
    stream = await respond(says(*pieces, close=True), GET)
    assert (stream.status, b"".join(stream.pieces), stream.trailers) == (200, body, trailers)


async def test_a_body_reaches_the_backend() -> None:
    async with running() as proxy:
        with streams() as maker:
            stream = maker.make(POST, b"hello")
            await reverse_proxy(proxy).handle(stream)
        assert [request.body for request in proxy.backend.requests] == [b"hello"]


async def test_a_response_that_is_cut_short_is_reported_and_not_ended() -> None:
    async with running(says(HEAD + b"Content-Length: 9\r\n\r\nhalf", close=True)) as proxy:
        with streams() as maker:
            stream = maker.make(GET)
            with pytest.raises(ResponseAborted, match="cut short"):
                await reverse_proxy(proxy).handle(stream)
        assert stream.trailers is None


async def test_a_redirect_needs_no_backend() -> None:
    with streams() as maker, pytest.raises(ErrorResponse) as raised:
        await Redirect(443).handle(maker.make(GET))
    assert (raised.value.status, raised.value.location) == (308, "https://h/a")
