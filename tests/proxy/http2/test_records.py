"""What is logged and counted of requests over HTTP/2: each as if it were alone."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from h2.errors import ErrorCodes

from blue_green.config.kinds import Count, Period
from blue_green.config.process_settings import Http2Settings
from blue_green.config.site_settings import HoldSettings
from blue_green.http.heads import Fields
from blue_green.proxy import streams
from blue_green.proxy.http2.stream import Http2Stream
from tests.proxy.http2.frame_peer import FramePeer, connect, data, reset
from tests.proxy.http2.websocket_peer import accepts, opened
from tests.raw.backend import Script, says, silence
from tests.raw.messages import OK
from tests.raw.peer import Peer
from tests.raw.proxy import SHORT, RunningProxy, running
from tests.raw.tls_client import PemPair, write_pair
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
    assert (line["status"], line["why"]) == (
        400,
        "The connection ended: a client sent PUSH_PROMISE.",
    )
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


async def test_the_addresses_name_http2_as_long_as_clients_may_use_it(tmp_path: Path) -> None:
    async with running(tls=write_pair(tmp_path)) as proxy:
        assert " with TLS and HTTP/2," in proxy.listener.addresses
        proxy.use(http2=Http2Settings(enabled=False))
        assert " with TLS," in proxy.listener.addresses


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
        assert proxy.listener.count_clients().over_max_connections == 1
        assert len(proxy.backend.requests) == 2
    assert "all 2 connections are in use: requests on open connections with HTTP/2" in caplog.text


async def test_a_request_over_max_streams_is_counted_and_has_no_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    http2 = Http2Settings(max_streams=Count(1))
    async with logging_proxy(capfd, write_pair(tmp_path), http2=http2) as (proxy, the_line):
        peer = await connect(proxy)
        await peer.send(peer.post(1), peer.get(3))
        await peer.check_reset(3, ErrorCodes.REFUSED_STREAM)
        await peer.send(data(1, b"", end=True))
        assert (await peer.response(1)).status == 200
        assert proxy.listener.count_clients().over_max_streams == 1
        assert (await the_line())["path"] == "/p"


async def test_a_request_whose_connection_ends_with_an_error_is_logged_with_that_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with logged(capfd) as lines:
        async with running(silence, tls=write_pair(tmp_path), access_log=True) as proxy:
            peer = await connect(proxy)
            await peer.send(peer.get(1, b"/never"))
            await proxy.until_backend_has(1)
            await peer.send(data(0, b"x"))
            await peer.check_over(ErrorCodes.PROTOCOL_ERROR)
            line = (await by_path(lines, 2))["/never"]
    why = "The client broke the rules of the connection, which ended."
    assert (line["status"], line["why"]) == (499, why)


TheLine = Callable[[], Any]


@asynccontextmanager
async def logging_proxy(
    capfd: pytest.CaptureFixture[str], tls: PemPair, script: Script | None = None, **settings: Any
) -> AsyncIterator[tuple[RunningProxy, TheLine]]:
    """A proxy whose only access line can be waited for."""
    with logged(capfd) as lines:
        async with running(script, tls=tls, access_log=True, **settings) as proxy:

            async def the_line() -> dict[str, Any]:
                [line] = (await by_path(lines, 1)).values()
                return dict(line)

            yield proxy, the_line


async def disconnects(peer: FramePeer) -> None:
    await peer.stream.aclose()


async def resets(peer: FramePeer) -> None:
    await peer.send(reset(1))
    await peer.check_alive()


async def test_a_client_that_leaves_after_the_last_byte_has_a_whole_response(
    capfd: pytest.CaptureFixture[str], tls: PemPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ends_and_lingers(self: Http2Stream, trailers: Fields, *, close: bool = False) -> None:
        self.close()
        await trio.sleep_forever()

    monkeypatch.setattr(Http2Stream, "end", ends_and_lingers)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with logging_proxy(capfd, tls, says(chunked)) as (proxy, the_line):
        peer = await connect(proxy)
        await peer.send(peer.get(1))
        assert (await peer.response(1)).body == b"hello"
        await disconnects(peer)
        line = await the_line()
    assert (line["status"], line["bytes"]) == (200, 5)
    assert not {"cut", "why"} & set(line)


@pytest.mark.parametrize("leaves", [resets, disconnects])
async def test_a_websocket_that_its_client_leaves_is_logged_like_one_that_has_ended(
    capfd: pytest.CaptureFixture[str],
    tls: PemPair,
    monkeypatch: pytest.MonkeyPatch,
    leaves: Callable[[FramePeer], Any],
) -> None:
    monkeypatch.setattr(streams, "LINGER_TIMEOUT", 0.05)
    async with logging_proxy(capfd, tls, accepts(silence)) as (proxy, the_line):
        await leaves(await opened(proxy))
        line = await the_line()
    assert line["status"] == 200
    assert not {"cut", "why"} & set(line)


@pytest.mark.parametrize("buffer_requests", [0, 65536])
@pytest.mark.parametrize("leaves", [resets, disconnects])
async def test_an_upload_that_its_client_takes_back_has_status_499(
    capfd: pytest.CaptureFixture[str],
    tls: PemPair,
    leaves: Callable[[FramePeer], Any],
    buffer_requests: int,
) -> None:
    limits: dict[str, Any] = {"buffer_requests": buffer_requests}
    async with logging_proxy(capfd, tls, silence, **limits) as (proxy, the_line):
        peer = await connect(proxy)
        await peer.send(peer.post(1), data(1, b"half"))
        await peer.check_alive()
        if not buffer_requests:
            await proxy.until_backend_has(1)
        await leaves(peer)
        line = await the_line()
    assert (line["status"], line["bytes"], line["why"]) == (499, 0, "The client disconnected.")
    assert "cut" not in line


@pytest.mark.parametrize("buffer_requests", [0, 65536])
async def test_a_malformed_body_has_status_400_and_its_fault_though_only_a_reset_is_sent(
    capfd: pytest.CaptureFixture[str], tls: PemPair, buffer_requests: int
) -> None:
    limits: dict[str, Any] = {"buffer_requests": buffer_requests}
    async with logging_proxy(capfd, tls, silence, **limits) as (proxy, the_line):
        peer = await connect(proxy)
        await peer.send(peer.post(1, (b"content-length", b"9")), data(1, b"half"))
        await peer.check_alive()
        if not buffer_requests:
            await proxy.until_backend_has(1)
        await peer.send(data(1, b"", end=True))
        await peer.check_reset(1, ErrorCodes.PROTOCOL_ERROR)
        line = await the_line()
    why = "Its content-length is not that of its content."
    assert (line["status"], line["bytes"], line["why"]) == (400, 0, why)


async def test_a_held_request_that_gives_up_has_waited(
    capfd: pytest.CaptureFixture[str], tls: PemPair
) -> None:
    hold = HoldSettings(Period(SHORT))
    async with logging_proxy(capfd, tls, hold=hold) as (proxy, the_line):
        proxy.gate.hold("a test")
        peer = await connect(proxy)
        await peer.send(peer.get(1))
        assert (await peer.response(1)).status == 503
        line = await the_line()
    assert float(line["held"]) >= SHORT
