"""The page on the admin address and its event stream, also in a real browser."""

import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import Factory, define

from blue_green.admin.routes import AdminPages
from blue_green.admin.server import Server
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.site.trigger import Trigger
from blue_green.system.output import MAX_LINES
from tests.raw.peer import Peer
from tests.support import browser
from tests.support.browser import Browser, Tab
from tests.support.http_client import HttpClient
from tests.support.repository import Repository
from tests.support.site import RealSite, free_ports
from tests.support.site_parts import make_single

MakeSite = Callable[..., RealSite]

NO_TAGS = "<img src=x onerror=\"document.title='run'\">"
NOTHING = "0" * 40

needs_browser = pytest.mark.skipif(browser.COMMAND is None, reason="there is no chromium")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    with Browser.running(tmp_path_factory.mktemp("browser")) as running:
        yield running


@define
class Told:
    """The real parts of a site with nothing in it yet, and the admin address that tells of them."""

    repository: Repository
    sites: Sites
    port: int
    nursery: trio.Nursery
    serving: trio.CancelScope = Factory(trio.CancelScope)

    @property
    def site(self) -> Site:
        """The only site."""
        assert self.sites.only is not None
        return self.sites.only

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def serve(self) -> None:
        """Answer, from now on until `serving` is cancelled."""
        sock = socket.create_server(("127.0.0.1", self.port))
        self.serving = scope = trio.CancelScope()

        async def run() -> None:
            with sock, scope:
                pages = AdminPages(self.sites)
                await Server([sock], pages.routes, pages.for_browsers).run()

        self.nursery.start_soon(run)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator["EventReader"]:
        """Somebody who reads the events."""
        peer = Peer(await trio.open_tcp_stream("127.0.0.1", self.port))
        await peer.send(b"GET /events HTTP/1.0\r\n\r\n")
        assert b"text/event-stream" in await peer.until(b"\r\n\r\n")
        try:
            yield EventReader(peer)
        finally:
            await trio.aclose_forcefully(peer.stream)


@define
class EventReader:
    """Reads the events, one after the other."""

    peer: Peer

    async def next(self) -> dict[str, Any]:
        event = (await self.peer.until(b"\n\n")).decode()
        data: dict[str, Any] = json.loads(event.removeprefix("data: "))
        return data


@asynccontextmanager
async def telling(directory: Path, **sections: dict[str, Any]) -> AsyncIterator[Told]:
    repository = Repository(directory / "checkout")
    sites = make_single(directory, repository.path, **sections)
    [site] = sites
    async with trio.open_nursery() as nursery:
        (port,) = free_ports(1)
        told = Told(repository, sites, port, nursery)
        for task in (site.slots.run, site.rate.run, site.pause.run, site.queue.run):
            nursery.start_soon(task)
        told.serve()
        yield told
        nursery.cancel_scope.cancel()


# --- the events -------------------------------------------------------------------------------


async def test_an_event_stream_sends_the_past_first_and_then_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blue_green.admin.events.INTERVAL", 0.1)
    async with telling(tmp_path) as told:
        told.site.output.take("blue", NOTHING, ["one", "two"], is_error=False)
        async with told.reader() as reader:
            event = await reader.next()
            assert (event["name"], event["phase"], event["stopping"]) == ("blog", "starting", False)
            assert [line[1:] for line in event["lines"]] == [
                ["blue", "0000000", "one"], ["blue", "0000000", "two"]
            ]  # fmt: skip
            told.site.gate.by_status[200] = 3
            told.site.output.take("green", NOTHING, [NO_TAGS], is_error=True)
            event = await reader.next()
            assert [line[3] for line in event["lines"]] == [NO_TAGS]
            while not event["seconds"]:
                event = await reader.next()
            assert [second[1:] for second in event["seconds"]] == [[0, 3, 0, 0, 0, 0]]
            told.site.is_stopping = True
            event = await reader.next()
            assert (event["lines"], event["stopping"]) == ([], True)
        async with told.reader() as late:
            event = await late.next()
            assert len(event["lines"]) == 3
            assert [0, 3, 0, 0, 0, 0] in [second[1:] for second in event["seconds"]]


async def test_an_event_stream_sends_each_phase_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blue_green.admin.events.INTERVAL", 3600)
    build = {"build": ["sleep", "0.2"]}
    async with telling(tmp_path, release=build) as told, told.reader() as reader:
        assert (await reader.next())["swap"] is None
        told.site.queue.request(
            told.repository.first, Trigger.SWAP
        )  # The app ends soon, and never answers.
        seen: list[tuple[str, str]] = []
        event = await reader.next()
        while swap := event["swap"]:
            seen.append((swap["phase"], event["slots"][0]["state"]))
            event = await reader.next()
        assert ("build", "") in seen
        assert ("probe", "candidate") in seen
        assert event["last_swap"]["outcome"] == "failed"


async def test_of_a_flood_of_output_an_event_stream_sends_the_end(tmp_path: Path) -> None:
    async with telling(tmp_path) as told:
        told.site.output.take("blue", NOTHING, ["before"] * 1000, is_error=False)
        async with told.reader() as reader:
            event = await reader.next()
            assert (len(event["lines"]), event["lost"]) == (100, 0)
            flood = [str(number) for number in range(MAX_LINES + 500)]
            told.site.output.take("blue", NOTHING, flood, is_error=False)
            event = await reader.next()
            assert event["lost"] == len(flood) - 100
            assert [line[3] for line in event["lines"]] == flood[-100:]


async def test_the_page_may_run_only_its_own_script_and_contact_no_other_host(
    tmp_path: Path,
) -> None:
    async with telling(tmp_path) as told, HttpClient(told.port, "127.0.0.1") as http:
        answer = await http.get("/", Host="localhost")
        other = await http.get("/events", Host="evil.example")
    html, policy = answer.body.decode(), answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "http" not in re.sub(r"http://www\.w3\.org/\d+/svg", "", html), "nothing from outside"
    assert (answer.headers["cache-control"], other.status) == ("no-store", 421)


# --- in a browser -----------------------------------------------------------------------------

CONTRASTS = """(() => {
    const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = parse(colour).map((c) => c / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = getComputedStyle(at).backgroundColor;
            if (parse(colour)[3] !== 0) return colour;
        }
    };
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !element.checkVisibility()) continue;
        if (["STYLE", "SCRIPT"].includes(element.tagName)) continue;
        const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        found.push([contrast, walk.currentNode.data]);
    }
    return found;
})()"""


async def check_is_readable(tab: Tab) -> None:
    """WCAG 2.2, 1.4.3: text has a contrast of at least 4.5 to what is behind it."""
    contrasts = await tab.evaluate(CONTRASTS)
    assert len(contrasts) > 15
    assert [found for found in contrasts if found[0] < 4.5] == []


@needs_browser
async def test_the_page_fits_a_phone_and_is_readable_in_light_and_dark_mode(
    tmp_path: Path, chromium: Browser
) -> None:
    async with telling(tmp_path) as told:
        told.site.output.take("blue", NOTHING, ["a-word-without-end" * 40], is_error=False)
        told.site.pause.begin(60)
        told.site.queue.request(NOTHING, Trigger.SWAP)
        backgrounds = set()
        for dark in (False, True):
            tab = await chromium.open(told.url, width=360, dark=dark)
            await tab.until_reads("#swaps", "failed")
            await tab.until_reads("#phase", "paused")
            assert await tab.evaluate("document.documentElement.scrollWidth") <= 360
            await check_is_readable(tab)
            backgrounds.add(await tab.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert tab.errors == []
        assert len(backgrounds) == 2


@needs_browser
async def test_the_page_says_that_the_supervisor_is_away_until_it_is_back(
    tmp_path: Path, chromium: Browser
) -> None:
    async with telling(tmp_path) as told:
        told.site.output.take("blue", NOTHING, ["before"], is_error=False)
        tab = await chromium.open(told.url)
        await tab.until_reads("#phase", "starting")
        told.serving.cancel()
        await tab.until_reads("#lost", "The supervisor does not answer")
        assert "no answer" in await tab.text("#phase")
        assert "before" in await tab.text("#lines"), "what was there can still be read"
        told.site.output.take("blue", NOTHING, ["meanwhile"], is_error=False)
        told.serve()
        await tab.until_reads("#phase", "starting")
        assert (await tab.text("#lost")) == ""
        lines = (await tab.text("#lines")).splitlines()
        assert [line.split()[-1] for line in lines] == ["before", "meanwhile"]


@needs_browser
async def test_a_hidden_page_holds_no_connection(
    tmp_path: Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blue_green.admin.server.MAX_STREAMS", 1)
    monkeypatch.setattr("blue_green.admin.events.INTERVAL", 0.1)
    async with telling(tmp_path) as told:
        first = await chromium.open(told.url)
        await first.until_reads("#phase", "starting")
        second = await chromium.open(told.url)
        await second.until_reads("#phase", "starting")
        await first.look_at()
        told.site.output.take("blue", NOTHING, ["news"], is_error=False)
        await first.until_reads("#lines", "news")
        async with HttpClient(told.port) as http:
            refused = await http.get("/events", Host="localhost")
        assert refused.status == 503, "the first has its place"


@needs_browser
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
        await check_is_readable(tab)
        assert tab.errors == []
