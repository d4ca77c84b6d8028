"""Which swaps have a canary."""

from pathlib import Path

import attrs
import pytest

from blue_green.config.kinds import Percent, Period
from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import AppSettings
from blue_green.site.trial_plan import TrialKind, TrialPlan, obstacle, plan_of
from blue_green.site.trigger import Trigger
from tests.support.settings import load


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "supervisor.toml"


def settings(file: Path, more: str = '[swap]\ncanary = "10%"\ncanary_for = "1m"') -> SiteSettings:
    return load(file, more).sites[0]


@pytest.mark.parametrize("trigger", Trigger)
def test_the_settings_ask_for_a_canary_of_each_new_revision(file: Path, trigger: Trigger) -> None:
    is_new = trigger in (Trigger.WATCH, Trigger.PUSH, Trigger.SWAP)
    canary = TrialPlan(TrialKind.CANARY, Period(60), Percent(10))
    assert plan_of(None, trigger, settings(file)) == (canary if is_new else None)


def test_without_the_setting_there_is_no_canary(file: Path) -> None:
    assert plan_of(None, Trigger.WATCH, settings(file, "")) is None


@pytest.mark.parametrize("kind", TrialKind)
def test_a_request_takes_precedence_over_the_settings(file: Path, kind: TrialKind) -> None:
    plan = TrialPlan(kind, 5, 20)
    assert plan_of(plan, Trigger.SWAP, settings(file)) == plan


def test_a_canary_for_nobody_is_none(file: Path) -> None:
    assert plan_of(TrialPlan(TrialKind.CANARY, 5), Trigger.SWAP, settings(file)) is None


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("", ""),
        ('[swap]\nstrategy = "exclusive"', 'strategy = "exclusive"'),
        ("[release]\nin_place = true", "in_place = true"),
    ],
)
def test_two_releases_at_once_are_needed(file: Path, more: str, why: str) -> None:
    for kind in TrialKind:
        assert why in obstacle(settings(file, more), kind)
        assert bool(why) == bool(obstacle(settings(file, more), kind))


def test_a_static_site_has_previews_and_no_canaries(file: Path) -> None:
    static = attrs.evolve(settings(file, ""), app=AppSettings())
    assert static.is_static
    assert obstacle(static, TrialKind.PREVIEW) == ""
    assert "look at the release with --preview" in obstacle(static, TrialKind.CANARY)


@pytest.mark.parametrize(
    ("plan", "options"),
    [
        (TrialPlan(TrialKind.CANARY, 5400, 12.5), "--canary 12.5% --for 90m"),
        (TrialPlan(TrialKind.CANARY, 600, 0, has_own_time=False), "--canary 0%"),
        (TrialPlan(TrialKind.PREVIEW, 1.5), "--preview --for 1.5s"),
        (TrialPlan(TrialKind.PREVIEW, 14400, has_own_time=False), "--preview"),
    ],
)
def test_the_options_are_those_that_somebody_has_typed(plan: TrialPlan, options: str) -> None:
    assert " ".join(plan.options) == options
