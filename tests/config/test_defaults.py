"""Defaults that depend on other settings, and paths."""

import os
from pathlib import Path

import pytest

from blue_green.config.kinds import Period
from blue_green.config.process_settings import builds_at_once
from blue_green.supervisor import settings_file
from tests.support.settings import load, site, write_sites


def test_limits_of_a_site_default_to_those_of_the_proxy(file: Path) -> None:
    main = '[proxy]\nmax_body = "1MB"\nresponse_timeout = "5s"\nerror_pages = "pages"\n'
    own = 'max_body = "2MB"\nerror_pages = "own"'
    write_sites(file, main, a=site(1, "a.org"), b=site(3, "b.org", own))
    a, b = (one.serving for one in settings_file.load(file).sites)
    assert [a.max_body, a.response_timeout, a.backend_keepalive] == [1_000_000, 5, 1]
    assert [b.max_body, b.response_timeout] == [2_000_000, 5]
    assert (a.error_pages, b.error_pages) == (file.parent / "pages", file.parent / "sites" / "own")


def test_a_limit_of_a_site_may_be_the_usual_one_where_the_proxy_has_another(file: Path) -> None:
    text = site(1, before='response_timeout = "1m"', after='[proxy]\nresponse_timeout = "5s"')
    assert load(file, start=text).sites[0].serving.response_timeout == Period(60)


def test_what_is_named_after_a_site_if_there_are_several(file: Path) -> None:
    main = '[state]\ndirectory = "/var/lib/x"\n'
    write_sites(file, main, blog=site(1, "a.org"), shop=site(3, "b.org", after='name = "Shop"'))
    settings = settings_file.load(file)
    blog, shop = settings.sites
    assert blog.state_directory == Path("/var/lib/x/sites/blog")
    assert (blog.webhook.path, shop.webhook.path) == ("/hook/blog", "/hook/shop")
    assert (blog.app.name, shop.app.name) == ("blog", "Shop")
    assert (blog.name, shop.name) == ("blog", "shop")
    assert settings.control.socket == Path("/var/lib/x/control.sock")


def test_the_only_site_keeps_the_names_that_it_had(file: Path) -> None:
    [only] = load(file).sites
    assert only.state_directory == file.parent / ".blue-green"
    assert only.webhook.path == "/hook"
    assert only.name == only.app.name == file.parent.name


def test_relative_paths_are_relative_to_the_file_that_they_are_in(file: Path) -> None:
    table = '[sites.b]\nhosts = ["b.org"]\n[sites.b.git]\ncheckout = "x"\n[sites.b.app]\n'
    table += 'command = ["x"]\nports = [3, 4]\n'
    write_sites(file, table, a=site(1, "a.org", after='[git]\ncheckout = "x"\n'))
    a, b = settings_file.load(file).sites
    assert (a.git.checkout, b.git.checkout) == (file.parent / "sites" / "x", file.parent / "x")
    assert (a.file, b.file) == (file.parent / "sites" / "a.toml", file)


@pytest.mark.parametrize(
    ("cpus", "gib", "builds"),
    [(1, 64, 1), (2, 64, 1), (8, 3, 1), (8, 4, 4), (3, 8, 1), (64, 8, 32)],
)
def test_a_small_machine_builds_one_release_at_once(
    monkeypatch: pytest.MonkeyPatch, cpus: int, gib: int, builds: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)))
    sizes = {"SC_PHYS_PAGES": gib * 2**18, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert builds_at_once() == builds
