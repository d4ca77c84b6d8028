"""The settings file is read as a whole, or without the sites that have mistakes."""

import os
import time
from pathlib import Path

import pytest

from blue_green.config.error import ConfigError
from blue_green.supervisor import settings_file
from tests.support.other_users import NOBODY
from tests.support.settings import MINIMAL, problems_of_sites, site, write_sites

A, B = site(1, "a.org"), site(3, "b.org")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return tmp_path / "supervisor.toml"


def test_all_mistakes_of_all_files_are_reported_at_once(file: Path) -> None:
    table = '[sites.t]\nmax_body = -1\n[sites.t.app]\ncommand = "x"\nport = 1\n'
    found = problems_of_sites(
        file,
        f"[proxy]\nlisten = 1\n{table}",
        a=site(1, "a b", after="stop_timeout = 'x'\n[git]\nbranch = 1"),
        b="[[",
        good=A,
    )
    assert [": ".join(problem.split(": ")[:2]) for problem in found] == [
        "supervisor.toml: [proxy] listen",
        "sites/a.toml: [app] stop_timeout",
        "sites/a.toml: [git] branch",
        "sites/a.toml: hosts",
        "sites/b.toml: is not TOML",
        "supervisor.toml: [sites.t.app] port",
        "supervisor.toml: [sites.t.app] command",
        "supervisor.toml: [sites.t] max_body",
        "supervisor.toml: [sites.t] hosts",
    ]


def test_a_site_with_mistakes_is_left_out(file: Path) -> None:
    write_sites(file, a=A, b="[[", c=site(5, "c.org", "max_bod = 1"))
    settings, problems = settings_file.load_usable(file)
    assert [one.name for one in settings.sites] == ["a"]
    assert {name: len(lines) for name, lines in problems.items()} == {"b": 1, "c": 1}
    with pytest.raises(ConfigError):
        settings_file.load(file)


def test_of_two_sites_with_one_route_the_first_by_name_is_used(file: Path) -> None:
    write_sites(file, a=A, b=site(3, "a.org"), c=site(2, "c.org"))
    settings, problems = settings_file.load_usable(file)
    assert [one.name for one in settings.sites] == ["a"]
    assert list(problems) == ["b", "c"]


def test_of_two_sites_with_one_name_none_is_used(file: Path) -> None:
    """Both have the same state, and whose it is cannot be known."""
    table = '[sites.a]\nhosts = ["x.org"]\n[sites.a.app]\ncommand = ["x"]\nports = [7, 8]\n'
    write_sites(file, table, a=A, b=B)
    settings, problems = settings_file.load_usable(file)
    assert [one.name for one in settings.sites] == ["b"]
    assert list(problems) == ["a"]


def test_no_site_may_be_usable(file: Path) -> None:
    write_sites(file, a="[[")
    settings, problems = settings_file.load_usable(file)
    assert (settings.sites, list(problems)) == ((), ["a"])


@pytest.mark.parametrize(
    "main",
    ["[proxy]\nlisten = []\n", "[proxy]\nlisten = 1\n", "[app]\n", "[admin]\ndrain_delay = 1\n"],
)
def test_a_mistake_of_the_process_is_one_of_all_sites(file: Path, main: str) -> None:
    write_sites(file, main, a=A, b="[[")
    with pytest.raises(ConfigError) as caught:
        settings_file.load_usable(file)
    *of_process, of_site = caught.value.problems
    assert of_process and all(str(file) in problem for problem in of_process)
    assert "sites/b.toml: is not TOML" in of_site


def test_a_mistake_of_the_only_site_is_one_of_the_process(file: Path) -> None:
    file.write_text(f'{MINIMAL}[webhook]\nsecret_file = "x"\n')
    with pytest.raises(ConfigError):
        settings_file.load_usable(file)


def test_500_sites_are_read_in_moderate_time(file: Path) -> None:
    """About 0.4 ms each on a slow machine; the bound is for one that is busy with other tests."""
    sites = {f"s{n}": site(10_000 + 2 * n, f"s{n}.org") for n in range(500)}
    write_sites(file, **sites)
    began = time.process_time()
    assert len(settings_file.load(file).sites) == 500
    assert time.process_time() - began < 5


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_file_that_another_user_can_write_claims_nothing(file: Path) -> None:
    write_sites(file, a=site(1, "b.org"), b=site(3, "b.org"))
    os.chown(file.parent / "sites" / "a.toml", NOBODY.pw_uid, -1)
    settings, problems = settings_file.load_usable(file)
    assert [one.name for one in settings.sites] == ["b"]
    [problem] = problems["a"]
    assert "a.toml: users other than root can write " in problem
