"""/metrics, as Prometheus reads it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
import trio.testing
from prometheus_client.parser import text_string_to_metric_families

from blue_green.admin.routes import AdminPages
from blue_green.certificates.host_certificate import HostCertificate
from blue_green.site.trial_plan import TrialKind, TrialPlan
from blue_green.system import throttle
from tests.support.admin import Admin
from tests.support.admin_address import admin_address
from tests.support.http_client import HttpClient
from tests.support.site import RealSite
from tests.support.site_parts import broken, go_live, put_on_trial
from tests.waiting import until

NAME = "test"


async def test_metrics_report_what_happened(make_site: Callable[..., RealSite]) -> None:
    site = make_site()
    admin = Admin(site)
    site.commit("zero", raises="broken")
    async with site.running(wait_for="failing"):
        status, why = await admin.ready()
        assert (status, why.startswith("The site is down")) == (503, True)
        down = await admin.metrics()
        assert (down["blue_green_ready", NAME], down["blue_green_swaps_total", "failed", NAME]) == (
            0,
            1,
        )

        one = site.commit("one")
        await site.until_live(one)
        await site.ask("pause", seconds=60)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.get, "/held")

            async def held() -> bool:
                return (await admin.metrics())["blue_green_requests_held", NAME] == 1

            await until("it is held", held)
            await site.ask("resume")
        assert (await site.post("/die", b"")).status == 502
        await site.until_logged("restarting it")
        assert (await site.get("/")).status == 200

        async def counted() -> bool:
            return (await admin.metrics())["blue_green_requests_total", NAME, "200"] == 2

        await until("the last answer is counted", counted)
        seen = await admin.metrics()

    assert seen["blue_green_requests_total", NAME, "200"] == 2
    assert seen["blue_green_requests_total", NAME, "502"] == 1
    assert (
        seen["blue_green_requests_in_flight", NAME] == seen["blue_green_requests_held", NAME] == 0
    )
    assert seen["blue_green_hold_seconds_count", NAME] in (
        1,
        2,
    )  # The last one may have had to wait.
    assert seen["blue_green_swaps_total", "promoted", NAME] == 1
    assert seen["blue_green_swap_phase_seconds_count", "switch", NAME] == 1
    assert seen["blue_green_backend_restarts_total", NAME, "blue"] == 1
    assert (
        seen["blue_green_release_info", one, NAME, "blue", "live"]
        == seen["blue_green_ready", NAME]
        == 1
    )
    assert seen["blue_green_response_seconds_count", NAME, "blue"] == 2
    assert seen["blue_green_release_requests_total", NAME, "blue"] == 3
    assert seen["blue_green_release_failures_total", NAME, "blue"] == 1
    assert any(name == "blue_green_build_info" for name, *_ in seen)
    assert seen["process_open_fds",] > 5


async def test_each_series_of_a_site_has_its_name_and_each_family_stands_together(
    tmp_path: Path,
) -> None:
    async with admin_address(tmp_path, ["blog", "shop"]) as admin, HttpClient(admin.port) as http:
        go_live(admin.of("blog"))
        admin.of("blog").gate.by_status[200] = 3
        admin.of("shop").maintenance.begin(message="", until=None, allow=[], secret=False)
        admin.of("shop").gate.by_status[404] = 2
        admin.unrouted[421] = 1
        wiki = broken(admin.of("blog").settings, "wiki")
        admin.sites.add_broken("wiki", "no checkout", wiki)
        wiki.maintenance.begin(message="", until=None, allow=[], secret=False)
        text = (await http.get("/metrics")).body.decode()
    headings = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(headings) == len(set(headings))
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    of_process = {
        "blue_green_build_info",
        "blue_green_connections",
        "blue_green_http2_requests",
        "blue_green_http2_refused",
    }
    ours = {name for name in families if name.startswith("blue_green_")}
    unnamed = {name for name in ours if any("site" not in s.labels for s in families[name])}
    assert unnamed == of_process
    requests = {
        (s.labels["site"], s.labels["status"]): s.value for s in families["blue_green_requests"]
    }
    assert requests == {("", "421"): 1, ("blog", "200"): 3, ("shop", "404"): 2}
    ready = {s.labels["site"]: s.value for s in families["blue_green_ready"]}
    assert ready == {"blog": 1, "shop": 0, "wiki": 0}
    maintenance = {s.labels["site"]: s.value for s in families["blue_green_maintenance"]}
    assert maintenance == {"blog": 0, "shop": 1, "wiki": 1}


async def test_a_release_on_trial_has_the_share_of_clients_that_it_is_for(tmp_path: Path) -> None:
    async with admin_address(tmp_path, ["blog", "shop", "wiki"]) as admin:
        put_on_trial(admin.of("blog"), TrialPlan(TrialKind.CANARY, 600, 12.5))
        put_on_trial(admin.of("shop"), TrialPlan(TrialKind.PREVIEW, 600))
        async with HttpClient(admin.port) as http:
            text = (await http.get("/metrics")).body.decode()
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    assert [(s.labels, s.value) for s in families["blue_green_trial_share"]] == [
        ({"site": "blog", "kind": "canary"}, 0.125),
        ({"site": "shop", "kind": "preview"}, 0),
    ]


async def test_a_scrape_lets_others_run_between_two_sites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = 0

    async def wait() -> None:
        nonlocal waits
        waits += 1
        await trio.lowlevel.checkpoint()

    async with admin_address(tmp_path, ["blog", "shop", "wiki"]) as admin:
        monkeypatch.setattr(throttle, "wait", wait)
        await AdminPages(admin.sites).metrics("")
    assert waits == 3


async def test_each_host_has_the_expiry_of_its_certificate_and_its_failures(
    tmp_path: Path,
) -> None:
    end = datetime(2027, 2, 24, tzinfo=UTC)
    hosts = [f"{number}.example.com" for number in range(250)]
    known = [HostCertificate(host, "acme", end) for host in hosts]
    known.append(HostCertificate("new.example.com", "acme", problem="no DNS", failures=3))
    async with admin_address(tmp_path, ["blog"]) as admin, HttpClient(admin.port) as http:
        admin.sites.use_certificates(lambda _: known)
        text = (await http.get("/metrics")).body.decode()
    families = {family.name: family.samples for family in text_string_to_metric_families(text)}
    expiry = families["blue_green_certificate_expiry_timestamp_seconds"]
    assert [(s.labels["site"], s.labels["host"]) for s in expiry] == [("blog", h) for h in hosts]
    assert {s.value for s in expiry} == {end.timestamp()}
    failures = families["blue_green_certificate_consecutive_failures"]
    assert (len(failures), failures[-1].labels["host"], failures[-1].value) == (
        251, "new.example.com", 3
    )  # fmt: skip
