"""As a service: notifications to systemd, orderly stops, and one supervisor per site."""

import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import h11
import pytest
import trio

from blue_green.routing.wait_queue import RAMP_PATIENCE
from tests.support.http_client import Answer
from tests.support.service_manager import service_manager
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]


@asynccontextmanager
async def in_flight(site: RealSite, path: str) -> AsyncIterator[list[Answer]]:
    """A request that has reached the backend; its answer is there when the block has ended."""
    answers: list[Answer] = []
    before = len(site.journal())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, site, answers, path)
        await until("it is in flight", lambda: len(site.journal()) > before)
        yield answers


async def ask(site: RealSite, answers: list[Answer], path: str = "/") -> None:
    answers.append(await site.get(path))


async def holds(site: RealSite) -> bool:
    return bool((await site.status())["held"])


async def test_systemd_is_notified_of_start_swaps_and_stop(make_site: MakeSite) -> None:
    site = make_site()
    one = site.commit("one")
    async with service_manager(site.directory / "notify") as heard:
        site.start(NOTIFY_SOCKET=str(site.directory / "notify"), WATCHDOG_USEC="200000")
        try:
            await site.until_phase("serving")
            await site.until_live(one)
            assert (await site.cli("swap", two := site.draft("two"))).code == 0
        finally:
            assert await site.stop() == 0, site.log()
        await until("it has said its last", lambda: "STATUS=Stopping" in heard)
    assert heard.count("READY=1") == heard.count("STOPPING=1") == 1
    assert heard.count("WATCHDOG=1") > 3, "systemd would have taken it for dead"
    assert next(line for line in heard if line != "WATCHDOG=1") == "READY=1"
    statuses = [line.removeprefix("STATUS=") for line in heard if line.startswith("STATUS=")]
    assert f"Serving {one[:7]} in blue" in statuses
    assert f"Swapping to {two[:7]}: probe" in statuses
    assert statuses[-2:] == [f"Serving {two[:7]} in green", "Stopping"]


async def test_sigterm_finishes_requests_in_flight(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        async with in_flight(site, "/?slow=1") as answers:
            assert await site.stop() == 0
        assert answers[0].status == 200
        assert site.processes() == []


async def test_a_second_sigterm_does_not_wait(make_site: MakeSite) -> None:
    site = make_site(app={"stop_timeout": "60s"}, swap={"drain_timeout": "60s"})
    site.commit("one", ignores_sigterm=True)
    async with site.running():
        async with trio.open_nursery() as nursery:

            async def ask_in_vain() -> None:
                with suppress(h11.RemoteProtocolError):
                    assert (await site.get("/?slow=600")).status in (502, 503)

            nursery.start_soon(ask_in_vain)
            await until("it is in flight", site.journal)
            assert site.process is not None
            site.process.send_signal(signal.SIGTERM)
            await until("it drains", lambda: "stopping: finishing in-flight requests" in site.log())
            assert await site.stop() == 0
        assert site.processes() == []


async def test_a_second_sigterm_while_backends_stop_does_not_wait_either(
    make_site: MakeSite,
) -> None:
    site = make_site(app={"stop_timeout": "30s"})
    site.commit("one", grandchildren=True)
    async with site.running():
        assert site.process is not None
        site.process.send_signal(signal.SIGTERM)
        await until("only its deaf ones are left", lambda: len(site.processes()) == 2)
        began = trio.current_time()
        assert await site.stop() == 0
        assert trio.current_time() - began < 3, "it waited for deaf grandchildren"
        assert site.processes() == []


async def test_sigterm_during_a_swap_leaves_no_process(make_site: MakeSite) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running():
        await site.ask("swap", revision=site.draft("two", start_delay=600), wait=False)
        await until("the candidate starts", lambda: len(site.journal("set up")) == 2)
        assert await site.stop() == 0
        assert site.processes() == []
        assert site.remembered()["live"]["revision"] == one
        assert site.remembered().get("quarantine", {}) == {}


async def test_held_requests_are_answered_when_the_supervisor_stops(make_site: MakeSite) -> None:
    site = make_site(hold={"ramp": 1}, swap={"drain_timeout": "3s"})
    site.commit("one")
    async with site.running():
        for is_last in (False, True):
            await site.ask("pause", seconds=600)
            answers: list[Answer] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, site, answers)
                await until("it is held", lambda: holds(site))
                if is_last:
                    assert await site.stop() == 0
                    break
                await site.ask("resume")
            # Longer than the gate takes to let more of a queue go: nothing is under way by itself.
            await trio.sleep(RAMP_PATIENCE + 0.3)
        assert answers[0].status in (200, 503), answers[0].body.decode()


async def test_a_second_supervisor_names_the_first(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running(), site.steady_load():
        assert site.process is not None
        first = site.process.pid
        second = await trio.run_process(
            [sys.executable, "-m", "blue_green", "run", str(site.config_file)],
            capture_stderr=True,
            check=False,
        )
        assert second.returncode == 2
        assert f"another supervisor, pid {first}, already runs" in second.stderr.decode()
        assert (await site.status())["supervisor"]["pid"] == first


async def test_a_control_socket_in_use_is_not_taken_over(make_site: MakeSite) -> None:
    """Two sites that by mistake have one socket: the first keeps it."""
    site = make_site()
    site.commit("one")
    async with site.running():
        assert site.process is not None
        (site.directory / "other").mkdir()
        shared = site.state / "control.sock"
        other = RealSite(site.directory / "other", control={"socket": str(shared)})
        other.commit("one")
        other.start()
        try:
            await until(
                "it has started, or given up",
                lambda: "serving " in other.log() or "control.sock" in other.log(),
            )
            assert (await site.status())["supervisor"]["pid"] == site.process.pid
        finally:
            await other.stop()
        assert shared.exists()


@pytest.mark.parametrize("restarted", [False, True])
async def test_the_control_socket_is_private_and_removed_at_the_end(
    make_site: MakeSite, restarted: bool
) -> None:
    site = make_site()
    site.commit("one")
    path = site.state / "control.sock"
    if restarted:
        site.start()
        await site.until_phase("serving")
        await site.stop(signal.SIGKILL)
        assert path.exists(), "this is about a stale one"
    async with site.running():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()
    done = await site.cli("status")
    assert (done.code, "no supervisor listens on" in done.err) == (3, True)
