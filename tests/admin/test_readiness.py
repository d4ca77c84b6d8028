"""Which answer load balancers get when some of several sites are down."""

from pathlib import Path

import pytest
import trio
import trio.testing

from blue_green.admin.readiness import MAX_LINES, MAX_WAIT, Readiness
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.site.state import Live
from tests.support.site_parts import add, go_live, make_several, named, use


@pytest.fixture
async def sites(tmp_path: Path) -> Sites:
    return make_several(tmp_path, tmp_path, ["blog", "shop", "wiki"])


def fail(site: Site) -> None:
    site.gate.refuse("The app does not start.")


def is_ready(readiness: Readiness) -> bool:
    """Whether the machine is."""
    return readiness.of_machine()[0]


async def test_the_machine_is_ready_when_any_site_is_and_says_which_are_not(sites: Sites) -> None:
    blog, shop, _ = sites
    readiness = Readiness(sites)
    assert not is_ready(readiness)
    go_live(blog)
    fail(shop)
    ready, text = readiness.of_machine()
    assert ready
    lines = text.splitlines()
    assert lines == ["ready", "shop: The app does not start.", "wiki: No release is live yet."]


async def test_the_machine_is_not_ready_before_each_release_from_before_a_restart_was_started(
    sites: Sites,
) -> None:
    blog, shop, _ = sites
    readiness = Readiness(sites)
    go_live(blog)
    shop.state.live = Live("blue", "a" * 40)
    assert not is_ready(readiness)
    fail(shop)
    assert is_ready(readiness)


async def test_a_site_that_is_not_made_yet_counts_only_after_the_start_of_the_process(
    sites: Sites, tmp_path: Path
) -> None:
    blog, *_ = sites
    go_live(blog)
    docs, more = named(blog.settings, "docs"), named(blog.settings, "more")
    use(sites, [*sites.settings.sites, docs])
    readiness = Readiness(sites)
    ready, text = readiness.of_machine()
    assert (ready, "docs: The site is starting.\n" in text) == (False, True)
    assert readiness.of_site("docs") == (False, "The site is starting.\n")
    use(sites, sites.settings.sites[:-1])
    add(sites, docs, tmp_path)
    assert is_ready(readiness)
    use(sites, [*sites.settings.sites, more])  # A reload.
    assert is_ready(readiness)


async def test_a_probe_at_the_start_waits_a_moment_for_the_sites_to_be_made(
    sites: Sites, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    blog, *_ = sites
    docs = named(blog.settings, "docs")
    use(sites, [*sites.settings.sites, docs])
    readiness = Readiness(sites)
    began = trio.current_time()
    await readiness.until_known()
    assert trio.current_time() - began == pytest.approx(MAX_WAIT)
    sites.broken["docs"] = "no checkout"
    await readiness.until_known()
    assert trio.current_time() - began == pytest.approx(MAX_WAIT)


async def test_of_every_site_one_that_is_down_or_broken_makes_the_machine_unready(
    sites: Sites,
) -> None:
    for site in sites:
        go_live(site)
    readiness = Readiness(sites)
    assert readiness.of_every_site() == (True, "ready\n")
    sites.broken["docs"] = "[git] checkout: /srv/docs:\n  No such file or directory"
    assert is_ready(readiness)
    ready, text = readiness.of_every_site()
    assert not ready
    assert text.splitlines() == [
        "not ready",
        "docs: [git] checkout: /srv/docs: No such file or directory",
    ]


async def test_no_site_is_ready_while_the_server_stops(sites: Sites) -> None:
    for site in sites:
        go_live(site)
    sites.stop()
    readiness = Readiness(sites)
    assert readiness.of_machine() == (False, "The server is stopping.\n")
    assert readiness.of_site("blog") == (False, "The server is stopping.\n")
    assert not readiness.of_every_site()[0]


async def test_only_the_first_of_many_unready_sites_are_named(sites: Sites) -> None:
    go_live(next(iter(sites)))
    sites.broken.update({f"site{number}": "broken " * 100 for number in range(500)})
    ready, text = Readiness(sites).of_machine()
    assert ready
    assert len(text.splitlines()) == 1 + MAX_LINES + 1
    assert text.endswith(f"and {502 - MAX_LINES} more\n")
    assert len(text) < 10_000
