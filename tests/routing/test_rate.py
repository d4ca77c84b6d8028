"""Requests per second, and the counts of each of the last seconds."""

import time
from itertools import pairwise

import pytest
import trio
import trio.testing

from blue_green.config.kinds import Endpoint
from blue_green.config.site_settings import HoldSettings
from blue_green.routing.gate import Gate
from blue_green.routing.lease import Outcome, Target
from blue_green.routing.rate import KEPT, RELAXED_INTERVAL, WINDOW, Rate


async def test_the_rate_covers_the_last_seconds(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    gate = Gate(HoldSettings())
    by_status = gate.by_status
    by_status[200] = 1_000_000
    rate = Rate(gate)
    nursery.start_soon(rate.run)
    assert rate.per_second == 0
    for _ in range(3 * WINDOW):
        by_status[200] += 40
        by_status[503] += 2
        await trio.sleep(1)
    assert rate.per_second == pytest.approx(42, rel=0.15)
    await trio.sleep(WINDOW / 2)
    assert rate.per_second == pytest.approx(21, rel=0.3)
    await trio.sleep(WINDOW)
    assert rate.per_second == 0


async def test_the_rate_of_the_first_moment_is_not_exaggerated(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate = Gate(HoldSettings())
    by_status = gate.by_status
    rate = Rate(gate)
    await trio.sleep(0.001)
    by_status[200] += 3
    assert rate.per_second == 3


async def test_each_second_counts_its_requests_by_status_class(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    gate = Gate(HoldSettings())
    by_status = gate.by_status
    by_status[200] = 1_000_000
    rate = Rate(gate)
    nursery.start_soon(rate.run)
    await trio.sleep(0.5)
    by_status.update({101: 1, 200: 2, 204: 1, 304: 4, 404: 5, 499: 1, 503: 7, 999: 1})
    await trio.sleep(1)
    by_status[200] += 9
    await trio.sleep(1)
    assert [list(second.ended) for second in rate.since(0)] == [[1, 3, 4, 6, 8], [0, 9, 0, 0, 0]]
    assert [list(second.ended) for second in rate.since(1)] == [[0, 9, 0, 0, 0]]
    assert (rate.since(rate.end), rate.end) == ([], 2)


async def test_a_hold_shows_in_each_second_that_it_touches(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    gate = Gate(HoldSettings())
    rate = Rate(gate)
    nursery.start_soon(rate.run)
    target = Target(Endpoint("127.0.0.1", 1), "blue", "a" * 40)

    async def ask() -> None:
        (await gate.acquire()).end(Outcome.RESPONDED)

    await trio.sleep(0.5)
    for _ in range(3):
        nursery.start_soon(ask)
    await trio.sleep(0.2)
    gate.switch([target])
    await trio.sleep(1)
    gate.switch([])
    nursery.start_soon(ask)
    await trio.sleep(2)
    gate.switch([target])
    await trio.sleep(2)
    assert [second.held for second in rate.since(0)] == [3, 1, 1, 1, 0]


async def test_only_the_last_minutes_are_remembered(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    gate = Gate(HoldSettings())
    by_status = gate.by_status
    rate = Rate(gate)
    nursery.start_soon(rate.run)
    await trio.sleep(0.5)
    for number in range(KEPT + 5):
        by_status[200] += number
        await trio.sleep(1)
    kept = [second.ended[1] for second in rate.since(0)]
    assert kept == list(range(5, KEPT + 5)), "a reader who asks for more gets what there is"
    assert [second.ended[1] for second in rate.since(rate.end - 2)] == kept[-2:]


@pytest.fixture
def gate() -> Gate:
    return Gate(HoldSettings())


@pytest.fixture
async def asleep(autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, gate: Gate) -> Rate:
    """The rate of a site that is asleep, and has had no requests for a while."""
    rate = Rate(gate)
    nursery.start_soon(rate.run)
    gate.by_status[200] = 5
    await trio.sleep(0.5)
    rate.relax(is_asleep=True)
    await trio.sleep(2 * WINDOW)
    rate.since(0)
    return rate


async def test_a_site_that_is_asleep_is_looked_at_rarely(
    autojump_clock: trio.testing.MockClock, asleep: Rate, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, now = 0, time.time

    def counted() -> float:
        nonlocal looks
        looks += 1
        return now()

    monkeypatch.setattr(time, "time", counted)  # Each look notes the time once.
    await trio.sleep(10 * RELAXED_INTERVAL + 5)
    assert looks == 10
    asleep.relax(is_asleep=False)
    looks = 0
    await trio.sleep(30.5)
    assert looks == 30


async def test_who_looks_at_a_site_that_is_asleep_sees_all_seconds_until_now(
    autojump_clock: trio.testing.MockClock,
    asleep: Rate,
    gate: Gate,
) -> None:
    end = asleep.end
    await trio.sleep(RELAXED_INTERVAL / 2)
    assert [list(second.ended) for second in asleep.since(end)] == [[0] * 5] * 30
    assert asleep.end == end + 30
    gate.by_status.update({200: 7, 500: 3})
    await trio.sleep(1)
    assert asleep.recent_errors == 3
    assert [list(second.ended) for second in asleep.since(end + 30)] == [[0, 7, 0, 0, 3]]
    await trio.sleep(KEPT + 5)
    assert (asleep.recent_errors, asleep.per_second) == (0, 0)


async def test_requests_to_a_site_that_is_asleep_are_spread_over_the_time_since_the_last_look(
    autojump_clock: trio.testing.MockClock,
    asleep: Rate,
    gate: Gate,
) -> None:
    """Files are served, too, while it sleeps: then each second is looked at again for a while."""
    end = asleep.end
    await trio.sleep(10.1)
    gate.by_status[200] += 25
    seconds = asleep.since(end)
    assert [second.ended[1] for second in seconds] == [2, 3] * 5
    assert [after.at - before.at for before, after in pairwise(seconds)] == pytest.approx(
        [1.01] * 9
    )
    assert asleep.per_second == pytest.approx(2.5, rel=0.1)
    await trio.sleep(1.1)
    gate.by_status[200] += 9
    await trio.sleep(1.2)
    assert [second.ended[1] for second in asleep.since(end + 10)] == [0, 9]


async def test_waking_notes_what_it_was_held_for_in_its_own_second(
    autojump_clock: trio.testing.MockClock, asleep: Rate, gate: Gate, nursery: trio.Nursery
) -> None:
    end = asleep.end
    await trio.sleep(20)

    async def ask() -> None:
        (await gate.acquire()).end(Outcome.RESPONDED)

    nursery.start_soon(ask)
    await trio.sleep(0.1)
    asleep.relax(is_asleep=False)
    await trio.sleep(1.5)
    assert [second.held for second in asleep.since(end)] == [*[0] * 19, 1, 1]
