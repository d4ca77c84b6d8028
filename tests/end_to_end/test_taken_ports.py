"""Another program on a backend's port is never taken for the app."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from attrs import define, field

from blue_green.site.crash import TOO_MANY_DEATHS
from tests.support.launch import Done
from tests.support.port_thief import PortThief, port_thief
from tests.support.site import RealSite
from tests.waiting import until


@pytest.fixture
def site(directory: Path) -> RealSite:
    return RealSite(directory)


@define
class SlowSwap:
    """A swap, and who is after the port of its candidate."""

    revision: str
    barrier: Path
    ended: trio.Event = field(factory=trio.Event)
    done: Done = field(init=False)
    thief: PortThief = field(init=False)


@asynccontextmanager
async def slow_swap(site: RealSite, how: str = "eager") -> AsyncIterator[SlowSwap]:
    """A swap with a slow candidate, and another program that takes its port meanwhile."""
    site.commit()
    async with site.running(), site.steady_load(), trio.open_nursery() as nursery:
        revision = site.draft("second")
        barrier = site.put_up("start", revision)
        swap = SlowSwap(revision, barrier)

        async def run() -> None:
            swap.done = await site.cli("swap", revision)
            swap.ended.set()

        nursery.start_soon(run)
        reached = barrier.with_name(f"{barrier.name}.reached")
        await until("the candidate starts", reached.exists)
        async with port_thief(site.green, site.directory, how=how) as swap.thief:
            await swap.thief.until_it_has_port()
            yield swap


async def test_another_program_on_the_port_of_a_slow_candidate_gets_no_request(
    site: RealSite,
) -> None:
    async with slow_swap(site) as swap:
        await swap.ended.wait()
        assert swap.done.code == 1, swap.done
        assert f"127.0.0.1:{site.green} was opened by pid {swap.thief.process.pid}" in swap.done.out
        assert 'port_opened_by = "anyone"' in swap.done.out
        assert (await site.status())["quarantined"] == {}
        assert (await site.status())["live"]["revision"] != swap.revision
        assert swap.thief.stolen == []


async def test_a_candidate_that_fails_on_a_taken_port_names_the_process_that_has_it(
    site: RealSite,
) -> None:
    site.configure(health={"timeout": "20s"})  # The other program does not answer the first probe.
    async with slow_swap(site, "silent") as swap:
        swap.barrier.unlink()
        await swap.ended.wait()
        assert swap.done.code == 1, swap.done
        assert "the app ended with exit status 1 before it was healthy" in swap.done.out
        assert f"is taken: pid {swap.thief.process.pid} " in swap.done.out
        assert swap.thief.stolen == []


async def test_a_crashed_app_whose_port_was_taken_is_restarted_in_the_other_slot(
    site: RealSite,
) -> None:
    """Requests wait for that, and the other program gets none of them."""
    revision = site.commit()
    async with site.running() as running:
        live = (await running.status())["live"]
        barrier = site.put_up("start", revision)  # Before it listens, when it is started again.
        async with port_thief(site.blue, site.directory) as thief:
            os.kill(live["pids"][0], 9)
            await thief.until_it_has_port()
            barrier.unlink()
            await site.until_logged(f"retrying port {site.blue} every")
            answer = await site.get("/secret")
            assert (answer.status, answer.json()["revision"]) == (200, revision)
            live = (await site.until_live(revision))["live"]
            assert (live["slot"], live["ports"]) == ("green", [site.green])
            assert thief.stolen == []
    assert site.log().count(f"retrying port {site.blue} every") == 1


async def test_a_found_port_that_is_taken_is_replaced_and_no_revision_is_blamed(
    site: RealSite,
) -> None:
    site.configure(app={"ports": None})
    site.commit()
    async with site.running(), site.steady_load():
        found = site.remembered()["ports"]
        assert (await site.status())["live"]["ports"] == found["blue"]
        second = site.draft("second")
        barrier = site.put_up("start", second)
        reached = barrier.with_name(f"{barrier.name}.reached")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.cli, "swap", second)
            await until("the candidate starts", reached.exists)
            [green] = site.remembered()["ports"]["green"]
            async with port_thief(green, site.directory) as thief:
                await thief.until_it_has_port()
                barrier.unlink()
                status = await site.until_live(second)
                assert thief.stolen == []
        assert status["quarantined"] == {}
        [port] = status["live"]["ports"]
        assert port not in (green, *found["blue"])
        await site.until_logged(f"using port {port} for green from now on")
        await until(
            "it is remembered", lambda: site.remembered()["ports"] == {**found, "green": [port]}
        )
    async with site.running():
        assert (await site.status())["live"]["ports"] == [port], "also after a restart"


async def test_requests_wait_and_are_told_why_while_other_programs_have_both_ports(
    site: RealSite,
) -> None:
    """However long that lasts: as soon as a port is free again, the app serves there."""
    site.configure(hold={"timeout": "500ms"})
    revision = site.commit()
    async with site.running() as running:
        [pid] = (await running.status())["live"]["pids"]
        barrier = site.put_up("start", revision)  # Before it listens, when it is started again.
        async with port_thief(site.blue, site.directory) as thief:
            with socket.create_server(("127.0.0.1", site.green)):
                os.kill(pid, 9)
                await thief.until_it_has_port()
                barrier.unlink()
                await site.until_logged(f"failed: port {site.green} is taken")
                for _ in range(TOO_MANY_DEATHS):
                    answer = await site.get("/")
                    assert answer.status == 503
                    assert b"another program has its port" in answer.body
                    assert (await site.status())["phase"] != "failing"
        await site.until_live(revision)

        async def serves() -> bool:
            return (await site.get("/")).status == 200

        await until("it serves", serves)
    assert site.log().count(f"retrying port {site.blue} every") == 1


async def test_another_program_on_a_port_that_the_live_app_closed_is_noticed(
    site: RealSite,
) -> None:
    site.configure(hold={"timeout": "500ms"}, health={"fall": 1000})
    site.commit()
    async with site.running():
        async with port_thief(site.blue, site.directory) as thief:
            assert (await site.get("/?give-up")).status == 200
            await thief.until_it_has_port()
            # On a busy machine, a search for the process is given up, and the next one finds it.
            await site.until_logged(f"pid {thief.process.pid}")
            before = list(thief.stolen)
            await site.get("/secret")
            assert thief.stolen == before


async def test_another_program_may_open_the_port_if_the_settings_allow_it(site: RealSite) -> None:
    site.configure(app={"port_opened_by": "anyone"})
    site.commit()
    second = site.draft("second")
    barrier = site.put_up("start", second)
    reached = barrier.with_name(f"{barrier.name}.reached")
    async with site.running(), trio.open_nursery() as nursery:
        nursery.start_soon(site.cli, "swap", second)
        await until("the candidate starts", reached.exists)
        async with port_thief(site.green, site.directory) as proxy:
            await site.until_live(second)
            assert (await site.get("/")).body == b"stolen"
            assert proxy.stolen == ["/"]
