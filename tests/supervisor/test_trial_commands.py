"""What `swap --canary` and `swap --preview` ask for."""

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from blue_green.control.server import Refusal
from blue_green.site.deploy_request import DeployRequest
from blue_green.site.site import Site
from blue_green.site.swap import Swap
from blue_green.site.trial_plan import TrialKind, TrialPlan
from blue_green.site.trigger import Trigger
from blue_green.supervisor import trial_commands
from blue_green.supervisor.no_arguments import NoArguments
from tests.support import site_parts
from tests.support.repository import Repository


def a_site(directory: Path, *, live: bool = True, **swap: Any) -> Site:
    checkout = Repository(directory / "checkout").path
    [site] = site_parts.make_single(directory / "state", checkout, swap=swap)
    if live:
        site_parts.go_live(site)
    return site


def plan(site: Site, **asked: Any) -> TrialPlan | None:
    return trial_commands.plan(
        site, **{"percent": None, "preview": False, "seconds": None, **asked}
    )


async def test_without_options_the_settings_decide(tmp_path: Path) -> None:
    assert plan(a_site(tmp_path, canary="10%")) is None


async def test_a_canary_lasts_as_long_as_the_settings_say_unless_a_time_is_named(
    tmp_path: Path,
) -> None:
    site = a_site(tmp_path, canary="10%", canary_for="2m")
    canary = TrialKind.CANARY
    assert plan(site, percent=20.0) == TrialPlan(canary, 120, 20, has_own_time=False)
    assert plan(site, percent=20.0, seconds=5.0) == TrialPlan(canary, 5, 20)
    assert plan(site, seconds=5.0) == TrialPlan(canary, 5, 10)
    assert plan(site, percent=0.0) == TrialPlan(canary, 120, 0, has_own_time=False)


async def test_a_preview_lasts_for_four_hours_unless_a_time_is_named(tmp_path: Path) -> None:
    site = a_site(tmp_path)
    assert plan(site, preview=True) == TrialPlan(TrialKind.PREVIEW, 4 * 3600, has_own_time=False)
    assert plan(site, preview=True, seconds=60.0) == TrialPlan(TrialKind.PREVIEW, 60)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"percent": 101.0}, "must be between 0% and 100%"),
        ({"percent": 5.0, "preview": True}, "but not both"),
        ({"seconds": 5.0}, "add --canary 10% or --preview"),
        ({"percent": 5.0, "seconds": 0.0}, "longer than 0 s and at most 30 days"),
        ({"percent": 5.0, "seconds": 9e9}, "longer than 0 s and at most 30 days"),
    ],
)
async def test_nonsense_is_refused(tmp_path: Path, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(Refusal, match=why) as refused:
        plan(a_site(tmp_path), **asked)
    assert refused.value.usage


async def test_it_is_refused_before_anything_is_live_and_where_two_releases_cannot_run(
    tmp_path: Path,
) -> None:
    with pytest.raises(Refusal, match="nothing is live that could serve all others"):
        plan(a_site(tmp_path / "a", live=False), percent=5.0)
    with pytest.raises(Refusal, match='strategy = "exclusive"'):
        plan(a_site(tmp_path / "b", strategy="exclusive"), preview=True)


@pytest.mark.parametrize("kind", list(TrialKind))
async def test_a_time_that_is_over_is_refused(
    tmp_path: Path, kind: TrialKind, autojump_clock: trio.testing.MockClock
) -> None:
    """Otherwise a canary would go live at once, and the link of a preview would lead nowhere."""
    site = a_site(tmp_path)
    site_parts.put_on_trial(site, TrialPlan(kind, 600, 5))
    await trio.sleep(60)
    short, long = TrialPlan(kind, 60, 5), TrialPlan(kind, 61, 5)
    with pytest.raises(Refusal, match=f"the {kind} of bbbbbbb began 60 s ago, and --for counts"):
        trial_commands.check_time(site, "b" * 40, short)
    trial_commands.check_time(site, "b" * 40, long)
    trial_commands.check_time(site, "c" * 40, short)
    trial_commands.check_time(site, "b" * 40, TrialPlan(kind, 60, 5, has_own_time=False))
    trial_commands.check_time(site, "b" * 40, None)


@pytest.mark.parametrize("command", [trial_commands.promote, trial_commands.abort])
async def test_there_must_be_something_to_decide(tmp_path: Path, command: Any) -> None:
    with pytest.raises(Refusal, match="there is no canary and no preview"):
        await command(a_site(tmp_path), None, None)


@pytest.mark.parametrize(
    ("percent", "is_past_switch", "promoted", "aborted"),
    [
        (10.0, False, "To go live without a canary: blue-green swap bbbbbbb --canary 0%", ""),
        (0.0, False, "no preview: the swap to bbbbbbb .build. goes live by itself", ""),
        (0.0, True, "the swap to bbbbbbb .build. has switched", "go back: blue-green rollback"),
    ],
)
async def test_what_cannot_be_promoted_or_aborted_is_refused_with_what_to_do(
    tmp_path: Path, percent: float, is_past_switch: bool, promoted: str, aborted: str
) -> None:
    site = a_site(tmp_path)
    request = DeployRequest("b" * 40, Trigger.SWAP, plan=plan(site, percent=percent))
    site.queue.current = swap = Swap(site, request, lambda _: None)
    swap.phase, swap.is_past_switch = "build", is_past_switch
    with pytest.raises(Refusal, match=promoted):
        await trial_commands.promote(site, NoArguments(), ignore)
    if aborted:
        with pytest.raises(Refusal, match=aborted):
            await trial_commands.abort(site, NoArguments(), ignore)


async def ignore(_: dict[str, Any]) -> None:
    pass
