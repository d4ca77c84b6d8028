"""The clients of HTTP/2 do what tests rely on, against a server of the library h2."""

from collections.abc import AsyncIterator, Callable

import pytest
import trio
from h2.errors import ErrorCodes

from tests.support.http2_frames import END_STREAM, FrameType
from tests.support.http2_server import TinyServer, tiny_server
from tests.support.http2_user_agent import http2_client
from tests.support.http2_user_agent_connection import RequestFailed
from tests.support.http2_wire import FrameSocket, frame_socket, request_fields


@pytest.fixture
async def server() -> AsyncIterator[TinyServer]:
    async with tiny_server() as server:
        yield server


async def in_a_thread(server: TinyServer, use: Callable[[FrameSocket], None]) -> None:
    """Use a new connection of raw frames, which blocks."""

    def run() -> None:
        with frame_socket(server.port) as frames:
            use(frames)

    await trio.to_thread.run_sync(run)


# --- raw frames -----------------------------------------------------------------------------


async def test_frames_of_a_request_are_sent_and_those_of_its_response_read(
    server: TinyServer,
) -> None:
    def use(frames: FrameSocket) -> None:
        frames.send_request(1, "/a")
        frames.send(frames.in_pieces(3, request_fields("/b", "POST", "a.example"), 7, 0))
        frames.send_data(3, b"abc")
        frames.send_data(3, b"de", END_STREAM)
        second, first = frames.response(3), frames.response(1)
        assert (first.status, first.body, first["server"]) == (200, b"/a 0", "tiny")
        assert (second.status, second.body) == (200, b"/b 5")
        frames.check_alive()

    await in_a_thread(server, use)


async def test_a_reset_and_the_end_of_the_connection_are_seen_with_their_errors(
    server: TinyServer,
) -> None:
    def use(frames: FrameSocket) -> None:
        server.resets.add("/a")
        frames.send_request(1, "/a")
        frames.expect_reset(1, ErrorCodes.INTERNAL_ERROR)
        with pytest.raises(AssertionError, match=r"no DATA on 1 within 0\.1 s"):
            frames.expect(FrameType.DATA, 1, timeout=0.1)
        frames.goaway()
        frames.sock.unwrap()
        assert frames.expect_end() is None

    await in_a_thread(server, use)


# --- the well-behaved client ----------------------------------------------------------------


async def test_many_requests_share_a_connection(server: TinyServer) -> None:
    sizes = {f"/{number}": 200_000 if number < 10 else number for number in range(150)}
    got: dict[str, bytes] = {}

    async def ask(path: str) -> None:
        got[path] = (await client.post(path, b"x" * sizes[path])).body

    async with http2_client(server.port) as client:
        async with trio.open_nursery() as nursery:
            for path in sizes:  # More than may be in progress at once.
                nursery.start_soon(ask, path)
        assert got == {path: f"{path} {size}".encode() for path, size in sizes.items()}
        assert (client.connections, client.repeated) == (1, 0)


async def test_after_goaway_what_was_not_processed_is_repeated_on_a_new_connection(
    server: TinyServer,
) -> None:
    server.goaway_after = 5
    async with http2_client(server.port) as client:
        async with trio.open_nursery() as nursery:
            for number in range(23):
                nursery.start_soon(client.get, f"/{number}")
        assert sorted(server.served) == sorted(f"/{number}" for number in range(23))
        assert client.connections == 5
        assert client.repeated > 0


async def test_a_refused_request_is_repeated_and_a_reset_one_fails(server: TinyServer) -> None:
    server.refuses.add("/refused")
    server.resets.add("/reset")
    async with http2_client(server.port) as client:
        assert (await client.get("/refused")).status == 200
        assert client.repeated == 1
        with pytest.raises(RequestFailed, match="reset with error"):
            await client.get("/reset")
        assert (await client.get("/after")).status == 200
        assert client.connections == 1


async def test_a_connection_that_breaks_fails_its_requests(server: TinyServer) -> None:
    async with http2_client(server.port) as client:
        server.breaks.add("/never")
        with pytest.raises(RequestFailed, match="the server has closed the connection"):
            await client.get("/never")
        assert (await client.get("/after")).status == 200
        assert client.connections == 2
