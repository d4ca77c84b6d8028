"""A site in maintenance: new requests get 503 and a page, but for those that are admitted."""

import time
from ipaddress import ip_network
from pathlib import Path

import pytest
import trio

from blue_green.proxy.maintenance import MESSAGE, RETRY_AFTER, Maintenance
from tests.raw.backend import silence
from tests.raw.files import fetch, roots, serving, write
from tests.raw.in_maintenance import LINK, PROXY, TOKEN, US, begin, opened
from tests.raw.messages import CHUNKED, GET, POST
from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy, running
from tests.raw.sites import Plan, running_sites
from tests.raw.tls_client import write_pair
from tests.raw.tunnels import ASK, FRAMES, echoes, switches
from tests.support.access_lines import logged
from tests.support.http2_frames import FrameType
from tests.support.http2_wire import FrameSocket, frame_socket, request_fields
from tests.waiting import until

HTML = "Accept: text/html"


def with_line(head: bytes, line: str) -> bytes:
    return head.replace(b"\r\n\r\n", f"\r\n{line}\r\n\r\n".encode())


# --- the response ----------------------------------------------------------------------------


@pytest.mark.parametrize("head", [GET, POST + b"hello", CHUNKED + b"0\r\n\r\n", ASK])
async def test_each_request_gets_503_and_reaches_no_backend(head: bytes) -> None:
    async with running() as proxy:
        begin(proxy.site)
        answer = await (await proxy.ask(head)).answer()
        assert answer.status == 503
        assert answer.field(b"retry-after") == [b"%d" % RETRY_AFTER]
        assert answer.field(b"cache-control") == [b"no-store"]
        assert answer.body.decode() == f"In maintenance\n{MESSAGE}\n"
        assert not proxy.backend.heads


async def test_the_end_is_in_the_page_and_in_retry_after() -> None:
    async with running() as proxy:
        begin(proxy.site, Maintenance("Moving house.", time.time() + 90))
        answer = await fetch(proxy, "/", HTML)
        [seconds] = answer.field(b"retry-after")
        assert 80 < int(seconds) <= 90
        assert b"<p>Moving house.</p>" in answer.body
        assert b"It should be back at 20" in answer.body


async def test_an_end_that_is_far_away_asks_for_a_day_at_most() -> None:
    async with running() as proxy:
        begin(proxy.site, Maintenance(until=time.time() + 400 * 86400))
        assert (await fetch(proxy, "/")).field(b"retry-after") == [b"86400"]


async def test_an_end_that_has_just_passed_asks_for_a_second() -> None:
    async with running() as proxy:
        begin(proxy.site, Maintenance(until=time.time() - 5))
        assert (await fetch(proxy, "/")).field(b"retry-after") == [b"1"]


async def test_a_head_request_gets_no_body() -> None:
    async with running() as proxy:
        begin(proxy.site)
        answer = await fetch(proxy, "/", method="HEAD")
        assert (answer.status, answer.body) == (503, b"")


async def test_the_message_is_text_and_never_a_field() -> None:
    hostile = "<script>{until}</script> {message} \\r\\nSet-Cookie: a=b"
    async with running() as proxy:
        begin(proxy.site, Maintenance(hostile, time.time() + 60))
        answer = await fetch(proxy, "/", HTML)
        assert b"&lt;script&gt;{until}&lt;/script&gt; {message} \\r\\n" in answer.body
        assert not answer.field(b"set-cookie")
        assert hostile.encode() in (await fetch(proxy, "/")).body


async def test_the_page_can_be_replaced(tmp_path: Path) -> None:
    write(tmp_path, {"maintenance.html": "<i>{message}|{until}", "503.txt": "not this one"})
    async with running(error_pages=tmp_path) as proxy:
        begin(proxy.site, Maintenance("Soon & well"))
        assert (await fetch(proxy, "/", HTML)).body == b"<i>Soon &amp; well|"
        assert (await fetch(proxy, "/")).body == b"In maintenance\nSoon & well\n"


async def test_the_connection_goes_on_and_sees_the_end_of_the_maintenance() -> None:
    async with running() as proxy:
        begin(proxy.site)
        client = await proxy.ask(GET)
        assert (await client.answer()).status == 503
        proxy.site.maintenance = None
        await client.send(GET)
        assert (await client.answer()).status == 200


async def test_the_access_line_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    with logged(capfd) as lines:
        async with running(access_log=True) as proxy:
            begin(proxy.site)
            await fetch(proxy, "/x")
            [line] = await until("the access line", lines)
        assert (line["status"], line["why"]) == (503, "The site is in maintenance.")
        assert proxy.gate.by_status == {503: 1}


# --- what it is about ------------------------------------------------------------------------


async def test_those_who_are_admitted_get_the_page_too_while_nothing_runs(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with logged(capfd) as lines:
        async with running(access_log=True) as proxy:
            proxy.gate.switch([])
            proxy.gate.refuse("This site is not available.")
            begin(proxy.site, Maintenance("Moving house.", allow=US))
            assert (await fetch(proxy, "/")).body == b"In maintenance\nMoving house.\n"
            [line] = await until("the access line", lines)
            assert (line["status"], line["why"]) == (503, "This site is not available.")
            proxy.site.maintenance = None
            assert b"This site is not available." in (await fetch(proxy, "/")).body


async def test_it_works_without_a_live_release_and_during_a_pause() -> None:
    async with running() as proxy:
        proxy.gate.switch([])
        begin(proxy.site)
        assert (await fetch(proxy, "/")).status == 503
        proxy.gate.hold("pause")
        assert (await fetch(proxy, "/")).status == 503
        assert proxy.gate.tally.held == 0


async def test_files_are_behind_it(tmp_path: Path) -> None:
    write(tmp_path / "live/public", {"a.txt": "file"})
    for has_app in (False, True):
        async with serving(roots(tmp_path / "live", has_app=has_app)) as proxy:
            assert (await fetch(proxy, "/a.txt")).body == b"file"
            begin(proxy.site)
            assert (await fetch(proxy, "/a.txt")).status == 503
            begin(proxy.site, Maintenance(allow=US))
            assert (await fetch(proxy, "/a.txt")).body == b"file"


async def test_other_sites_of_the_same_host_are_not_in_maintenance() -> None:
    plans = {
        "blog": Plan(("x.org",), redirect_hosts=("www.x.org",)),
        "api": Plan(("x.org",), ("/api",)),
    }
    async with running_sites(plans) as sites:
        begin(sites["blog"].served)
        assert (await sites.get("x.org/")).status == 503
        assert (await sites.get("x.org/api")).body == b"api"
        assert (await sites.get("www.x.org/")).status == 308
        assert (await sites.get("else.org/")).status == 404


async def test_challenges_and_the_redirect_to_https_are_not_in_maintenance(tmp_path: Path) -> None:
    async with running(tls=write_pair(tmp_path)) as proxy:
        begin(proxy.site)
        client = await proxy.connect_plainly(proxy.redirect_port)
        await client.send(GET)
        assert (await client.answer()).status == 308
        assert proxy.challenges is not None
        proxy.challenges.http["token"] = "answer"
        await client.send(GET.replace(b" / ", b" /.well-known/acme-challenge/token "))
        assert (await client.answer()).body == b"answer"


async def test_an_open_websocket_goes_on() -> None:
    async with running(switches(echoes)) as proxy:
        client = await proxy.ask(ASK)
        await client.until(b"\r\n\r\n")
        begin(proxy.site)
        await client.send(FRAMES)
        assert await client.exactly(len(FRAMES)) == FRAMES


async def test_a_download_goes_on() -> None:
    async def slow(peer: Peer) -> None:
        await peer.next_head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none")
        await resumes.wait()
        await peer.send(b"two")

    resumes = trio.Event()
    async with running(slow) as proxy:
        client = await proxy.ask(GET)
        await client.until(b"one")
        begin(proxy.site)
        resumes.set()
        await client.until(b"two")


# --- held requests ---------------------------------------------------------------------------


async def held(proxy: RunningProxy, head: bytes = GET) -> Peer:
    before = proxy.gate.held
    client = await proxy.ask(head)
    await until("it is held", lambda: proxy.gate.held == before + 1)
    return client


async def test_requests_that_wait_when_it_begins_get_the_page() -> None:
    async with running() as proxy:
        proxy.gate.hold("test")
        clients = [await held(proxy), await held(proxy, POST + b"hello")]
        begin(proxy.site, Maintenance("Wait."))
        for client in clients:
            answer = await client.answer()
            assert (answer.status, answer.body) == (503, b"In maintenance\nWait.\n")
        assert not proxy.backend.heads


async def test_a_request_that_waits_goes_on_waiting_if_it_is_admitted() -> None:
    async with running(trusted_proxies=PROXY) as proxy:
        proxy.gate.hold("test")
        ours = await held(proxy, with_line(GET, "X-Forwarded-For: 192.0.2.7"))
        other = await held(proxy)
        begin(proxy.site, Maintenance(allow=[ip_network("192.0.2.7")]))
        assert (await other.answer()).status == 503
        assert proxy.gate.held == 1
        proxy.gate.resume("test")
        assert (await ours.answer()).status == 200
        assert proxy.gate.tally.held == 2


@pytest.mark.parametrize("request_", [GET, POST + b"hello"], ids=["GET", "POST"])
async def test_a_request_that_waits_has_opened_the_link_even_if_it_begins_later(
    request_: bytes,
) -> None:
    """As after a restart: the request may arrive before the site knows of its maintenance."""
    async with running() as proxy:
        begin(proxy.site, Maintenance(token=TOKEN))
        cookie = await opened(proxy)
        proxy.site.maintenance = None
        proxy.gate.hold("test")
        client = await held(proxy, with_line(request_, cookie))
        begin(proxy.site, Maintenance(token=TOKEN))
        proxy.gate.resume("test")
        assert (await client.answer()).status == 200
        [head] = proxy.backend.heads
        assert b"blue-green-" not in head


async def test_a_request_whose_body_arrives_meanwhile_reaches_no_backend() -> None:
    async with running() as proxy:
        client = await proxy.ask(with_line(POST, "Expect: 100-continue"))
        await client.until(b"100 Continue\r\n\r\n")
        begin(proxy.site)
        await client.send(b"hello")
        assert (await client.answer()).status == 503
        assert not proxy.backend.heads


async def test_a_request_at_a_backend_goes_on() -> None:
    async with running(silence) as proxy:
        await proxy.ask(GET)
        await proxy.until_backend_has(1)
        begin(proxy.site)
        await trio.testing.wait_all_tasks_blocked()
        assert proxy.gate.requests == 1


async def test_an_admitted_request_is_not_asked_for_its_cookie_twice() -> None:
    """A backend must not see it, so that it is removed before the request waits."""
    async with running() as proxy:
        begin(proxy.site, Maintenance(token=TOKEN))
        cookie = await opened(proxy)
        proxy.gate.hold("test")
        client = await held(proxy, with_line(GET, cookie))
        begin(proxy.site, Maintenance("Another message.", token=TOKEN))
        proxy.gate.resume("test")
        assert (await client.answer()).status == 200


# --- HTTP/2 ----------------------------------------------------------------------------------


async def test_http2_has_all_of_it_too(tmp_path: Path) -> None:
    def get(client: FrameSocket, number: int, path: str, **fields: str) -> dict[str, str]:
        client.send_headers(number, [*request_fields(path), *fields.items()])
        got = client.expect(FrameType.HEADERS, number)
        return dict(got.fields)

    def talk() -> None:
        with frame_socket(proxy.port) as client:
            assert get(client, 1, "/")[":status"] == "503"
            connect = [(":protocol", "websocket"), *request_fields("/chat", "CONNECT")]
            client.send_headers(3, connect, flags=0)
            assert dict(client.expect(FrameType.HEADERS, 3).fields)[":status"] == "503"
            opened = get(client, 5, LINK.path)
            assert (opened[":status"], opened["location"]) == ("303", "../")
            cookie = opened["set-cookie"].partition(";")[0]
            assert get(client, 7, "/", cookie=f"a=b; {cookie}")[":status"] == "200"

    async with running(tls=write_pair(tmp_path)) as proxy:
        begin(proxy.site, Maintenance(token=TOKEN))
        await trio.to_thread.run_sync(talk)
        [head] = proxy.backend.heads
        assert b"ookie: a=b\r\n" in head and b"blue-green-" not in head.lower()
