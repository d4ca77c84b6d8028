"""A second site on the machine gets ports of its own, and conflicts are reported."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tomli_w
import trio

from blue_green.preflight.init import write
from blue_green.supervisor import settings_file
from blue_green.system import other_sites, site_tables
from tests.support.check_context import CheckedSite, only
from tests.support.repository import Repository
from tests.support.site import RealSite


async def test_a_second_supervisor_gets_another_address_than_a_running_one(
    make_site: Callable[..., RealSite], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site()
    site.commit("one")
    other = Repository(tmp_path / "somewhere" / "else")
    (other.path / "index.html").write_text("hello")
    other.commit()
    monkeypatch.setattr(write, "LISTEN", site.port)
    async with site.running():
        file = other.path / "supervisor.toml"
        (first,) = [one for one in other_sites.of(file) if one.file == site.config_file]
        assert site.process is not None
        assert (first.pid, first.ports) == (
            site.process.pid,
            frozenset({site.port, site.blue, site.green}),
        )
        await trio.to_thread.run_sync(lambda: write.write(file, other.path, lambda _: ""))
    settings = settings_file.load(file)
    assert settings.proxy.listen[0].port not in first.ports


async def test_check_names_the_site_that_has_the_idle_port(
    make_site: Callable[..., RealSite], tmp_path: Path
) -> None:
    site = make_site()
    site.commit("one")
    (tmp_path / "second").mkdir()
    second = CheckedSite(tmp_path / "second")
    async with site.running():
        second.configure(app={"ports": [second.blue, site.green]})
        done = await site.run("check", str(second.file))
    assert done.code == 1
    assert f"{site.green} is also used by another site: " in done.out
    assert f"{site.config_file}, pid {site.process and site.process.pid}" in done.out


def test_settings_in_neighbouring_directories_are_only_a_warning(subject: CheckedSite) -> None:
    beside = subject.directory / "another.toml"
    subject.configure()
    beside.write_text(tomli_w.dumps({**subject.sections, "git": {"checkout": "another"}}))
    found = [one for one in subject.check() if "also named in other settings" in one.text]
    assert [one.verdict for one in found] == ["warned", "warned"]
    assert str(beside) in found[0].text
    beside.write_text("not [ toml")
    assert [one for one in subject.check() if "also named in other settings" in one.text] == []


def test_a_service_that_is_not_running_keeps_its_ports(
    subject: CheckedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = tmp_path / "units"
    units.mkdir()
    stopped = tmp_path / "stopped" / "blog.toml"
    stopped.parent.mkdir()
    app = {"command": ["x"], "ports": [[subject.green], [1]]}
    stopped.write_text(tomli_w.dumps({"app": app, "proxy": {"listen": ["[::]:2"]}}))
    unit = f"[Service]\nExecStart=/usr/bin/blue-green run {stopped}\n"
    (units / "blog.service").write_text(unit)
    monkeypatch.setattr(other_sites, "UNITS", units)
    found = only(subject.check())
    assert (found.verdict, found.about) == ("failed", "[app] ports")
    assert f"{subject.green} is also used by another site" in found.text
    assert str(stopped) in found.text
    (other,) = [one for one in other_sites.of(subject.file) if one.file == stopped]
    assert other.ports == frozenset({subject.green, 1, 2})


def test_the_ports_of_all_sites_of_another_supervisor_are_found(
    subject: CheckedSite, tmp_path: Path
) -> None:
    subject.configure()
    other = tmp_path / "other"
    (other / "sites").mkdir(parents=True)
    main = {"include": ["sites/*.toml", "nowhere/*"], "proxy": {"listen": ["[::]:2"]}}
    sites = {"shop": {"app": {"ports": [3, 4]}}, "odd": 7}
    (other / "supervisor.toml").write_text(tomli_w.dumps({**main, "sites": sites}))
    (other / "sites" / "blog.toml").write_text("[app]\nports = [[5], [6]]\n")
    (other / "sites" / "broken.toml").write_text("[")
    (other / "sites" / "blog.toml~").write_text("[app]\nports = [[7], [8]]\n")
    file = subject.file.with_name("another.toml")
    for including in (other / "supervisor.toml", file):
        if including == file:
            path = str(other / "sites" / "*.toml")
            file.write_text(tomli_w.dumps({**main, "sites": sites, "include": [path]}))
        expected = frozenset({2, 3, 4, 5, 6})
        place = subject.file if including == file else other / "none.toml"
        found = [one.ports for one in other_sites.of(place) if one.file == including.resolve()]
        assert found == [expected]


def test_a_pattern_with_wildcards_in_its_directory_is_not_searched(tmp_path: Path) -> None:
    """Root may read the settings of others, and must not search the whole disk for them."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "blog.toml").write_text("[app]\n")
    file = tmp_path / "supervisor.toml"
    assert len(site_tables.sites_in({"include": ["sites/*.toml"]}, file)) == 1
    assert site_tables.sites_in({"include": ["s*/*.toml", "/*/*/*/*"]}, file) == []


def test_a_copy_of_the_settings_is_not_another_site(subject: CheckedSite) -> None:
    subject.configure()
    copy = subject.file.with_name("supervisor.next.toml")
    copy.write_bytes(subject.file.read_bytes())
    assert copy not in [one.file for one in other_sites.of(subject.file)]
