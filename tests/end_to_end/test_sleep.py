"""A site that nobody uses is stopped, and the next request starts it again."""

from collections.abc import Callable

from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

SOON = {"after": "300ms"}


async def until_asleep(site: RealSite) -> None:
    async def is_asleep() -> bool:
        sleep = (await site.status())["sleep"]
        return bool(sleep and sleep["since"])

    await until("the site is asleep", is_asleep)


async def test_a_site_falls_asleep_and_the_next_request_wakes_it(make_site: MakeSite) -> None:
    site = make_site(idle=SOON)
    site.commit("one")
    async with site.running():
        await until_asleep(site)
        assert site.processes() == []
        status = await site.status()
        assert (status["phase"], status["live"]["pids"], status["down"]) == ("asleep", [], "")
        answer = await site.get("/")
        assert answer.status == 200
        status = await site.status()
        assert status["sleep"]["wakes"] == 1
        assert 0 < status["sleep"]["last_wake_seconds"] < 10
        await until_asleep(site)
