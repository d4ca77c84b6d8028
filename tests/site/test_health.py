"""When a candidate is probed, and what its responses mean."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from blue_green.config.kinds import HostName, Period, UrlPath
from blue_green.config.site_settings import HealthSettings
from blue_green.site import health
from blue_green.source.failure import StepFailed
from tests.support.gates import a_target
from tests.support.site import free_ports


def looks_until(start: float) -> list[float]:
    """When a candidate that begins to listen after so many seconds is asked, up to its answer."""
    looks = [0.0]
    while looks[-1] < start:
        looks.append(looks[-1] + health.pause_at(looks[-1]))
    return looks


@pytest.mark.parametrize(
    ("start", "latest"),
    [(0.1, 0.11), (0.5, 0.51), (1.0, 1.01), (3.0, 3.015), (10.0, 10.2), (60.0, 60.25)],
)
def test_a_candidate_that_listens_is_noticed_soon(start: float, latest: float) -> None:
    assert start <= looks_until(start)[-1] <= latest


def test_a_slow_candidate_is_probed_less_and_less_often() -> None:
    assert len(looks_until(10.0)) < 500
    assert len(looks_until(60.0)) < 700


async def test_a_candidate_that_never_listens_is_given_up_after_start_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    [port] = free_ports(1)
    with pytest.raises(StepFailed, match=f"not healthy within 60 s: nothing listens on .*{port}"):
        await health.until_healthy(a_target(port), HealthSettings(start_timeout=Period(60)))
    assert trio.current_time() == pytest.approx(60)


@pytest.mark.parametrize("https", [False, True])
async def test_a_probe_redirected_to_https_suggests_a_setting(https: bool) -> None:
    async def redirect(stream: trio.SocketStream) -> None:
        async with stream:
            heads.append((await stream.receive_some()).decode())
            await stream.send_all(b"HTTP/1.1 301 Moved\r\nLocation: https://a.example/\r\n\r\n")

    heads: list[str] = []
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, redirect, listeners)
        port = listeners[0].socket.getsockname()[1]
        failed = await health.probe(a_target(port), HealthSettings(https=https))
        nursery.cancel_scope.cancel()
    assert ("\r\nX-Forwarded-Proto: https\r\n" in heads[0]) is https
    advice = "the app must trust X-Forwarded-Proto, which was https"
    advice = advice if https else "set https = true in [health]"
    assert str(failed) == f"GET / was answered 301, a redirect to https://a.example/: {advice}"


@pytest.mark.parametrize(
    ("host", "advice"),
    [
        (None, "if the app accepts only the hosts of the site, set host in [health]"),
        ("a.example", "if the app does not accept the host a.example, let it do so"),
    ],
)
async def test_a_probe_whose_host_may_have_been_refused_says_so(
    host: str | None, advice: str
) -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, refuse, listeners)
        port = listeners[0].socket.getsockname()[1]
        settings = HealthSettings(host=HostName(host) if host else None)
        failed = await health.probe(a_target(port), settings)
        nursery.cancel_scope.cancel()
    assert str(failed) == f"GET / was answered 400: {advice}"


# --- warmup ---------------------------------------------------------------------------------


ANSWERS = {
    "/good": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "/login": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    "/large": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000,
    "/bad": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "/moved": b"HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n",
    "/half": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nha",
    "/nothing": b"",
    "/spacious": b"HTTP/1.1 200 OK\r\na:" + b" " * 15_000 + b"\0\r\nContent-Length: 0\r\n\r\n",
}


@asynccontextmanager
async def a_backend() -> AsyncIterator[tuple[int, list[str]]]:
    """The port of one that answers so, and the heads of the requests that it has got."""
    heads: list[str] = []

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            heads.append((await stream.receive_some()).decode())
            if "/never" in heads[-1]:
                await trio.sleep_forever()
            await stream.send_all(ANSWERS[heads[-1].split()[1]])

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, answer, listeners)
        yield listeners[0].socket.getsockname()[1], heads
        nursery.cancel_scope.cancel()


async def warm_up(port: int, *paths: str) -> None:
    warmup = tuple(map(UrlPath, paths))
    settings = HealthSettings(
        host=HostName("blog.example.com"), warmup=warmup, start_timeout=Period(0.5)
    )
    await health.warm_up(a_target(port), settings)


async def test_each_warmup_path_is_fetched_once_and_in_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "blue_green.site.health")
    async with a_backend() as (port, heads):
        await warm_up(port, "/large", "/login", "/good")
        assert [head.split()[1] for head in heads] == ["/large", "/login", "/good"]
        assert all("\r\nHost: blog.example.com\r\n" in head for head in heads)
    assert caplog.messages == ["warmup: GET /login was answered 401"]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/bad", "warmup: GET /bad was answered 503"),
        ("/moved", "GET /moved was answered 302, a redirect to /new, so it is not warm"),
        ("/half", "warmup: GET /half failed: it broke off 7 bytes before its end"),
        ("/nothing", "warmup: GET /nothing failed: it closed the connection before it responded"),
        ("/spacious", "GET /spacious failed: its response is not HTTP: a has a control character"),
        ("/never", "warmup took more than 0.5 s: GET /never was not answered"),
    ],
)
async def test_a_warmup_path_that_fails_is_named(path: str, why: str) -> None:
    async with a_backend() as (port, heads):
        with pytest.raises(StepFailed, match=why):
            await warm_up(port, "/good", path, "/good")
        assert len(heads) == 2, "nothing is asked for after a failure"
