"""The processes of a site on the page and in the metrics."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from blue_green.site.site import Site
from tests.support.admin_address import AdminAddress, admin_address
from tests.support.browser import Browser
from tests.support.http_client import HttpClient
from tests.support.site_parts import go_live
from tests.waiting import until

PROCESSES: dict[str, Any] = {
    "worker": {"command": ["sleep", "60"], "count": 2},
    "cleanup": {"command": ["true"], "schedule": "0 3 * * *"},
}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("blue_green.admin.events.INTERVAL", 0.1)


async def _make_live(site: Site) -> None:
    go_live(site)
    await until("the workers run", lambda: len(site.processes.running) == 2)


def _fail(site: Site) -> None:
    """Record a failed run, an hour ago."""
    record = site.schedules.record("cleanup", "0 3 * * *")
    record.begin("a" * 40, site.schedules.clock() - timedelta(hours=1, seconds=3))
    record.end("failed", "ended with exit status 3", site.schedules.clock() - timedelta(hours=1))


async def _metrics(admin: AdminAddress) -> dict[tuple[str, str], float]:
    async with HttpClient(admin.port) as http:
        answer = await http.get("/metrics", Host="localhost")
    return {
        (sample.name.removeprefix("blue_green_process_"), sample.labels["process"]): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
        if "process" in sample.labels
    }


async def test_the_metrics_count_what_runs_and_know_the_runs_of_a_schedule(tmp_path: Path) -> None:
    async with admin_address(tmp_path, processes=PROCESSES) as admin:
        await _make_live(admin.site)
        seen = await _metrics(admin)
        assert seen["blue_green_processes_running", "worker"] == 2
        assert seen["blue_green_processes_running", "cleanup"] == 0
        assert seen["restarts_total", "worker"] == 0
        assert ("last_run_succeeded", "cleanup") not in seen
        now = admin.site.schedules.clock().timestamp()
        assert now < seen["next_run_timestamp_seconds", "cleanup"] <= now + 25 * 3600
        _fail(admin.site)
        seen = await _metrics(admin)
        assert seen["last_run_succeeded", "cleanup"] == 0
        assert seen["last_run_seconds", "cleanup"] == pytest.approx(3, abs=0.1)
        assert ("last_run_succeeded", "worker") not in seen


async def test_the_page_of_a_site_shows_its_processes_and_what_is_wrong_with_them(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path, processes=PROCESSES) as admin:
        tab = await chromium.open(admin.url, width=360)
        await tab.until_reads("#phase", "starting")
        assert await tab.evaluate("document.getElementById('beside').hidden")
        await _make_live(admin.site)
        await tab.until_reads("#processes", "2 running")
        pids = ", ".join(str(one.process.pid) for one in admin.site.processes.running)
        await tab.until_reads("#processes", pids)
        await tab.until_reads("#processes", "none yet")
        _fail(admin.site)
        await tab.until_reads("#processes", "failed, 1 h ago, took 3.0 s")
        await tab.until_reads("#notices", "the last run of process cleanup has failed: ended with")
        assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
        await tab.check_is_readable()
        assert tab.errors == []


async def test_the_page_of_all_sites_names_one_whose_process_needs_attention(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path, ["blog", "shop"], processes=PROCESSES) as admin:
        site = admin.of("shop")
        await _make_live(site)
        _fail(site)
        tab = await chromium.open(admin.url)
        await tab.until_reads("#notices", "shop: the last run of process cleanup has failed")
        assert tab.errors == []
