"""Changes of several sites: their names, and sites that are added and removed."""

from pathlib import Path

import attrs

from blue_green.config import change_text
from blue_green.config.changes import changes, in_force
from blue_green.config.effects import Effect
from blue_green.config.settings import Settings
from blue_green.supervisor import settings_file
from tests.support.settings import MINIMAL, load, site, write_sites

A, B = site(1, "a.org"), site(3, "b.org")


def read(file: Path, main: str = "", **sites: str) -> Settings:
    for old in file.parent.glob("sites/*"):
        old.unlink()
    write_sites(file, main, **sites)
    return settings_file.load(file)


def described(old: Settings, new: Settings) -> list[str]:
    return change_text.changes([change.as_dict() for change in changes(old, new)]).splitlines()


def test_sites_that_are_added_and_removed_are_changes_of_their_own(file: Path) -> None:
    old, new = read(file, a=A), read(file, b=B)
    assert described(old, new) == ["sites.a: removed, now", "sites.b: added, now"]
    assert in_force(old, new) == new
    assert changes(old, new)[1].as_dict() == {
        "section": "sites.b",
        "key": "",
        "old": None,
        "new": "added",
        "effect": "now",
        "unit": "",
        "site": "b",
    }


def test_the_command_to_build_one_of_several_sites_again_names_it(file: Path) -> None:
    new = site(3, "b.org", after='[release]\nlink = [".env"]')
    [line] = described(read(file, a=A, b=B), read(file, a=A, b=new))
    assert line.endswith("(for the live release: blue-green swap --site b --rebuild)")


def test_a_change_of_one_of_several_sites_names_the_site(file: Path) -> None:
    old = read(file, a=A, b=B)
    new = read(
        file,
        "[proxy]\nmax_head = 2048",
        a=A,
        b=site(3, "b.org", 'max_body = 5\npaths = ["/x"]', "[hold]\nlimit = 7"),
    )
    assert described(old, new) == [
        '[sites.b] paths: [] -> ["/x"], now',
        "[sites.b] max_body: 0B -> 5B, now",
        "[sites.b.hold] limit: 1000 -> 7, now",
        "[proxy] max_head: 16KiB -> 2KiB, now",
    ]
    assert [change.site for change in changes(old, new)] == ["b", "b", "b", None]
    assert in_force(old, new) == new


def test_a_name_with_a_dot_is_quoted(file: Path) -> None:
    old = read(file, **{"x.org": site(1, "x.org")})
    new = read(file, **{"x.org": site(1, "x.org", after="[hold]\nramp = 3")})
    assert described(old, new) == ['[sites."x.org".hold] ramp: 16 -> 3, now']


def test_a_default_of_the_proxy_changes_once_and_not_in_each_site(file: Path) -> None:
    own = site(3, "b.org", "max_body = 5")
    old, new = read(file, a=A, b=own), read(file, "[proxy]\nmax_body = 9\n", a=A, b=own)
    assert described(old, new) == ["[proxy] max_body: 0B -> 9B, now"]
    assert [one.serving.max_body for one in in_force(old, new).sites] == [9, 5]


def test_the_json_of_the_only_site_has_no_site(file: Path) -> None:
    old, new = load(file), load(file, start=f'hosts = ["x.org"]\n{MINIMAL}')
    [change] = changes(old, new)
    assert change.as_dict() == {
        "section": "",
        "key": "hosts",
        "old": ["*"],
        "new": ["x.org"],
        "effect": "now",
        "unit": "",
    }
    assert described(old, new) == ['hosts: ["*"] -> ["x.org"], now']


def test_from_one_site_to_several_needs_a_restart_as_a_whole(file: Path) -> None:
    old, new = load(file), read(file, "[proxy]\nmax_head = 2048", a=A)
    assert described(old, new) == [
        "sites: one site -> several sites, needs a restart of the supervisor"
    ]
    assert described(new, old) == [
        "sites: several sites -> one site, needs a restart of the supervisor"
    ]
    assert in_force(old, new) == old
    assert in_force(new, old) == new
    assert [change.effect for change in changes(old, new)] == [Effect.RESTART]


def test_the_state_directory_changes_at_a_restart_also_for_a_site_that_is_added(
    file: Path,
) -> None:
    old = read(file, a=A)
    new = read(file, '[state]\ndirectory = "elsewhere"\n', a=A, b=B)
    between = in_force(old, new)
    here = old.state.directory
    assert [one.state_directory for one in between.sites] == [here / "sites/a", here / "sites/b"]
    assert attrs.evolve(between.sites[0]) == old.sites[0]


def test_the_state_directory_of_the_only_site_changes_at_a_restart(file: Path) -> None:
    old, new = load(file), load(file, '[state]\ndirectory = "elsewhere"\n')
    assert in_force(old, new) == old


def test_a_site_keeps_what_needs_a_restart(file: Path) -> None:
    old = read(file, a=A, b=B)
    new = read(file, a=A, b=site(3, "b.org", after='name = "x"\n[git]\ncheckout = "y"\n'))
    assert in_force(old, new) == old
    assert {change.effect for change in changes(old, new)} == {Effect.RESTART}
