"""Which answer load balancers get when some of several sites are down."""

from pathlib import Path

import pytest

from blue_green.admin.readiness import MAX_LINES, readiness
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.site.state import Live
from tests.support.site_parts import go_live, make_several


@pytest.fixture
async def sites(tmp_path: Path) -> Sites:
    return make_several(tmp_path, tmp_path, ["blog", "shop", "wiki"])


def fail(site: Site) -> None:
    site.gate.refuse("The app does not start.")


async def test_the_machine_is_ready_when_any_site_is_and_says_which_are_not(sites: Sites) -> None:
    blog, shop, _ = sites
    assert readiness(sites)[0] is False
    go_live(blog)
    fail(shop)
    is_ready, text = readiness(sites)
    assert is_ready
    lines = text.splitlines()
    assert lines == ["ready", "shop: The app does not start.", "wiki: No release is live yet."]


async def test_the_machine_is_not_ready_while_a_release_from_before_a_restart_is_being_started(
    sites: Sites,
) -> None:
    blog, shop, _ = sites
    go_live(blog)
    shop.state.live = Live("blue", "a" * 40)
    assert readiness(sites)[0] is False
    fail(shop)
    assert readiness(sites)[0] is True


async def test_of_every_site_one_that_is_down_or_broken_makes_the_machine_unready(
    sites: Sites,
) -> None:
    for site in sites:
        go_live(site)
    assert readiness(sites, of_every=True) == (True, "ready\n")
    sites.broken["docs"] = "[git] checkout: /srv/docs: No such file or directory"
    assert readiness(sites)[0] is True
    is_ready, text = readiness(sites, of_every=True)
    assert not is_ready
    assert text.splitlines()[:2] == [
        "not ready",
        "docs: [git] checkout: /srv/docs: No such file or directory",
    ]


async def test_no_site_is_ready_while_the_server_stops(sites: Sites) -> None:
    for site in sites:
        go_live(site)
    sites.stop()
    assert readiness(sites) == (False, "The server is stopping.\n")


async def test_only_the_first_of_many_unready_sites_are_named(sites: Sites) -> None:
    go_live(next(iter(sites)))
    sites.broken.update({f"site{number}": "broken" for number in range(500)})
    is_ready, text = readiness(sites)
    assert is_ready
    assert len(text.splitlines()) == 1 + MAX_LINES + 1
    assert text.endswith(f"and {502 - MAX_LINES} more\n")
