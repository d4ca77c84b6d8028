"""Streams and slow clients: no swap waits for them, and they are closed properly."""

import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, field
from websockets.exceptions import ConnectionClosed

from tests.support.site import RealSite
from tests.support.websocket import websocket
from tests.waiting import until

APP = (Path(__file__).parents[1] / "apps" / "streaming.py").read_text()
LAST = b"\r\n0\r\n\r\n"

MakeSite = Callable[..., RealSite]


@pytest.fixture
def make_streaming(make_site: MakeSite) -> MakeSite:
    """A site with an app that streams."""

    def make(**sections: dict[str, Any]) -> RealSite:
        site = make_site(
            app={"command": [sys.executable, "streaming.py", "{port}"], "stop_timeout": "10s"}
        )
        site.configure(**sections)
        (site.checkout / "streaming.py").write_text(APP)
        return site

    return make


@define
class StreamReader:
    """A client that reads, as fast as it likes, and how that ended."""

    stream: trio.SocketStream
    received: bytearray = field(factory=bytearray)
    ended_at: float = 0.0
    was_reset: bool = False

    async def run(self, pause: float) -> None:
        try:
            while data := await self.stream.receive_some(16 * 1024):
                self.received += data
                await trio.sleep(pause)
        except trio.BrokenResourceError:
            self.was_reset = True
        self.ended_at = trio.current_time()

    @property
    def has_ended(self) -> bool:
        """An event stream's last chunk, or the connection's end."""
        return bool(self.ended_at) or self.received.endswith(LAST)


@asynccontextmanager
async def reading(site: RealSite, path: str, *, pause: float = 0.0) -> AsyncIterator[StreamReader]:
    """Somebody who reads this, from its first bytes on."""
    stream = await trio.open_tcp_stream("127.0.0.1", site.port)
    async with stream, trio.open_nursery() as nursery:
        reader = StreamReader(stream)
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        nursery.start_soon(reader.run, pause)
        await until(f"{path} has begun", lambda: reader.received)
        yield reader
        nursery.cancel_scope.cancel()


async def retiring(site: RealSite) -> Any:
    return (await site.status())["retiring"]


async def answers(site: RealSite, text: str) -> bool:
    return bool((await site.get("/")).json()["text"] == text)


async def until_answered_by(site: RealSite, text: str, timeout: float) -> float:
    """Wait until this release answers; how many seconds that took."""
    began = trio.current_time()
    await until(f"{text} answers", lambda: answers(site, text), timeout)
    return trio.current_time() - began


async def test_streams_outlive_a_swap_and_end_properly(make_streaming: MakeSite) -> None:
    site = make_streaming(swap={"stream_timeout": "3s"})
    site.commit("one")
    async with (
        site.running(),
        reading(site, "/events") as first,
        reading(site, "/events") as second,
        websocket(site.port, "/ws") as socket,
    ):
        assert await socket.receive() == "one"
        two = site.commit("two")
        status = await site.until_live(two)
        left = status["retiring"]
        assert (left["in_flight"], left["streams"], status["in_flight"]) == (0, 3, 0)
        assert not any(reader.has_ended for reader in (first, second))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        await until("both have ended", lambda: all(one.has_ended for one in (first, second)))
        assert first.received.endswith(LAST)
        assert second.received.endswith(LAST)
        await until("it has retired", lambda: is_over(site))
        [goodbye] = site.journal("goodbye")
        assert (goodbye["opcode"], goodbye["code"]) == (8, 1012), "the app heard nothing of it"
        assert (await site.status())["last_swap"]["cut"] == 0


async def is_over(site: RealSite) -> bool:
    return await retiring(site) is None


async def test_the_next_swap_waits_for_no_stream_and_no_slow_client(
    make_streaming: MakeSite,
) -> None:
    """Nor for an upload that its client does not send; what they end with says so."""
    site = make_streaming(
        swap={"stream_timeout": "10m", "drain_timeout": "10m", "soak": "500ms"},
        proxy={"buffer_requests": 0},
    )
    site.commit("one")
    async with (
        site.running(),
        reading(site, "/events") as events,
        reading(site, "/big?100000000", pause=0.1) as download,
        await trio.open_tcp_stream("127.0.0.1", site.port) as upload,
    ):
        await upload.send_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nbegun")
        await until("it is in flight", lambda: len(site.journal()) == 3)
        await site.until_live(site.commit("two"))
        left = await retiring(site)
        assert (left["in_flight"], left["streams"]) == (2, 1)
        await until_answered_by(site, "two", 5)
        site.commit("three")
        await until_answered_by(site, "three", 15)
        await until("all have ended", lambda: events.has_ended and download.has_ended)
        assert events.received.endswith(LAST)
        assert (await upload.receive_some()).startswith(b"HTTP/1.1 502 ")


async def test_a_request_that_the_app_is_processing_gets_its_time_when_the_next_swap_comes(
    make_streaming: MakeSite, tmp_path: Path
) -> None:
    site = make_streaming(swap={"drain_timeout": "60s"})
    site.commit("one")
    go = tmp_path / "go"
    async with site.running():
        async with trio.open_nursery() as nursery:
            texts: list[str] = []

            async def ask() -> None:
                texts.append((await site.post(f"/until?{go}", b"")).json()["text"])

            nursery.start_soon(ask)
            await until("it is in flight", site.journal)
            await site.until_live(site.commit("two"))
            three = site.commit("three")
            await until("the next swap needs the slot", lambda: steps(site, "retire"))
            await trio.sleep(4)  # Longer than a slow client would get.
            assert texts == []
            go.touch()
        assert texts == ["one"]
        await site.until_live(three)


async def steps(site: RealSite, phase: str) -> bool:
    return bool((await site.status())["step"] == phase)


async def test_a_rollback_to_a_release_that_still_runs_keeps_its_streams(
    make_streaming: MakeSite,
) -> None:
    site = make_streaming()
    one = site.commit("one")
    async with site.running(), reading(site, "/events") as events:
        before = (await site.status())["live"]["pids"]
        two = site.commit("two")
        await site.until_live(two)
        assert (await site.cli("rollback")).code == 0
        status = await site.until_live(one)
        assert status["live"]["pids"] == before
        assert (status["previous"], status["tunnels"]) == (two, 1)
        length = len(events.received)
        await until("it goes on", lambda: len(events.received) > length)
        assert not events.has_ended
        await site.until_only_run(before)


@pytest.mark.parametrize("ends_streams", [True, False], ids=["by the app", "by us"])
async def test_an_exclusive_swap_waits_for_no_stream(
    make_streaming: MakeSite, ends_streams: bool
) -> None:
    site = make_streaming(swap={"strategy": "exclusive"})
    site.commit("one", ends_streams=ends_streams)
    async with site.running(), reading(site, "/events") as events, site.steady_load():
        status = await site.until_live(site.commit("two", ends_streams=ends_streams))
        assert events.received.endswith(LAST)
        assert (b"goodbye" in events.received) == ends_streams
        receipt = status["last_swap"]
        assert (receipt["outcome"], receipt["cut"], receipt["failed"]) == ("promoted", 0, 0)
        assert receipt["seconds"]["stop"] < 6, "its time to stop was used up"


@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_an_unanswered_get_is_retried_on_the_new_release_after_drain_timeout(
    make_streaming: MakeSite, tmp_path: Path, strategy: str
) -> None:
    site = make_streaming(swap={"strategy": strategy, "drain_timeout": "500ms"})
    site.commit("one")
    go = tmp_path / "go"
    async with site.running(), trio.open_nursery() as nursery:
        texts: list[str] = []

        async def ask() -> None:
            texts.append((await site.get(f"/until?{go}")).json()["text"])

        nursery.start_soon(ask)
        await until("it is in flight", site.journal)
        two = site.commit("two")
        await until("it was sent again", lambda: len(asked_for(site, "/until")) == 2)
        go.touch()
        await until("it is answered", lambda: texts)
        assert texts == ["two"]
        await site.until_live(two)
        await until("the old release has retired", lambda: is_over(site))
        receipt = (await site.status())["last_swap"]
        assert (receipt["retried"], receipt["cut"], receipt["failed"]) == (1, 0, 0)


def asked_for(site: RealSite, path: str) -> list[Any]:
    return [line for line in site.journal() if line["path"] == path]


@pytest.mark.parametrize("overdue", ["cut", "call-off"])
async def test_an_overdue_request_is_cut_by_an_exclusive_swap_or_cancels_it(
    make_streaming: MakeSite, overdue: str
) -> None:
    site = make_streaming(swap={"strategy": "exclusive", "drain_timeout": "2s", "overdue": overdue})
    site.commit("one")
    async with site.running(), reading(site, "/big?100000000", pause=0.1) as download:
        two = site.draft("two")
        async with site.steady_load():
            receipt = await site.ask("swap", revision=two)
        if overdue == "cut":
            assert (receipt["outcome"], receipt["cut"]) == ("promoted", 1), receipt
            await until("it has ended", lambda: download.has_ended)
            assert download.was_reset, "half an answer must not look like a whole one"
            seconds = receipt["seconds"]
            assert seconds["drain"] < seconds["finish"], "others waited for it"
        else:
            assert (receipt["outcome"], receipt["held"]) == ("failed", 0), receipt
            assert receipt["reason"] == "1 request was still in flight after 2 s"
            assert not download.has_ended
            assert (await site.status())["quarantined"] == {}


async def test_held_requests_get_the_old_release_when_the_new_one_never_starts(
    make_site: MakeSite,
) -> None:
    """However short the time is that requests are held otherwise."""
    site = make_site(
        swap={"strategy": "exclusive"}, hold={"timeout": "500ms"}, health={"start_timeout": "3s"}
    )
    one = site.commit("one")
    async with site.running(), site.steady_load():
        receipt = await site.ask("swap", revision=site.draft("bad", never_answers=True))
        assert (receipt["outcome"], receipt["held"] > 0) == ("failed", True), receipt
        assert receipt["longest_hold"] > 3
        await site.until_live(one)


# --- the supervisor's own changes -----------------------------------------------------------


@pytest.mark.parametrize("ends_streams", [True, False], ids=["by the app", "by us"])
async def test_a_stop_waits_for_requests_and_closes_streams_properly(
    make_streaming: MakeSite, tmp_path: Path, ends_streams: bool
) -> None:
    """And serves others as long as it waits."""
    site = make_streaming()
    site.commit("one", ends_streams=ends_streams)
    go = tmp_path / "go"
    async with (
        site.running(),
        reading(site, "/events") as events,
        websocket(site.port, "/ws") as socket,
    ):
        assert await socket.receive() == "one"
        async with trio.open_nursery() as nursery:
            statuses: list[int] = []

            async def ask() -> None:
                statuses.append((await site.get(f"/until?{go}")).status)

            nursery.start_soon(ask)
            await until("it is in flight", lambda: asked_for(site, "/until"))
            assert site.process is not None
            site.process.send_signal(signal.SIGTERM)
            await site.until_logged("stopping: finishing in-flight requests")
            for _ in range(20):
                assert (await site.get("/")).status == 200
                await trio.sleep(0.02)
            assert not events.has_ended
            go.touch()
        assert statuses == [200]
        began = trio.current_time()
        assert await trio.to_thread.run_sync(site.process.wait, 20) == 0
        assert trio.current_time() - began < 8, "its time to stop was used up"
        await until("it has ended", lambda: events.ended_at)
        assert events.received.endswith(LAST)
        assert not events.was_reset
        assert (b"goodbye" in events.received) == ends_streams
        with pytest.raises(ConnectionClosed) as closed:
            await socket.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


async def test_an_upgrade_waits_for_no_stream_and_closes_each_once(
    make_streaming: MakeSite,
) -> None:
    site = make_streaming(swap={"stream_timeout": "10m"})
    site.commit("one")
    async with (
        site.running(),
        reading(site, "/events") as retiring_events,
        websocket(site.port, "/ws") as socket,
    ):
        assert await socket.receive() == "one"
        await site.until_live(site.commit("two"))
        async with reading(site, "/events") as events, site.steady_load():
            assert (await site.cli("upgrade")).code == 0
            await until("it has ended", lambda: events.has_ended)
            assert events.received.endswith(LAST)
            assert retiring_events.received.endswith(LAST)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
            await until("its connection has ended", lambda: events.ended_at)
            assert not events.was_reset
        assert await retiring(site) is None
