"""Pushes that meet another push, or end before their swap."""

from collections.abc import Callable

import pytest
import trio

from tests.support.pushing import Developer, accepting, end_of, until_head
from tests.support.site import RealSite
from tests.support.swaps import outcomes, reaches
from tests.waiting import until

MakeSite = Callable[..., RealSite]

HELD = "while [ -e ../../../held ]; do sleep 0.02; done"


@pytest.mark.long
async def test_a_newer_push_takes_the_place_of_one_that_builds(make_site: MakeSite) -> None:
    site = make_site(release={"build": ["sh", "-c", HELD]})
    first = site.commit("one")
    async with site.running():
        await accepting(site)
        one, other = Developer(site, "one"), Developer(site, "other")
        (site.directory / "held").touch()
        slow = one.commit("slow")
        pushing = one.start()
        await reaches(site, "build")
        newer = other.commit("newer")
        async with trio.open_nursery() as nursery:

            async def push() -> None:
                assert (await other.push()).is_accepted

            nursery.start_soon(push)
            output = await end_of(pushing)
            assert pushing.returncode == 1
            assert f"superseded {slow[:7]}: another deploy was requested" in output
            (site.directory / "held").unlink()
        await until_head(site, newer)
        assert outcomes(site) == [("promoted", first), ("superseded", slow), ("promoted", newer)]


@pytest.mark.long
async def test_a_push_behind_one_that_has_switched_is_refused(make_site: MakeSite) -> None:
    site = make_site(swap={"soak": "3s"})
    site.commit("one")
    async with site.running():
        await accepting(site)
        one, other = Developer(site, "one"), Developer(site, "other")
        ours = one.commit("ours")
        pushing = one.start()
        await reaches(site, "soak")
        other.commit("theirs")
        pushed = await other.push()
        assert not pushed.is_accepted
        assert f"{ours[:7]} was pushed meanwhile and has just gone live: git fetch" in pushed.output
        output = await end_of(pushing)
        assert pushing.returncode == 0, output
        await until_head(site, ours)
        # Two pushes in a row do not disturb each other.
        for text in ("next", "last"):
            last = one.commit(text)
            assert (await one.push()).is_accepted
        await until_head(site, last)
        assert [outcome for outcome, _ in outcomes(site)] == ["promoted"] * 4


@pytest.mark.long
async def test_a_push_that_is_aborted_cancels_its_swap(make_site: MakeSite) -> None:
    site = make_site(release={"build": ["sh", "-c", f"echo it begins; {HELD}"]})
    first = site.commit("one")
    async with site.running():
        await accepting(site)
        developer = Developer(site)
        (site.directory / "held").touch()
        aborted = developer.commit("two")
        pushing = developer.start()
        await reaches(site, "build")
        # As when a connection is lost: git notices that when it next writes, after 5 s.
        pushing.kill()
        await end_of(pushing)
        await until("it is cancelled", lambda: ("superseded", aborted) in outcomes(site))
        why = "superseded (the push was aborted)"
        await until("it is logged", lambda: why in site.log())
        (site.directory / "held").unlink()
        assert (site.head(), (await site.status())["live"]["revision"]) == (first, first)
        assert (await developer.push()).is_accepted
        await until_head(site, aborted)
