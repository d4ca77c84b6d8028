"""Times to come, as people read them."""

import pytest

from blue_green.cli import moments


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (130.2, "2 min 10 s"),
        (3599.7, "1 h"),
        (14399.5, "4 h"),
        (14340, "3 h 59 min"),
        (86399, "1 d"),
        (180000, "2 d 2 h"),
    ],
)
def test_a_time_to_come_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert moments.left(seconds) == text
