"""Several backends per slot share the load, crash independently, and are swapped together."""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio

from tests.support.http_client import Answer
from tests.support.site import RealSite, free_ports
from tests.waiting import until

MakeSite = Callable[..., RealSite]
UPGRADE = b"GET /tunnel HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"


@pytest.fixture
def make_pair(make_site: MakeSite) -> MakeSite:
    """A site with two backends a slot."""

    def make(**sections: dict[str, Any]) -> RealSite:
        site = make_site(**sections)
        blue, green = free_ports(2)
        site.configure(app={"ports": [[site.blue, blue], [site.green, green]]})
        return site

    return make


def ports(site: RealSite, slot: int) -> list[int]:
    """Blue's or green's."""
    found: list[int] = site.sections["app"]["ports"][slot]
    return found


async def pids(site: RealSite) -> list[int]:
    found: list[int] = (await site.status())["live"]["pids"]
    return found


def asked_for(site: RealSite, path: str) -> int:
    """How often a backend got a request for this path."""
    return sum(request["path"] == path for request in site.journal())


@asynccontextmanager
async def in_flight(site: RealSite, path: str, count: int) -> AsyncIterator[list[Answer]]:
    """So many requests that a backend has; they must have been answered when the block ends."""
    answers: list[Answer] = []
    before = asked_for(site, path)

    async def ask() -> None:
        answers.append(await site.get(path))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(ask)
        await until("they are in flight", lambda: asked_for(site, path) >= before + count)
        yield answers
    assert [answer.status for answer in answers] == [200] * count


async def test_the_load_is_shared_and_a_swap_replaces_all(make_pair: MakeSite) -> None:
    site = make_pair()
    site.commit("one")
    async with site.running():
        old = await pids(site)
        assert len(old) == 2
        await site.until_only_run(sorted(old))
        may_answer = site.directory / "may-answer"
        async with in_flight(site, f"/?until={may_answer}", 6) as answers:
            two = site.commit("two")
            await until("the new ones answer", lambda: answers_of_both(site, two))
            assert answers == []
            may_answer.touch()
        assert sorted(answer.json()["pid"] for answer in answers) == sorted(3 * old)
        assert {answer.json()["text"] for answer in answers} == {"one"}
        status = await site.until_live(two)
        assert (status["live"]["ports"], len(status["live"]["pids"])) == (ports(site, 1), 2)
        await site.until_only_run(sorted(status["live"]["pids"]))
        receipt = (await site.status())["last_swap"]
        assert (receipt["drained"] >= 6, receipt["cut"], receipt["failed"]) == (True, 0, 0)


async def answers_of_both(site: RealSite, revision: str) -> bool:
    """Two requests at once are answered by two backends of this release."""
    async with in_flight(site, "/?slow=0.05", 2) as answers:
        pass
    found = [answer.json() for answer in answers]
    return {a["revision"] for a in found} == {revision} and len({a["pid"] for a in found}) == 2


async def test_a_crash_of_one_backend_fails_no_request_and_it_is_restarted(
    make_pair: MakeSite,
) -> None:
    site = make_pair(proxy={"access_log": True})
    one = site.commit("one", start_delay=0.5)
    async with site.running():
        victim, other = await pids(site)
        path = f"/?until={site.directory / 'may-answer'}"
        async with site.steady_load(), in_flight(site, path, 4) as answers:
            os.kill(victim, signal.SIGKILL)
            await until(
                "those that the victim had are sent again", lambda: asked_for(site, path) > 4
            )
            (site.directory / "may-answer").touch()
        assert {answer.json()["pid"] for answer in answers} == {other}

        async def again() -> bool:
            now = await pids(site)
            return len(now) == 2 and other in now and victim not in now

        await until("there are two again", again)
        await until("both answer", lambda: answers_of_both(site, one))
        await site.until_logged(f"the live backend on port {ports(site, 0)[0]} is down: ")
    lines = [line for line in site.log().splitlines() if " path=" in line]
    assert len(lines) > 4
    assert [line for line in lines if " held=0.0000 " not in line] == []


@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_one_candidate_of_two_that_fails_fails_the_swap_and_leaves_nothing(
    make_pair: MakeSite, strategy: str
) -> None:
    site = make_pair(swap={"strategy": strategy})
    good = site.commit("good")
    async with site.running(), site.steady_load() as texts:
        before = await pids(site)
        bad = site.draft("bad", raises_on=ports(site, 1)[1])
        done = await site.cli("swap", bad, "--json")
        receipt = json.loads(done.out)
        assert (done.code, receipt["outcome"]) == (1, "failed")
        assert receipt["reason"] == "the app ended with exit status 1 before it was healthy"
        assert receipt["output"][-1] == "RuntimeError: this port is not for me"
        status = await site.until_live(good)
        assert len(status["live"]["pids"]) == 2
        assert (status["live"]["pids"] == before) == (strategy == "overlap")
        await site.until_only_run(sorted(status["live"]["pids"]))
        assert set(texts) == {"good"}


async def test_a_backend_that_dies_during_the_soak_rolls_the_release_back(
    make_pair: MakeSite,
) -> None:
    site = make_pair(swap={"soak": "30s"})
    good = site.commit("good")
    async with site.running(), site.steady_load() as texts:
        before = await pids(site)
        bad = site.commit("bad")
        await until("it serves", lambda: "bad" in texts)
        os.kill((await pids(site))[1], signal.SIGKILL)
        status = await site.until_live(good)
        assert status["live"]["pids"] == before
        assert status["quarantined"] == {bad: "the app was killed by SIGKILL"}
        await site.until_only_run(sorted(before))


async def test_tunnels_to_all_backends_outlive_the_switch_until_stream_timeout(
    make_pair: MakeSite,
) -> None:
    # They are used while it soaks, and closed after that, spread over more than a second.
    site = make_pair(swap={"soak": "1500ms", "stream_timeout": "1500ms"})
    site.commit("one")
    async with site.running():
        async with trio.open_nursery() as nursery:
            tunnels = [await trio.open_tcp_stream("127.0.0.1", site.port) for _ in range(4)]
            ended: list[float] = []

            async def use(tunnel: trio.SocketStream) -> None:
                async with tunnel:
                    await echoes(tunnel, b"after")
                    with suppress(trio.BrokenResourceError):
                        assert await tunnel.receive_some() == b""
                    ended.append(trio.current_time())

            for tunnel in tunnels:
                await tunnel.send_all(UPGRADE)
                assert (await tunnel.receive_some()).startswith(b"HTTP/1.1 101 ")
                await echoes(tunnel, b"before")
            assert (await site.status())["tunnels"] == 4
            two = site.commit("two")
            await until("the switch", lambda: answers_of_both(site, two))
            for tunnel in tunnels:
                nursery.start_soon(use, tunnel)
        receipt = (await site.until_live(two))["last_swap"]
        assert (receipt["outcome"], receipt["cut"]) == ("promoted", 0)
        assert ended[-1] - ended[0] > 0.2, "all at one moment would come back at one moment"


async def echoes(tunnel: trio.SocketStream, data: bytes) -> None:
    await tunnel.send_all(data)
    with trio.fail_after(10):
        assert await tunnel.receive_some() == data
