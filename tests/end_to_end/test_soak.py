"""A few swaps under load cost no request and leak nothing; `python -m tests.soak` does many."""

from pathlib import Path

import pytest

from tests import soak


async def test_a_few_swaps_leave_everything_as_it_was(tmp_path: Path) -> None:
    assert await soak.run(tmp_path, 8, warm_up=0) == []


@pytest.mark.parametrize(
    ("memory", "is_flat"),
    [
        pytest.param([50_000] * 30, True, id="the same"),
        pytest.param([40_000] + [50_000] * 29, True, id="warms up"),
        pytest.param(range(40_000, 70_000, 1000), False, id="grows with each swap"),
        pytest.param([40_000] * 20 + [44_000] * 10, False, id="has made a step"),
    ],
)
def test_growth_is_distinguished_from_noise(memory: list[int], is_flat: bool) -> None:
    assert (soak.growth(memory) == []) == is_flat
