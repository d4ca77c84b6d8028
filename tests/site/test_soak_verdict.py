"""When the verdict applies in a soak, and what it says."""

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from blue_green.config.kinds import Count, Percent, Seconds
from blue_green.config.site_settings import SwapSettings
from blue_green.routing.client_limits import ClientLimits, limited
from blue_green.routing.lease import Target
from blue_green.routing.recent_results import RecentResults
from blue_green.routing.results import Results
from blue_green.site.slot import Slot
from blue_green.site.soak_results import SoakResults
from blue_green.site.soak_verdict import SoakVerdict
from blue_green.site.swap import Swap
from blue_green.site.trigger import Trigger
from tests.support.gates import a_target


def a_slot(requests: int, failed: int, targets: list[Target]) -> Slot:
    """One whose release has served so many requests."""
    results = Results(responses=requests, errors=failed)
    recent = RecentResults(results)
    slot = SimpleNamespace(results=results, recent=recent, open_targets=targets, targets=targets)
    return cast(Slot, slot)


def failure(
    *,
    old: Slot | None = None,
    trigger: Trigger = Trigger.WATCH,
    new: tuple[int, int] = (40, 40),
    clients: Sequence[str] = ("",),
    **settings: Any,
) -> str:
    """What the verdict says of a new release that has failed so many of its requests.

    Each of the `clients` in turn had a failure; an empty name is that of another client each time.
    """
    old = a_slot(1000, 2, [a_target()]) if old is None else old
    candidate = a_slot(3, 3, [a_target()])  # From before the switch: they do not count.
    swap = SimpleNamespace(settings=SimpleNamespace(swap=SwapSettings(**settings)), trigger=trigger)
    limits = ClientLimits()
    verdict = SoakVerdict(cast(Swap, swap), SoakResults(candidate, old), old, limits)
    candidate.results.responses += new[0]
    candidate.results.errors += new[1]
    for number in range(new[1]):
        limits.note_failure(partial(str, clients[number % len(clients)]))
    return str(verdict.failure() or "")


def test_the_reason_has_the_numbers_of_both_releases() -> None:
    assert failure() == (
        "40 of 40 requests failed after the switch (100%), and 2 of 1000 before (0.2%)\n"
        "verdict = false in [swap] turns this comparison off"
    )


def test_no_client_alone_decides_and_no_two() -> None:
    settings: Any = {"verdict_requests": Count(1), "verdict_margin": Percent(0)}
    assert failure(clients=["203.0.113.1"], **settings) == ""
    assert failure(clients=["203.0.113.1", "203.0.113.2"], **settings) == ""
    assert failure(clients=["203.0.113.1", "203.0.113.2", "203.0.113.3"], **settings) == (
        "9 of 9 requests failed after the switch (100%), and 2 of 1000 before (0.2%)\n"
        "not counted: 31 more failures of the same clients\n"
        "verdict = false in [swap] turns this comparison off"
    )


@pytest.mark.parametrize("trigger", list(Trigger))
def test_only_a_rollback_and_a_replacement_get_no_verdict(trigger: Trigger) -> None:
    expected = trigger not in (Trigger.ROLLBACK, Trigger.HEALTH)
    assert bool(failure(trigger=trigger)) is expected


@pytest.mark.parametrize(
    "settings",
    [
        {"verdict": False},
        {"soak": Seconds(0)},
        {"verdict_requests": Count(41)},
        {"verdict_margin": Percent(99)},
    ],
)
def test_settings_can_rule_a_verdict_out(settings: dict[str, Any]) -> None:
    assert failure(**settings) == ""


def test_nothing_is_reverted_to_a_release_that_is_down() -> None:
    assert failure(old=a_slot(1000, 0, [])) == ""


def test_nothing_is_reverted_without_results_of_the_old_release() -> None:
    assert failure(old=a_slot(0, 0, [a_target()])) == ""


def test_a_fix_is_not_reverted_to_a_release_that_has_just_begun_to_fail() -> None:
    old = a_slot(100_000, 0, [a_target()])
    for minute in range(3):
        old.recent.note(60.0 * minute)
        old.results.add(200, 0.01)
    old.results.responses += 50
    old.results.errors += 40
    assert failure(old=old, new=(40, 32)) == ""
    assert failure(old=old, new=(40, 40)).startswith("40 of 40 requests failed")


@pytest.mark.parametrize("few", [1, 3])
def test_a_few_failures_right_before_the_switch_hide_nothing(few: int) -> None:
    old = a_slot(302, 0, [a_target()])
    for minute in range(3):
        old.recent.note(60.0 * minute)
        old.results.add(500 if minute == 2 else 200, 0.01)
    for _ in range(few - 1):
        old.results.add(500, 0.01)
    assert old.recent.last().counts.share >= 0.5
    assert failure(old=old, new=(300, 300)).startswith("300 of 300 requests failed")


async def test_the_verdict_comes_as_soon_as_there_is_enough_to_see(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    old, candidate = a_slot(1000, 0, [a_target()]), a_slot(0, 0, [a_target()])
    settings = SimpleNamespace(swap=SwapSettings())
    swap = cast(Swap, SimpleNamespace(settings=settings, trigger=Trigger.SWAP))
    with limited(candidate.results) as limits:
        verdict = SoakVerdict(swap, SoakResults(candidate, old), old, limits)
    failures = []

    async def wait() -> None:
        failures.append(str(await verdict.until_clearly_worse()))

    def fail() -> None:
        candidate.results.add(500, 0.01)
        limits.note_response(500, 0.01, str)

    nursery.start_soon(wait)
    for _ in range(19):
        fail()
        await trio.sleep(0.1)
    assert failures == []
    fail()
    await trio.sleep(0.2)
    assert failures[0].startswith("20 of 20 requests failed after the switch (100%)")
