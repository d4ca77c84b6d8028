"""A site that is asleep stays so over restarts, kills and upgrades; a reload may wake it."""

import signal
from collections.abc import Callable

import pytest

from tests.support.site import RealSite
from tests.support.sleeping import (
    SOON,
    held_requests,
    is_asleep,
    sleeping,
    until_asleep,
    until_held,
)
from tests.support.upgrade import upgraded
from tests.waiting import until

MakeSite = Callable[..., RealSite]
pytestmark = pytest.mark.long


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_site_that_was_asleep_stays_asleep_over_a_restart(
    make_site: MakeSite, how: signal.Signals
) -> None:
    site = make_site(idle=SOON)
    one = site.commit("one")
    site.start()
    await site.until_phase("asleep")
    slept = await until_asleep(site)
    await until("it is remembered", lambda: site.remembered().get("sleep", {}).get("since"))
    assert await site.stop(how) == (0 if how is signal.SIGTERM else -how)
    async with site.running(wait_for="asleep"):
        status = await until_asleep(site)
        assert status["sleep"]["since"] == slept["sleep"]["since"]
        assert len(site.journal("start")) == 1
        assert (await site.get("/")).json()["revision"] == one
        assert (await site.status())["sleep"]["wakes"] == 1


async def test_a_commit_from_before_a_restart_is_deployed_though_the_site_is_asleep(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site):
        pass
    two = site.commit("two")
    async with site.running(wait_for="asleep"):

        async def look() -> bool:
            status = await site.status()
            return await is_asleep(site) and bool(status["live"]["revision"] == two)

        await until("it is asleep with the new release", look)


async def test_a_site_stays_asleep_over_an_upgrade_and_wakes_after_it(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site) as one:
        slept = await site.status()
        status = await upgraded(site)
        assert status["sleep"]["since"] == slept["sleep"]["since"]
        assert len(site.journal("start")) == 1
        assert (await site.get("/")).json()["revision"] == one


async def test_a_request_that_waits_for_a_wake_is_answered_after_an_upgrade(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site) as one:
        site.put_up("start", one)
        async with held_requests(site, "/") as answers:
            done = await site.cli("upgrade")
            assert done.code == 0, done.err
            await until_held(site, 1)
            site.take_down_barriers()
        assert answers[0].status == 200
        await until_asleep(site)
        assert site.processes() == []


async def test_a_stop_while_a_site_wakes_refuses_the_request_and_leaves_nothing_behind(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site) as one:
        site.put_up("start", one)
        async with held_requests(site, "/") as answers:
            assert site.process is not None
            site.process.send_signal(signal.SIGTERM)
        assert b"The server is stopping." in answers[0].body


async def test_a_reload_lets_a_site_sleep_and_wakes_it(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        assert (await site.status())["sleep"] is None
        site.configure(idle={"after": "300ms"})
        assert (await site.cli("reload")).code == 0
        await until_asleep(site)
        site.configure(idle={"after": "1h"})
        assert (await site.cli("reload")).code == 0
        assert await is_asleep(site)
        site.configure(idle={"after": None})
        assert (await site.cli("reload")).code == 0
        await site.until_phase("serving")
        assert (await site.status())["sleep"] is None
        assert len((await site.status())["live"]["pids"]) == 1


async def test_a_site_whose_settings_no_longer_let_it_sleep_starts_with_the_supervisor(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site):
        pass
    site.configure(idle={"after": None})
    async with site.running():
        assert len(site.journal("start")) == 2
        assert "since" not in site.remembered()["sleep"]
