"""When a candidate is asked whether it works, and what is concluded."""

import pytest
import trio.testing

from blue_green import health
from blue_green.failure import StepFailed
from blue_green.settings import Health, Period
from tests.site import free_ports


def looks_until(start: float) -> list[float]:
    """When a candidate that begins to listen after so many seconds is asked, up to its answer."""
    looks = [0.0]
    while looks[-1] < start:
        looks.append(looks[-1] + health.pause_at(looks[-1]))
    return looks


@pytest.mark.parametrize(
    ("start", "latest"), [(0.1, 0.11), (0.5, 0.51), (1.0, 1.02), (3.0, 3.05), (60.0, 60.05)]
)
def test_a_candidate_that_listens_is_found_soon(start: float, latest: float) -> None:
    assert start <= looks_until(start)[-1] <= latest


def test_one_that_starts_slowly_is_not_asked_a_hundred_times_a_second() -> None:
    assert len(looks_until(60.0)) < 60 * 25


async def test_one_that_never_listens_is_given_up_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    [port] = free_ports(1)
    with pytest.raises(StepFailed, match=f"not healthy within 60 s: nothing listens on .*{port}"):
        await health.until_healthy("127.0.0.1", port, Health(start_timeout=Period(60)))
    assert trio.current_time() == pytest.approx(60)
