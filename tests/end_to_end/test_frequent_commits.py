"""Commits that arrive faster than a build takes still go live."""

from collections.abc import Callable
from pathlib import Path

from tests.support.site import RealSite
from tests.support.swaps import outcomes, reaches
from tests.waiting import until

MakeSite = Callable[..., RealSite]


def slow_to_build(make_site: MakeSite) -> tuple[RealSite, Path]:
    """A site, and the file that its builds wait to see gone."""
    site = make_site()
    held = site.directory / "held"
    site.configure(release={"build": ["sh", "-c", f"while [ -e {held} ]; do sleep 0.02; done"]})
    return site, held


async def until_building(site: RealSite, number: int) -> None:
    """Wait until so many builds have begun, and the last one is at work."""
    begun = "triggered by a new commit"
    await until(f"swap {number} has begun", lambda: site.log().count(begun) >= number)
    await reaches(site, "build")


async def until_wanted(site: RealSite, revision: str) -> None:
    async def is_wanted() -> bool:
        return bool((await site.status())["wanted"] == revision)

    await until(f"{revision[:7]} is wanted", is_wanted)


async def test_after_a_superseded_swap_a_commit_does_not_cancel_the_next_one(
    make_site: MakeSite,
) -> None:
    site, held = slow_to_build(make_site)
    first = site.commit("first")
    async with site.running():
        held.touch()
        one = site.commit("one")
        await until_building(site, 2)
        two = site.commit("two")
        await until_building(site, 3)
        for text in ("three", "four"):
            last = site.commit(text)
            await until_wanted(site, last)
        held.unlink()
        await site.until_live(last)
        await until("it is remembered", lambda: outcomes(site)[-1] == ("promoted", last))
        assert outcomes(site) == [
            ("promoted", first),
            ("superseded", one),
            ("promoted", two),
            ("promoted", last),
        ]


async def test_a_swap_command_cancels_a_swap_that_commits_do_not_cancel(
    make_site: MakeSite,
) -> None:
    site, held = slow_to_build(make_site)
    first = site.commit("first")
    async with site.running():
        held.touch()
        site.commit("one")
        await until_building(site, 2)
        two = site.commit("two")
        await until_building(site, 3)
        asked = site.draft("asked for")
        await site.ask("swap", revision=asked, wait=False)
        await until("two is called off", lambda: ("superseded", two) in outcomes(site))
        held.unlink()
        status = await site.until_live(asked)
        assert status["previous"] == first
