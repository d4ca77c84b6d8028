"""Requests a second."""

from collections import Counter

import pytest
import trio
import trio.testing

from blue_green.rate import WINDOW, Rate


async def test_the_rate_is_that_of_the_last_seconds(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    by_status = Counter({200: 1_000_000})
    rate = Rate(by_status)
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


async def test_the_first_moment_is_no_flood(autojump_clock: trio.testing.MockClock) -> None:
    by_status: Counter[int] = Counter()
    rate = Rate(by_status)
    await trio.sleep(0.001)
    by_status[200] += 3
    assert rate.per_second == 3
