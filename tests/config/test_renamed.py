"""A setting that was renamed still works with its old name."""

from pathlib import Path

import pytest

from blue_green.config.kinds import Seconds
from tests.support.settings import load, problems


def test_an_old_name_works_and_the_new_one_is_logged(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(file, '[swap]\ntunnel_timeout = "7s"\n').sites[0].swap.stream_timeout == Seconds(7)
    said = f"{file}: [swap] tunnel_timeout is now called stream_timeout: please rename it"
    assert caplog.messages == [said]


def test_an_old_name_beside_the_new_one_is_an_error(file: Path) -> None:
    [problem] = problems(file, '[swap]\ntunnel_timeout = "7s"\nstream_timeout = "8s"\n')
    assert problem == "[swap] tunnel_timeout: is unknown; did you mean stream_timeout?"
