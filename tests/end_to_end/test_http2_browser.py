"""A browser and a real site over HTTP/2: many assets, cancelled requests, streams, uploads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.browser import Browser, Tab
from tests.support.http2_site import Http2Site
from tests.waiting import until

pytestmark = pytest.mark.long

PROTOCOLS = """[...new Set(performance.getEntriesByType("resource")
    .concat(performance.getEntriesByType("navigation"))
    .map((entry) => entry.nextHopProtocol))].join()"""
SCRIPTS = """performance.getEntriesByType("resource")
    .filter((entry) => entry.initiatorType === "script" && entry.responseStatus === 200).length"""
CONNECTS = """performance.getEntriesByType("resource")
    .concat(performance.getEntriesByType("navigation"))
    .filter((entry) => entry.connectEnd > entry.connectStart).length"""
ALL_LOADED = "document.readyState === 'complete' && window.loaded === 200"


@asynccontextmanager
async def assets(
    directory: Path, browser: Browser, path: str = "/page"
) -> AsyncIterator[tuple[Http2Site, Tab]]:
    """A site with 200 assets, and a page of it that has loaded them."""
    site = Http2Site(directory, "showcase")
    site.commit("one")
    async with site.running():
        tab = await browser.open(site.url(path))
        await tab.until(ALL_LOADED)
        yield site, tab


@asynccontextmanager
async def streaming(directory: Path, browser: Browser) -> AsyncIterator[tuple[Http2Site, Tab]]:
    """A site that streams, and a page of it, whose connection the browser uses for streams."""
    site = Http2Site(directory, "streaming")
    site.configure(swap={"stream_timeout": "1s"})
    site.commit("one")
    async with site.running():
        tab = await browser.open(site.url("/"))
        await tab.until("document.readyState === 'complete'")
        assert await tab.evaluate(PROTOCOLS) == "h2"
        yield site, tab


async def is_idle(site: Http2Site) -> bool:
    return bool((await site.status())["in_flight"] == 0)


async def test_a_page_loads_200_scripts_on_one_connection(
    tmp_path: Path, tls_chromium: Browser
) -> None:
    async with assets(tmp_path, tls_chromium) as (site, tab):
        for most_connects in (1, 0, 0):  # The browser may have connected before the first request.
            await tab.until(ALL_LOADED)
            assert await tab.evaluate(PROTOCOLS) == "h2"
            assert await tab.evaluate(CONNECTS) <= most_connects
            assert await tab.evaluate(SCRIPTS) == 200
            await tab.evaluate("loaded = 0; location.reload()")
        await tab.until(ALL_LOADED)
        await site.until_one_connection()
        assert len(site.journal()) >= 804
        assert tab.errors == []


async def test_a_page_that_is_left_while_it_loads_does_not_disturb_the_next(
    tmp_path: Path, tls_chromium: Browser
) -> None:
    async with assets(tmp_path, tls_chromium, "/page?0") as (site, tab):
        for _ in range(5):
            before = len(site.journal_of("/asset/1.js?5"))
            await tab.evaluate(f"location = {site.url('/page?5')!r}")
            await until("requests", lambda: len(site.journal_of("/asset/1.js?5")) > before)  # noqa: B023
            await tab.evaluate(f"location = {site.url('/page?0')!r}")
            await tab.until(ALL_LOADED)
            assert await tab.evaluate(CONNECTS) == 0
        await site.until_logged_requests(" status=499 ", 50)
        await site.until_one_connection()
        await until("no request is left", lambda: is_idle(site))
        assert tab.errors == []


async def test_a_websocket_is_closed_with_1012_after_a_swap_and_opened_again(
    tmp_path: Path, tls_chromium: Browser
) -> None:
    """The browser opens it on the connection of the page (RFC 8441), not on one of its own."""
    async with streaming(tmp_path, tls_chromium) as (site, tab):
        await tab.evaluate("""(() => {
            received = [], codes = [];
            (function open() {
                const socket = new WebSocket(`wss://${location.host}/ws`);
                socket.onmessage = (event) => received.push(event.data);
                socket.onclose = (event) => {
                    codes.push(`${event.code} ${event.wasClean}`);
                    open();
                };
            })();
        })()""")
        await tab.until("received.join() === 'one'")
        await site.until_live(site.commit("two"))
        await tab.until("codes.join() === '1012 true'")
        await tab.until("received.join() === 'one,two'")
        assert [line["via"] for line in site.journal_of("/ws")] == ["2.0 blue-green"] * 2
        [goodbye] = await until("the app has ended it", lambda: site.journal("goodbye"))
        assert (goodbye["opcode"], goodbye["code"], goodbye["text"]) == (8, 1012, "one")
        await site.until_one_connection()
        await tab.evaluate("location = 'about:blank'")


async def test_an_event_source_continues_after_a_swap(
    tmp_path: Path, tls_chromium: Browser
) -> None:
    async with streaming(tmp_path, tls_chromium) as (site, tab):
        await tab.evaluate("""(() => {
            received = [];
            const note = (text) => { if (received.at(-1) !== text) received.push(text); };
            const source = new EventSource("/events");
            source.onmessage = (event) => note(event.data);
            source.onerror = () => note(`state ${source.readyState}`);
        })()""")
        await tab.until("received.join() === 'one'")
        await site.until_live(site.commit("two"))
        await tab.until("received.join() === 'one,state 0,two'")  # 0: it connects again.
        assert [line["via"] for line in site.journal_of("/events")] == ["2.0 blue-green"] * 2
        assert tab.errors == [], "the stream did not end properly"
        await tab.evaluate("location = 'about:blank'")


async def test_uploads_show_their_progress(tmp_path: Path, tls_chromium: Browser) -> None:
    """Browsers send a stream as the body of fetch() over HTTP/2 only."""
    async with assets(tmp_path, tls_chromium) as (_, tab):
        await tab.evaluate("""(() => {
            progress = [], answers = [];
            const request = new XMLHttpRequest();
            request.upload.onprogress = (event) => progress.push(event.loaded);
            request.onload = () => answers.push(JSON.parse(request.responseText).length);
            request.open("POST", "/upload");
            request.send(new Blob([new Uint8Array(20_000_000)]));
        })()""")
        await tab.until("answers.length === 1")
        assert await tab.evaluate("answers[0]") == 20_000_000
        progress = await tab.evaluate("progress")
        assert progress == sorted(progress)
        assert (progress[-1], len(progress) > 1) == (20_000_000, True), progress
        await tab.evaluate("""(() => {
            let left = 100, pulled = 0;
            const body = new ReadableStream({pull(controller) {
                pulled++;
                if (left-- === 0) controller.close();
                else controller.enqueue(new Uint8Array(50_000));
            }});
            fetch("/upload", {method: "POST", body, duplex: "half"})
                .then((answer) => answer.json())
                .then((answer) => answers.push(answer.length, pulled))
                .catch((error) => answers.push(String(error), 0));
        })()""")
        await tab.until("answers.length === 3")
        assert await tab.evaluate("answers[1]") == 5_000_000
        assert await tab.evaluate("answers[2]") >= 100
        assert tab.errors == []


async def test_a_page_whose_requests_go_on_notices_no_swap_or_upgrade(
    tmp_path: Path, tls_chromium: Browser
) -> None:
    async with assets(tmp_path, tls_chromium) as (site, tab):
        await tab.evaluate("""(() => {
            counts = {}, failures = [], goes_on = true;
            const ask = async (options) => {
                while (goes_on) {
                    try {
                        const answer = await fetch("/load", {cache: "no-store", ...options});
                        if (!answer.ok) throw new Error(answer.status);
                        const {text} = await answer.json();
                        counts[text] = (counts[text] ?? 0) + 1;
                    } catch (error) {
                        failures.push(`${options.method}: ${error}`);
                    }
                }
            };
            for (let number = 0; number < 20; number++) {
                ask(number % 2 ? {method: "POST", body: "x".repeat(20_000)} : {method: "GET"});
            }
        })()""")
        for text in ("two", "three"):
            await site.until_live(site.commit(text))
            await tab.until(f"counts.{text} > 50")
        assert (await site.cli("reload")).code == 0
        assert (await tab.evaluate("failures"), tab.errors) == ([], [])
        assert (await site.cli("upgrade")).code == 0
        before = await tab.evaluate("counts.three")
        await tab.until(f"counts.three > {before} + 100")
        await tab.evaluate("goes_on = false")
        assert await tab.evaluate(PROTOCOLS) == "h2"
        # Chromium fails a request that has its connection, but no stream yet, when GOAWAY arrives:
        # TryCreateStream of its SpdySession returns ERR_FAILED, and nothing repeats that.
        assert all("net::ERR_FAILED" in error for error in tab.errors), tab.errors
        assert await tab.evaluate("failures.length") == len(tab.errors) <= 10
        requests = [line for line in site.log().splitlines() if " path=/load " in line]
        assert not [line for line in requests if " status=200 " not in line]
