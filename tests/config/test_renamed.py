"""A setting that was renamed still works with its old name."""

from pathlib import Path

import pytest

from blue_green.config.kinds import Seconds
from blue_green.supervisor import settings_file
from tests.support.settings import load, problems, site, write_sites


def test_an_old_name_works_and_the_new_one_is_logged(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(file, '[swap]\ntunnel_timeout = "7s"\n').sites[0].swap.stream_timeout == Seconds(7)
    said = f"{file}: [swap] tunnel_timeout is now called stream_timeout: please rename it"
    assert caplog.messages == [said]


def test_an_old_name_works_in_each_of_several_sites(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = '[swap]\ntunnel_timeout = "7s"'
    table = '[sites.b]\nhosts = ["b.org"]\n[sites.b.app]\ncommand = ["x"]\nports = [3, 4]\n'
    table += '[sites.b.swap]\ntunnel_timeout = "8s"\n'
    write_sites(file, table, a=site(1, "a.org", after=old))
    a, b = settings_file.load(file).sites
    assert [a.swap.stream_timeout, b.swap.stream_timeout] == [Seconds(7), Seconds(8)]
    advice = "tunnel_timeout is now called stream_timeout: please rename it"
    assert caplog.messages == [
        f"{file.parent}/sites/a.toml: [swap] {advice}",
        f"{file}: [sites.b.swap] {advice}",
    ]


def test_an_old_name_beside_the_new_one_is_an_error(file: Path) -> None:
    [problem] = problems(file, '[swap]\ntunnel_timeout = "7s"\nstream_timeout = "8s"\n')
    assert problem == "[swap] tunnel_timeout: is unknown; did you mean stream_timeout?"
