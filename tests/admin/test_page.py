"""The status page of one site, in a real browser."""

import re
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from blue_green.routing.results import ResultSummary
from blue_green.site.receipt import Receipt
from blue_green.site.trial_plan import TrialKind, TrialPlan
from blue_green.site.trigger import Trigger
from tests.support.admin_address import admin_address
from tests.support.browser import Browser
from tests.support.http_client import HttpClient
from tests.support.site import RealSite, free_ports
from tests.support.site_parts import go_live, put_on_trial
from tests.support.sleeping import SOON, sleeping, until_asleep

MakeSite = Callable[..., RealSite]

NO_TAGS = "<img src=x onerror=\"document.title='run'\">"
NOTHING = "0" * 40


async def test_the_page_may_run_only_its_own_script_and_contact_no_other_host(
    tmp_path: Path,
) -> None:
    async with admin_address(tmp_path) as admin, HttpClient(admin.port, "127.0.0.1") as http:
        answer = await http.get("/", Host="localhost")
        other = await http.get("/events", Host="evil.example")
    html, policy = answer.body.decode(), answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in re.sub(r"http://www\.w3\.org/\d+/svg", "", html), "nothing from outside"
    assert (answer.headers["cache-control"], other.status) == ("no-store", 421)


async def test_the_page_fits_a_phone_and_is_readable_in_light_and_dark_mode(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path) as admin:
        admin.site.output.take("blue", NOTHING, ["a-word-without-end" * 40], is_error=False)
        admin.site.pause.begin(60)
        admin.site.queue.request(NOTHING, Trigger.SWAP)
        backgrounds = set()
        for dark in (False, True):
            tab = await chromium.open(admin.url, width=360, dark=dark)
            await tab.until_reads("#swaps", "failed")
            await tab.until_reads("#phase", "paused")
            assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
            await tab.check_is_readable()
            backgrounds.add(await tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert tab.errors == []
        assert len(backgrounds) == 2


async def test_the_last_swaps_have_the_results_of_both_releases(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path) as admin:
        before = Receipt("promoted", NOTHING, at="2026-01-01T00:00:00+00:00")
        receipt = attrs.evolve(
            before,
            trial_results=ResultSummary(1, 1, 0.02, 0.04),
            trial_live_results=ResultSummary(0, 0),
            results=ResultSummary(118, 0, 0.013, 0.052),
            previous_results=ResultSummary(2391, 2, 0.0005, 0.08),
        )
        for one in (before, receipt):
            admin.site.history.remember(one)
        tab = await chromium.open(admin.url)
        await tab.until_reads("#swaps", "new: 118 requests, 0% failed, p50 13 ms, p95 52 ms")
        newest, oldest = [await tab.text(f"#swaps tbody tr:nth-child({n})") for n in (1, 2)]
        assert "old: 2\u202f391 requests, < 0.1% failed, p50 < 1 ms, p95 80 ms" in newest
        assert "canary: 1 request, 100% failed, p50 20 ms, p95 40 ms\nold meanwhile: 0" in newest
        assert "request" not in oldest
        assert tab.errors == []


async def test_the_page_says_whom_a_release_on_trial_is_for_until_the_end_of_the_trial(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path) as admin:
        go_live(admin.site)
        trial = put_on_trial(admin.site, TrialPlan(TrialKind.CANARY, 700, 12.5), NOTHING)
        for results, failed in ((admin.site.slots.blue.results, 1), (trial.results.new(), 0)):
            for number in range(4):
                results.add(500 if number < failed else 200, 0.02)
        tab = await chromium.open(admin.url)
        notice = "Canary 0000000: for 12.5% of the clients, 11 min "
        await tab.until_reads("#notices", notice)
        live, candidate = [await tab.text(f"#slots .in-{name}") for name in ("blue", "green")]
        assert "live" in live and "failed\n25%" in live
        assert "candidate" in candidate and "failed\n0%" in candidate
        put_on_trial(admin.site, TrialPlan(TrialKind.PREVIEW, 7270), NOTHING)
        notice = "Preview 0000000: for those with the secret link, 2 h 1 min left: "
        await tab.until_reads("#notices", notice)
        assert "blue-green promote" in await tab.text("#notices")
        admin.site.queue.current = None
        await tab.until_reads("#phase", "starting")
        assert "Preview" not in await tab.text("#notices")
        assert tab.errors == []


async def test_the_page_says_that_the_supervisor_is_away_until_it_is_back(
    tmp_path: Path, chromium: Browser
) -> None:
    async with admin_address(tmp_path) as admin:
        admin.site.output.take("blue", NOTHING, ["before"], is_error=False)
        tab = await chromium.open(admin.url)
        await tab.until_reads("#phase", "starting")
        admin.serving.cancel()
        await tab.until_reads("#lost", "The supervisor does not answer")
        assert "no answer" in await tab.text("#phase")
        assert "before" in await tab.text("#lines"), "what was there can still be read"
        admin.site.output.take("blue", NOTHING, ["meanwhile"], is_error=False)
        admin.serve()
        await tab.until_reads("#phase", "starting")
        assert (await tab.text("#lost")) == ""
        lines = (await tab.text("#lines")).splitlines()
        assert [line.split()[-1] for line in lines] == ["before", "meanwhile"]


async def test_a_hidden_page_holds_no_connection(
    tmp_path: Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blue_green.admin.server.MAX_STREAMS", 1)
    monkeypatch.setattr("blue_green.admin.events.INTERVAL", 0.1)
    async with admin_address(tmp_path) as admin:
        first = await chromium.open(admin.url)
        await first.until_reads("#phase", "starting")
        second = await chromium.open(admin.url)
        await second.until_reads("#phase", "starting")
        await first.look_at()
        admin.site.output.take("blue", NOTHING, ["news"], is_error=False)
        await first.until_reads("#lines", "news")
        async with HttpClient(admin.port) as http:
            refused = await http.get("/events", Host="localhost")
        assert refused.status == 503, "the first has its place"


async def test_a_swap_can_be_watched_phase_by_phase(
    make_site: MakeSite, tmp_path: Path, chromium: Browser
) -> None:
    site = make_site()
    (port,) = free_ports(1)
    site.configure(admin={"listen": [f"127.0.0.1:{port}"]})
    go = tmp_path / "go"
    site.configure(release={"build": ["sh", "-c", f"until [ -e {go} ]; do sleep 0.02; done"]})
    go.touch()
    one = site.commit("The first")
    async with site.running():
        tab = await chromium.open(f"http://127.0.0.1:{port}/")
        await tab.until_reads("#phase", "serving")
        assert one[:7] in await tab.text("#slots .in-blue")
        for _ in range(3):
            await site.get("/")
        await tab.until_reads("#summary", "3 requests, 0 with 4xx, 0 with 5xx; peak ")
        await tab.until_reads("#slots .in-blue", "requests\n3\nfailed\n0%\np50\n")
        drawn = "[...document.querySelectorAll('#ended path')].map((p) => p.getAttribute('class'))"
        assert await tab.evaluate(drawn) == ["area"]

        go.unlink()
        two = site.commit(NO_TAGS)
        await tab.until_reads("#phase", f"swapping to {two[:7]}: build")
        assert await tab.text("#swap-title") == "Current swap"
        assert "triggered by a new commit" in await tab.text("#swap")
        assert "build" in await tab.text("#phases .now")
        go.touch()
        await tab.until_reads("#phase", "serving")
        assert await tab.text("#swap-title") == "Last swap"
        assert NO_TAGS in await tab.text("#slots .in-green")
        assert [NO_TAGS in await tab.text(f"#{part}") for part in ("swap", "swaps")] == [True] * 2
        assert "drain" in await tab.text("#phases")

        bad = site.commit("broken", raises=f"{NO_TAGS} \x1b[31mred\x1b[0m")
        await tab.until_reads("#notices", "the app ended with exit status 1")
        assert f"Not live {bad[:7]} broken" in await tab.text("#notices")
        await tab.until_reads("#lines", f"{NO_TAGS} red")
        assert f"{NO_TAGS} red" in await tab.evaluate(
            "document.querySelector('#candidate pre').textContent"
        )
        assert await tab.evaluate("document.querySelectorAll('main img').length") == 0
        assert await tab.evaluate("document.title") == "test: serving"
        await tab.check_is_readable()
        assert tab.errors == []


@pytest.mark.long
async def test_the_page_shows_that_a_site_is_asleep(make_site: MakeSite, chromium: Browser) -> None:
    site = make_site(idle=SOON)
    (port,) = free_ports(1)
    site.configure(admin={"listen": [f"127.0.0.1:{port}"]})
    async with sleeping(site):
        assert (await site.get("/")).status == 200
        await until_asleep(site)
        tab = await chromium.open(f"http://127.0.0.1:{port}/")
        await tab.until_reads("#phase", "asleep: the next request wakes it")
        assert "woken once, the last wake took" in await tab.text("#notices")
        assert "no backend is running: asleep" in await tab.text("#slots .in-blue")
