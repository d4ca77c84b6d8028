"""What the visitors of a canary get decides, too."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.site import RealSite
from tests.support.swaps import outcomes, reaches
from tests.support.visitors import PROXIES, Visitors

MakeSite = Callable[..., RealSite]


async def test_a_canary_whose_pages_fail_is_reverted_before_its_time_is_over(
    make_site: MakeSite, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    site = make_site(proxy=PROXIES, notify={"command": ["sh", "-c", f"cat >>{told}"]})
    one = site.commit("one")
    visitors = Visitors(site.port, expects=(200, 500))
    async with site.running(), visitors.going_on():
        two = site.draft("two", fails=0.6)
        await site.ask("swap", revision=two, canary=40, wait=False)
        await reaches(site, "canary")
        status = await site.until_live(one)
        why = status["quarantined"][two]
        assert "requests of the canary failed" in why
        assert "of the live release (0%)" in why
        await visitors.all_got_more()
        assert visitors.who_got(one) == set(visitors.last())
    assert visitors.failures == []
    begun, reverted = [json.loads(line) for line in told.read_text().splitlines()[-2:]]
    assert (begun["event"], begun["outcome"], begun["revision"]) == ("canary", "begun", two)
    assert begun["reason"].startswith("for 40% of the clients, for 10m: blue-green promote makes")
    assert (reverted["event"], reverted["outcome"]) == ("swap", "reverted")
    receipt = site.remembered()["history"][-1]
    assert receipt["outcome"] == "reverted"
    assert receipt["trial_results"]["failed"] > 0
    assert receipt["trial_live_results"]["failed"] == 0
    assert "results" not in receipt, "there was no soak"


@pytest.mark.long
@pytest.mark.parametrize("canary", [0, 100])
async def test_two_clients_alone_get_no_release_reverted(
    make_site: MakeSite, canary: float
) -> None:
    site = make_site(proxy=PROXIES, swap={"soak": "3s", "verdict_requests": 5})
    site.commit("one")
    visitors = Visitors(site.port, count=2, expects=(200, 500))
    async with site.running(), visitors.going_on():
        await visitors.all_got_more(40)
        two = site.draft("two", fails=1.0)
        receipt = await site.ask("swap", revision=two, canary=canary, seconds=2)
        assert receipt["outcome"] == "promoted", receipt
        assert receipt["results"]["failed"] > 20
        assert canary == 0 or receipt["trial_results"]["failed"] > 20
    assert visitors.failures == []


@pytest.mark.long
async def test_a_canary_that_is_clearly_slower_is_reverted(make_site: MakeSite) -> None:
    site = make_site(proxy=PROXIES)
    one = site.commit("one")
    async with site.running(), Visitors(site.port, count=60).going_on() as visitors:
        two = site.draft("two", takes=0.4)
        await site.ask("swap", revision=two, canary=50, wait=False)
        await reaches(site, "canary")
        status = await site.until_live(one)
        assert status["quarantined"][two].startswith("the canary is slower: its 95th percentile")
    assert visitors.failures == []
    assert outcomes(site)[-1] == ("reverted", two)


@pytest.mark.long
async def test_a_canary_that_is_as_good_as_the_live_release_goes_live(
    make_site: MakeSite,
) -> None:
    site = make_site(proxy=PROXIES, app={"env": {"FAILS": "0.1"}})
    site.commit("one")
    visitors = Visitors(site.port, expects=(200, 500))
    async with site.running(), visitors.going_on():
        two = site.draft("two")
        receipt = await site.ask("swap", revision=two, canary=50, seconds=3)
        assert (receipt["outcome"], receipt["reason"]) == ("promoted", "")
        assert receipt["trial_results"]["requests"] > 20
        assert receipt["trial_live_results"]["requests"] > 20
    assert visitors.failures == []


@pytest.mark.long
async def test_a_canary_without_traffic_goes_live_and_says_so(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        receipt = await site.ask("swap", revision=site.draft("two"), canary=50, seconds=0.5)
        why = "too few requests in its canary for a verdict: 0, and 0 of the live release"
        assert (receipt["outcome"], receipt["reason"]) == ("promoted", why)
