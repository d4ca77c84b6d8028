"""What is logged and counted of requests over HTTP/2: each as if it were alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from h2.errors import ErrorCodes

from blue_green.config.kinds import Count
from tests.raw.backend import says
from tests.raw.messages import OK
from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import write_pair
from tests.support.access_lines import logged
from tests.support.http2_frames import FrameType
from tests.support.http2_wire import FrameSocket, frame_socket, request_fields
from tests.waiting import until


async def by_path(lines: Callable[[], list[dict[str, Any]]], count: int) -> dict[str, Any]:
    """The lines of so many requests, when all have been written."""
    await until(f"{count} lines", lambda: len(lines()) >= count)
    return {line.get("path", ""): line for line in lines()}


async def talk(proxy: RunningProxy, say: Callable[[FrameSocket], None]) -> None:
    def run() -> None:
        with frame_socket(proxy.port) as client:
            say(client)

    await trio.to_thread.run_sync(run)


async def by_target(peer: Peer) -> None:
    """Respond at once, with an error of the app, or never."""
    while True:
        head = await peer.until(b"\r\n\r\n")
        if head.startswith((b"GET /never", b"GET /cancelled")):
            await trio.sleep_forever()
        if head.startswith(b"GET /missing"):
            await peer.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            await peer.send(OK)


async def test_each_stream_has_its_line_whatever_happens_to_its_neighbours(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def say(client: FrameSocket) -> None:
        client.send_request(1, "/never")
        client.send_request(3, "/cancelled")
        client.send_request(5, "/missing")
        client.send_headers(7, [*request_fields("/malformed"), ("connection", "close")])
        client.send_headers(9, [*request_fields("/large"), ("x", "y" * 17_000)])
        trio.from_thread.run(proxy.until_backend_has, 3)
        client.reset(3)
        assert client.response(9).status == 431
        assert client.response(1).status == 504
        client.send_request(11, "/ok")
        assert client.response(11).status == 200

    with logged(capfd) as lines:
        async with running(
            by_target,
            tls=write_pair(tmp_path),
            access_log=True,
            response_timeout=1.0,
        ) as proxy:
            await talk(proxy, say)
            seen = await by_path(lines, 6)
            counted = {**proxy.gate.by_status, **proxy.listener.by_status}
    assert {path: line["status"] for path, line in seen.items()} == {
        "/never": 504, "/cancelled": 499, "/missing": 404, "/malformed": 400, "/large": 431,
        "/ok": 200,
    }  # fmt: skip
    assert all((line["http"], line["client"]) == (2, "127.0.0.1") for line in seen.values())
    assert {path for path, line in seen.items() if "why" in line} == {
        "/never", "/cancelled", "/malformed", "/large",
    }  # fmt: skip
    assert seen["/cancelled"]["why"] == "The client disconnected."
    assert "connection" in seen["/malformed"]["why"]
    assert counted == {200: 1, 404: 1, 499: 1, 504: 1, 400: 1, 431: 1}


async def test_a_connection_that_breaks_the_rules_has_a_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def say(client: FrameSocket) -> None:
        client.send_frame(FrameType.PUSH_PROMISE, 1)
        client.expect_end(ErrorCodes.PROTOCOL_ERROR)

    with logged(capfd) as lines:
        tls = write_pair(tmp_path)
        async with running(says(OK), tls=tls, access_log=True, log_format="json") as proxy:
            await talk(proxy, say)
            [line] = (await by_path(lines, 1)).values()
    assert (line["status"], line["why"]) == (400, "a client sent PUSH_PROMISE")
    assert line["http"] == 2


async def test_clients_are_counted_by_what_they_are(tmp_path: Path) -> None:
    def say(client: FrameSocket) -> None:
        client.send_request(1)
        client.send_request(3)
        trio.from_thread.run(proxy.until_backend_has, 2)
        counts.append(trio.from_thread.run_sync(proxy.listener.count_clients))

    async def never(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        await trio.sleep_forever()

    counts: list[Any] = []
    async with running(never, tls=write_pair(tmp_path)) as proxy:
        await proxy.connect()
        await talk(proxy, say)
        await until("it is gone", lambda: proxy.listener.connections == 1)
        counts.append(proxy.listener.count_clients())
    seen = [(it.http1_connections, it.http2_connections, it.http2_streams) for it in counts]
    assert seen == [(1, 1, 2), (1, 0, 0)]


async def test_a_request_without_a_place_is_refused_counted_and_may_be_repeated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def say(client: FrameSocket) -> None:
        client.send_request(1)
        trio.from_thread.run(proxy.until_backend_has, 1)
        client.send_request(3)
        client.expect_reset(3, ErrorCodes.REFUSED_STREAM)
        trio.from_thread.run_sync(may_respond.set)
        assert client.response(1).status == 200
        client.send_request(5)
        assert client.response(5).status == 200

    async def responds_later(peer: Peer) -> None:
        while True:
            await peer.request()
            await may_respond.wait()
            await peer.send(OK)

    may_respond = trio.Event()
    async with running(responds_later, tls=write_pair(tmp_path), max_connections=Count(2)) as proxy:
        await talk(proxy, say)
        assert proxy.listener.count_clients().refused_streams == 1
        assert len(proxy.backend.requests) == 2
    assert "all 2 connections are in use: requests on open connections with HTTP/2" in caplog.text
