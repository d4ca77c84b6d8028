"""Durations and sizes, as they are written in the settings file."""

import pytest

from blue_green.config.kinds import duration, size
from blue_green.config.units import written


@pytest.mark.parametrize(
    "text", ["0s", "250ms", "1.5s", "90s", "2m", "23h", "59m", "1d", "365d", "25h"]
)
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert written(duration(text), "s") == text


@pytest.mark.parametrize("text", ["0B", "1001B", "16KiB", "1MB", "3GiB", "1500KB"])
def test_a_size_is_written_as_it_is_read(text: str) -> None:
    assert written(size(text), "B") == text


def test_a_share_is_written_as_it_is_read() -> None:
    assert [written(value, "%") for value in (0, 0.5, 10)] == ["0%", "0.5%", "10%"]
