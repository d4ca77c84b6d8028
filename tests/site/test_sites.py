"""The table of sites: those that run, those that cannot, and the routes to both."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blue_green.certificates.host_certificate import HostCertificate
from blue_green.config import parsing
from blue_green.config.settings import Settings
from blue_green.site.site import Site
from blue_green.site.sites import STARTING, Sites
from blue_green.system import users

SINGLE: Mapping[str, Any] = {"app": {"name": "blog", "command": ["serve"]}}
SEVERAL: Mapping[str, Any] = {
    "sites": {
        name: {"hosts": [f"{name}.localhost"], "app": {"command": ["serve"]}}
        for name in ("api", "blog")
    }
}


def settings_in(directory: Path, document: Mapping[str, Any]) -> Settings:
    return parsing.parse(document, directory / "supervisor.toml")


def site_named(name: str, sites: Sites) -> Site:
    """The site of these settings, as it would run."""
    us = users.owner_of(Path("/proc/self"))
    settings = next(site for site in sites.settings.sites if site.name == name)
    return Site(settings, owner=us, user=us, served=sites.served(settings))


@pytest.fixture
def sites(tmp_path: Path) -> Sites:
    return Sites(settings_in(tmp_path, SEVERAL))


async def test_running_sites_come_in_the_order_of_the_settings(sites: Sites) -> None:
    for name in ("blog", "api"):
        sites.add(site_named(name, sites))
    assert [site.name for site in sites] == ["api", "blog"]


async def test_a_site_that_runs_is_no_longer_broken(sites: Sites) -> None:
    sites.broken["blog"] = "its checkout is gone"
    site = site_named("blog", sites)
    sites.add(site)
    assert sites.broken == {}
    assert sites.get("blog") is site


async def test_the_status_of_a_site_that_was_added_later_shows_when_the_supervisor_began(
    sites: Sites,
) -> None:
    sites.began -= timedelta(hours=1)
    site = site_named("blog", sites)
    sites.add(site)
    shown = site.status.as_dict()["supervisor"]["since"]
    assert shown == sites.began.isoformat(timespec="seconds")


async def test_a_site_that_is_starting_is_counted_when_a_site_is_to_be_found_without_a_name(
    sites: Sites,
) -> None:
    sites.add(site_named("blog", sites))
    assert sites.not_running == {"api": STARTING}
    assert sites.only is None


async def test_a_site_that_ends_does_not_remove_another_one_of_its_name(sites: Sites) -> None:
    before, after = site_named("blog", sites), site_named("blog", sites)
    sites.add(before)
    sites.add(after)
    sites.remove(before)
    assert sites.get("blog") is after


async def test_a_broken_site_is_counted_when_a_site_is_to_be_found_without_a_name(
    sites: Sites,
) -> None:
    sites.add(site_named("api", sites))
    sites.broken["blog"] = "its checkout is gone"
    assert sites.only is None


async def test_requests_of_a_site_that_does_not_run_yet_wait_where_it_will_serve_them(
    sites: Sites,
) -> None:
    route = sites.router().find(b"blog.localhost", b"/")
    site = site_named("blog", sites)
    assert route is not None
    assert route.site is site.served
    assert route.site.gate is site.gate


async def test_the_route_of_a_site_that_is_not_in_the_settings_leads_nowhere(
    tmp_path: Path, sites: Sites
) -> None:
    sites.settings = settings_in(tmp_path, {"sites": {"api": SEVERAL["sites"]["api"]}})
    sites.forget("blog")
    assert sites.router().find(b"blog.localhost", b"/") is None


async def test_the_name_is_only_said_where_there_may_be_several(
    tmp_path: Path, sites: Sites
) -> None:
    assert sites.label("blog") == "blog"
    assert Sites(settings_in(tmp_path, SINGLE)).label("blog") == ""


async def test_sites_that_are_added_while_the_service_stops_know_that(sites: Sites) -> None:
    sites.stop()
    site = site_named("blog", sites)
    sites.add(site)
    assert site.is_stopping


async def test_every_site_knows_the_certificates_of_its_hosts(sites: Sites) -> None:
    api, blog = site_named("api", sites), site_named("blog", sites)
    sites.add(api)
    sites.use_certificates(
        lambda settings: [HostCertificate(host, "acme") for host in settings.serving.hosts]
    )
    sites.add(blog)
    for site in (api, blog):
        [shown] = site.status.as_dict()["certificates"]
        assert (shown["host"], shown["state"]) == (f"{site.name}.localhost", "coming")


async def test_the_summary_of_many_certificates_is_short(sites: Sites) -> None:
    now = datetime.now(UTC)
    site = site_named("blog", sites)
    sites.add(site)
    sites.use_certificates(
        lambda _: [
            HostCertificate("good", "acme", now + timedelta(days=60)),
            HostCertificate("coming", "acme"),
            *(HostCertificate(f"bad{n}", "acme", problem="no DNS") for n in range(500)),
        ]
    )
    summary = site.certificates.summary()
    assert (summary["count"], summary["coming"], summary["more_problems"]) == (502, 1, 495)
    assert summary["problems"][0] == ("bad0", "no certificate: no DNS")
    assert datetime.fromisoformat(summary["valid_until"]) > now
