"""A pause: requests wait, and it ends by itself."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.support.http_client import Answer
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]


@asynccontextmanager
async def held_request(site: RealSite) -> AsyncIterator[list[Answer]]:
    """A request that waits; it must have been answered when the block has ended."""
    answers: list[Answer] = []

    async def ask() -> None:
        answers.append(await site.get("/"))

    async def holds() -> bool:
        return bool((await site.status())["held"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await until("it is held", holds)
        yield answers
    assert answers[0].status == 200


async def test_a_pause_lasts_until_resume(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        assert (await site.cli("pause")).out.startswith("paused for 60 s")
        async with held_request(site):
            assert (await site.status())["phase"] == "paused"
            assert (await site.cli("resume")).out == "resumed\n"
        assert (await site.cli("resume")).out == "was not paused\n"
        assert (await site.status())["phase"] == "serving"


async def test_a_second_pause_sets_a_new_end_and_one_resume_ends_both(
    make_site: MakeSite,
) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        await site.cli("pause", "--for", "600s")
        assert 300 < (await site.status())["paused_for"] <= 600
        await site.cli("pause", "--for", "2m")
        assert 60 < (await site.status())["paused_for"] <= 120
        async with held_request(site):
            await site.cli("resume")


async def test_a_pause_ends_by_itself(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        # Not with a command, whose own end could come after that of the pause.
        await site.ask("pause", seconds=2)
        async with held_request(site):
            pass
        assert (await site.status())["phase"] == "serving"


async def test_a_pause_survives_a_restart(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        await site.cli("pause", "--for", "5m")
    async with site.running(wait_for="paused"):
        async with held_request(site):
            left = (await site.status())["paused_for"]
            assert 60 < left <= 300
            await site.cli("resume")
    async with site.running():
        pass


async def test_a_swap_completes_during_a_pause(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        await site.cli("pause")
        async with held_request(site) as answers:
            done = await site.cli("swap", site.draft("two"))
            assert (done.code, answers) == (0, [])
            assert (await site.status())["phase"] == "paused"
            await site.cli("resume")
        assert answers[0].json()["text"] == "two"


@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_a_pause_that_begins_during_a_swap_outlasts_it(
    make_site: MakeSite, strategy: str
) -> None:
    site = make_site(swap={"strategy": strategy})
    site.commit("one")
    async with site.running():
        two = site.draft("two")
        barrier = site.put_up("start", two)
        await site.ask("swap", revision=two, wait=False)
        await until("the candidate starts", lambda: len(site.journal("set up")) == 2)
        await site.cli("pause")
        barrier.unlink()

        async def done() -> Any:
            return (await site.status())["last_swap"]["revision"] == two

        await until("the swap is over", done)
        async with held_request(site) as answers:
            await site.cli("resume")
        assert answers[0].json()["text"] == "two"


async def test_a_pause_without_a_sensible_end_is_refused(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        for time in ("0s", "25h", "-1", "soon", "nan", "inf", ""):
            done = await site.cli("pause", f"--for={time}")
            assert done.code == 2, (time, done)
        assert (await site.status())["phase"] == "serving"
