"""How delays grow."""

import pytest

from blue_green.system.backoff import delay_after


def test_delays_double_up_to_a_limit() -> None:
    delays = [delay_after(failures, first=0.5, longest=5) for failures in range(1, 7)]
    assert delays == [0.5, 1, 2, 4, 5, 5]


@pytest.mark.parametrize("failures", [1025, 1026, 10**6])
def test_failures_may_go_on_for_ever(failures: int) -> None:
    assert delay_after(failures, first=1, longest=60) == 60
