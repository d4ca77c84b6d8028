"""`upgrade` with several sites: the new program takes over all of them."""

import json
from collections.abc import Callable

import pytest
import trio

from tests.support.several_sites import SeveralSites
from tests.waiting import until

MakeSites = Callable[..., SeveralSites]


async def upgraded(sites: SeveralSites) -> None:
    """Upgrade, as a person would; no backend may be another one than before."""
    before = await sites.pids()
    done = await sites.cli("upgrade", "--json")
    assert done.code == 0, done.err + sites.log()
    assert "version" in json.loads(done.out)
    with trio.move_on_after(
        5
    ):  # Each site takes over what it had as soon as it has read its state.
        while None in (await sites.pids()).values():
            await trio.sleep(0.02)
    assert await sites.pids() == before


async def test_an_upgrade_under_load_drops_no_request_of_any_site(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop", "wiki")
    async with sites.running(), sites.loaded() as loads:
        for text in ("two", "three"):
            await upgraded(sites)
            for load in loads.values():
                await load.more(20)
            for name, load in loads.items():
                await sites.until_live(name, sites[name].commit(text))
                await load.until_text(f"{name} {text}")
    assert set(loads["wiki"].texts) == {"wiki one", "wiki two", "wiki three"}


async def test_held_requests_and_pauses_of_each_site_survive_an_upgrade(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "shop", "wiki")
    answered: list[str] = []

    async def request(name: str) -> None:
        assert (await sites.get(name)).status == 200
        answered.append(name)

    async def held(name: str, count: int) -> bool:
        return bool((await sites.status_of(name))["held"] == count)

    async with sites.running(), sites.loaded("wiki"), trio.open_nursery() as nursery:
        for name in ("blog", "shop"):
            await sites.ask("pause", site=name, seconds=60)
            nursery.start_soon(request, name)
            await until("it is held", lambda name=name: held(name, 1))
        await upgraded(sites)
        for name in ("shop", "blog"):
            await until("it is held again", lambda name=name: held(name, 1))
            await sites.ask("resume", site=name)
            await until(f"{name} has answered", lambda name=name: name in answered)
    assert answered == ["shop", "blog"]


@pytest.mark.long
async def test_a_site_that_crashes_does_not_prevent_an_upgrade(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running(), sites.loaded("blog"):
        sites["shop"].commit("two", raises="broken")

        async def is_quarantined() -> bool:
            return bool((await sites.status_of("shop"))["quarantined"])

        await until("it has failed", is_quarantined)
        await upgraded(sites)
        assert await sites.text_of("shop") == "one"
        assert (await sites.status_of("shop"))["quarantined"]


@pytest.mark.long
async def test_a_site_whose_swap_never_ends_can_be_removed_while_an_upgrade_waits_for_it(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "wiki")
    codes: list[int] = []

    async def upgrade() -> None:
        codes.append((await sites.cli("upgrade")).code)

    async with sites.running(), trio.open_nursery() as nursery:
        sites.change("wiki", release={"build": ["sleep", "600"]})
        assert (await sites.cli("reload")).code == 0
        sites["wiki"].commit("two")
        await sites.until_phase("wiki", "swapping")
        nursery.start_soon(upgrade)
        await sites.until_logged("the upgrade waits for the swap or pull of wiki")
        sites.file_of("wiki").unlink()
        assert (await sites.cli("reload")).code == 0
        await until("the upgrade is done", lambda: codes)
        assert codes == [0], sites.log()
        assert await sites.text_of("blog") == "one"
        assert list(sites.processes()) == ["blog"]


async def test_an_upgrade_after_which_a_site_could_not_run_is_refused(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "wiki")
    async with sites.running():
        pids = await sites.pids()
        sites.change("wiki", app={"user": "no-such-user"})
        done = await sites.cli("upgrade")
        assert (done.code, "no-such-user" in done.err) == (1, True), done
        assert await sites.pids() == pids
        assert await sites.text_of("wiki") == "one"
