"""A new release that does not answer is never promoted, whether its probes succeed or not."""

import os
import re
import signal
from collections.abc import Callable

import pytest

from tests.support.site import RealSite
from tests.support.swaps import outcomes, reaches
from tests.support.visitors import PROXIES, Visitors

MakeSite = Callable[..., RealSite]

CUT_SOON = {"drain_timeout": "500ms"}
"""Requests that hang in the release that is reverted go to the live one then."""


async def stop_candidate(site: RealSite, key: str) -> None:
    """Stop the process of the new release, which then hangs."""
    [pid] = (await site.status())[key]["pids"]
    os.kill(pid, signal.SIGSTOP)


@pytest.mark.long
async def test_a_canary_that_hangs_is_reverted(make_site: MakeSite) -> None:
    site = make_site(proxy=PROXIES, swap=CUT_SOON)
    one = site.commit("one")
    async with site.running(), Visitors(site.port).going_on() as visitors:
        two = site.draft("two")
        await site.ask("swap", revision=two, canary=80, wait=False)
        await reaches(site, "canary")
        await stop_candidate(site, "candidate")
        status = await site.until_live(one)
        why = status["quarantined"][two]
        assert "requests of the canary failed" in why
        assert "of them without a response, and 0 of" in why
        await visitors.all_got_more()
        assert visitors.who_got(one) == set(visitors.last())
    assert visitors.failures == []
    assert outcomes(site)[-1] == ("reverted", two)


@pytest.mark.long
async def test_a_canary_that_hangs_is_not_promoted_when_its_time_is_over(
    make_site: MakeSite,
) -> None:
    """Its probes succeed, and no request has waited for long by then."""
    site = make_site(proxy=PROXIES, swap=CUT_SOON)
    one = site.commit("one")
    async with site.running(), Visitors(site.port, count=24).going_on() as visitors:
        await visitors.all_got_more()
        two = site.draft("two", takes=60)
        receipt = await site.ask("swap", revision=two, canary=50, seconds=1)
        assert receipt["outcome"] == "reverted", receipt["reason"]
        assert re.match(r"(\d+) of \1 requests of the canary failed \(100%\)", receipt["reason"])
        await visitors.all_got_more()
        assert visitors.who_got(one) == set(visitors.last())
    assert visitors.failures == []


@pytest.mark.long
async def test_a_release_whose_page_hangs_is_reverted_though_its_soak_is_shorter(
    make_site: MakeSite,
) -> None:
    site = make_site(proxy=PROXIES, swap={"soak": "1s", **CUT_SOON})
    one = site.commit("one")
    async with site.running(), Visitors(site.port).going_on() as visitors:
        await visitors.all_got_more()
        receipt = await site.ask("swap", revision=site.draft("two", takes=60))
        assert receipt["outcome"] == "reverted"
        why = (
            r"(\d+) of \1 requests failed after the switch \(100%\), \1 of them without a response"
        )
        assert re.match(why, receipt["reason"])
        assert 3 < receipt["seconds"]["wait for responses"] < 8
        await visitors.all_got_more()
        assert visitors.who_got(one) == set(visitors.last())
    assert visitors.failures == []


@pytest.mark.long
async def test_a_page_that_is_slow_in_both_releases_is_no_evidence(make_site: MakeSite) -> None:
    site = make_site(proxy=PROXIES, swap={"soak": "6s"})
    site.commit("one", takes=2)
    async with site.running(), Visitors(site.port).going_on() as visitors:
        await visitors.all_got_more(2)
        two = site.draft("two", takes=5.5)
        receipt = await site.ask("swap", revision=two)
        assert (receipt["outcome"], receipt["reason"]) == ("promoted", "")
    assert visitors.failures == []


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_a_release_without_requests_is_not_promoted_while_its_last_probe_is_unanswered(
    make_site: MakeSite, strategy: str
) -> None:
    site = make_site(
        swap={"soak": "3s", "strategy": strategy},
        health={"path": "/healthz", "timeout": "1s", "fall": 4},
    )
    one = site.commit("one")
    async with site.running():
        two = site.draft("two")
        await site.ask("swap", revision=two, wait=False)
        await reaches(site, "soak")
        await stop_candidate(site, "live")
        await site.until_live(one)
    assert outcomes(site)[-1] == ("reverted", two)
