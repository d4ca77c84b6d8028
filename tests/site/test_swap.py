"""How a swap can be ended before its switch, and how it can be requested again."""

from pathlib import Path
from typing import Any

import pytest

from blue_green.site.deploy_request import DeployRequest
from blue_green.site.site import Site
from blue_green.site.swap import Swap
from blue_green.site.trial_plan import TrialKind, TrialPlan
from blue_green.site.trigger import Trigger
from tests.support import site_parts
from tests.support.repository import Repository

CANARY = TrialPlan(TrialKind.CANARY, 600, 10, has_own_time=False)
PREVIEW = TrialPlan(TrialKind.PREVIEW, 600)


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    """One of several."""
    [site] = site_parts.make_single(tmp_path / "state", Repository(tmp_path / "checkout").path)
    site.served.name = "blog"
    return site


def ignore(_: dict[str, Any]) -> None:
    pass


def swap_of(site: Site, plan: TrialPlan | None = None, *, rebuild: bool = False) -> Swap:
    request = DeployRequest("b" * 40, Trigger.SWAP, rebuild=rebuild, plan=plan)
    return Swap(site, request, ignore)


@pytest.mark.parametrize("plan", [None, CANARY, PREVIEW])
async def test_a_swap_is_aborted_until_it_has_switched(site: Site, plan: TrialPlan | None) -> None:
    swap = swap_of(site, plan)
    assert swap.abort("enough")
    assert swap.until_switch.cancel_called
    assert (swap.is_aborted, swap.why_superseded) == (True, "enough")
    switched = swap_of(site, plan)
    switched.is_past_switch = True
    assert not switched.abort("enough")
    assert not switched.until_switch.cancel_called


async def test_a_newer_request_does_not_change_why_a_swap_was_aborted(site: Site) -> None:
    swap = swap_of(site)
    swap.is_migrating = True  # It ends after that.
    swap.abort("enough")
    swap.supersede()
    assert swap.why_superseded == "enough"
    assert not swap.until_switch.cancel_called


async def test_a_rollback_ends_the_build_before_a_canary_and_not_that_before_a_preview(
    site: Site,
) -> None:
    for plan, is_ended in ((CANARY, True), (PREVIEW, False), (None, False)):
        assert swap_of(site, plan).roll_back() == is_ended


async def test_the_command_for_the_same_swap_has_its_options(site: Site) -> None:
    assert swap_of(site).command() == "blue-green swap --site blog bbbbbbb"
    assert swap_of(site, CANARY).command("--retry") == (
        "blue-green swap --site blog --retry bbbbbbb --canary 10%"
    )
    assert swap_of(site, PREVIEW, rebuild=True).command() == (
        "blue-green swap --site blog --rebuild bbbbbbb --preview --for 10m"
    )
