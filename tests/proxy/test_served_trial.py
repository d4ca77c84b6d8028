"""A release on trial, as clients of the proxy see it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
import trio

from blue_green.config.kinds import Endpoint
from blue_green.proxy.canary import Canary
from blue_green.proxy.maintenance import Maintenance
from blue_green.proxy.secret_link import SecretLink, new_token
from blue_green.proxy.served_trial import ServedTrial
from blue_green.routing.lease import Target
from tests.raw.backend import Script, drops, says
from tests.raw.files import roots, write
from tests.raw.messages import POST
from tests.raw.peer import ParsedMessage
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import PemPair, write_pair
from tests.support.http2_frames import FrameType
from tests.support.http2_wire import frame_socket, request_fields
from tests.waiting import until

LIVE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlive"
NEW = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"


@asynccontextmanager
async def on_trial(
    audience: Canary | SecretLink, script: Script | None = None, tls: PemPair | None = None
) -> AsyncIterator[RunningProxy]:
    """The proxy with a live release, and another one on trial."""
    async with running(script or says(NEW)) as other, running(says(LIVE), tls=tls) as proxy:
        trial = proxy.gate.begin_trial([other.target])
        proxy.site.trial = ServedTrial(trial, audience)
        yield proxy
        proxy.site.trial = None
        proxy.gate.end_trial()


def a_canary(percent: float) -> Canary:
    return Canary("", "a" * 40, percent, 60)


async def asked(proxy: RunningProxy, *lines: bytes, path: bytes = b"/") -> ParsedMessage:
    head = b"".join(b"%b\r\n" % line for line in (b"GET %b HTTP/1.1" % path, b"Host: h", *lines))
    client = await proxy.ask(head + b"\r\n")
    return await client.answer()


@pytest.mark.parametrize(("percent", "body"), [(0, b"live"), (100, b"new")])
async def test_a_client_of_a_canary_gets_one_release_and_a_cookie_once(
    percent: float, body: bytes
) -> None:
    async with on_trial(a_canary(percent)) as proxy:
        answer = await asked(proxy)
        [cookie] = answer.field(b"set-cookie")
        assert (answer.body, answer.field(b"cache-control")) == (body, [b"private"])
        answer = await asked(proxy, b"Cookie: x=y; " + cookie.partition(b";")[0])
        assert (answer.body, answer.field(b"set-cookie")) == (body, [])
        assert answer.field(b"cache-control") == []


async def test_whoever_writes_the_number_into_the_cookie_chooses_a_release() -> None:
    async with on_trial(a_canary(99)) as proxy:
        [cookie] = (await asked(proxy)).field(b"set-cookie")
        before = b"Cookie: " + cookie.partition(b";")[0].rpartition(b".")[0]
        assert (await asked(proxy, before + b".0")).body == b"new"
        assert (await asked(proxy, before + b".9999")).body == b"live"


async def test_a_response_that_a_cache_may_share_gets_no_cookie() -> None:
    cacheable = NEW.replace(b"OK\r\n", b"OK\r\nCache-Control: max-age=60\r\n")
    async with on_trial(a_canary(100), says(cacheable)) as proxy:
        answer = await asked(proxy)
        assert (answer.body, answer.field(b"set-cookie")) == (b"new", [])


async def test_the_requests_of_one_connection_are_assigned_one_by_one() -> None:
    async with on_trial(a_canary(100)) as proxy:
        client = await proxy.connect()
        for percent, body in ((100, b"new"), (0, b"live"), (100, b"new")):
            assert proxy.site.trial is not None
            proxy.site.trial.audience = a_canary(percent)
            await client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert (await client.answer()).body == body
        proxy.site.trial = None
        await client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = await client.answer()
        assert (answer.body, answer.field(b"set-cookie")) == (b"live", [])


async def test_a_request_that_the_candidate_drops_goes_to_the_live_release() -> None:
    async with on_trial(a_canary(100), drops) as proxy:
        answer = await asked(proxy)
        assert (answer.status, answer.body) == (200, b"live")


async def test_a_client_that_gets_an_error_of_ours_stays_with_its_release() -> None:
    async with on_trial(a_canary(100), drops) as proxy:
        client = await proxy.ask(POST + b"hello")
        answer = await client.answer()
        [cookie] = answer.field(b"set-cookie")
        assert (answer.status, answer.field(b"cache-control")) == (502, [b"no-store"])
        assert cookie.startswith(b"blue-green-canary=")
        line = b"Cookie: %b\r\nContent-Length" % cookie.partition(b";")[0]
        client = await proxy.ask(POST.replace(b"Content-Length", line) + b"hello")
        answer = await client.answer()
        assert (answer.status, answer.field(b"set-cookie")) == (502, [])


async def test_a_client_with_http2_that_gets_an_error_of_ours_does_so_too(tmp_path: Path) -> None:
    def ask() -> dict[str, str]:
        with frame_socket(proxy.port) as client:
            client.send_headers(1, request_fields("/", "POST"))
            return dict(client.expect(FrameType.HEADERS, 1).fields)

    async with on_trial(a_canary(100), drops, write_pair(tmp_path)) as proxy:
        fields = await trio.to_thread.run_sync(ask)
        assert fields[":status"] == "502"
        assert fields["set-cookie"].startswith("blue-green-canary=")


async def test_only_who_opens_the_link_of_a_preview_sees_it() -> None:
    link = SecretLink("preview", new_token())
    async with on_trial(link) as proxy:
        assert (await asked(proxy)).body == b"live"
        answer = await asked(proxy, path=link.path.encode())
        assert (answer.status, answer.field(b"location")) == (303, [b"../"])
        [cookie] = answer.field(b"set-cookie")
        holds = b"Cookie: " + cookie.partition(b";")[0]
        assert (await asked(proxy, holds)).body == b"new"
        answer = await asked(proxy)
        assert (answer.body, answer.field(b"set-cookie")) == (b"live", [])
        proxy.site.maintenance = Maintenance()
        assert (await asked(proxy, holds)).body == b"new"
        assert (await asked(proxy)).status == 503
        assert (await asked(proxy, holds + b"x")).status == 503
        proxy.site.maintenance = None


async def test_the_cookie_of_a_preview_does_not_reach_the_app() -> None:
    link = SecretLink("preview", new_token())
    async with running(says(NEW)) as other, running(says(LIVE)) as proxy:
        proxy.site.trial = ServedTrial(proxy.gate.begin_trial([other.target]), link)
        [cookie] = (await asked(proxy, path=link.path.encode())).field(b"set-cookie")
        await asked(proxy, b"Cookie: a=b; " + cookie.partition(b";")[0])
        assert b"Cookie: a=b\r\n" in other.backend.heads[-1]
        assert b"preview" not in other.backend.heads[-1]
        proxy.site.trial = None
        proxy.gate.end_trial()


PUBLIC = b"Cache-Control: public, max-age=600\r\nCDN-Cache-Control: max-age=600\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"200 OK\r\nContent-Length: 3\r\n%b\r\nnew", id="page"),
        pytest.param(b"200 OK\r\nTransfer-Encoding: chunked\r\n%b\r\n0\r\n\r\n", id="chunks"),
        pytest.param(b"304 Not Modified\r\nETag: a\r\n%b\r\n", id="304"),
        pytest.param(b"404 Not Found\r\nContent-Length: 0\r\n%b\r\n", id="error"),
    ],
)
async def test_no_cache_stores_a_preview(answer: bytes, tmp_path: Path) -> None:
    def ask() -> dict[str, str]:
        with frame_socket(proxy.port) as client:
            client.send_headers(1, [*request_fields("/"), ("cookie", holds.decode())])
            return dict(client.expect(FrameType.HEADERS, 1).fields)

    link, script = SecretLink("preview", new_token()), says(b"HTTP/1.1 " + answer % PUBLIC)
    async with on_trial(link, script, write_pair(tmp_path)) as proxy:
        opened = (await asked(proxy, path=link.path.encode())).field(b"set-cookie")
        holds = opened[0].partition(b";")[0]
        over_http1 = await asked(proxy, b"Cookie: " + holds)
        assert over_http1.field(b"cache-control") == [b"private, no-store"]
        assert over_http1.field(b"cdn-cache-control") == []
        fields = await trio.to_thread.run_sync(ask)
        assert fields["cache-control"] == "private, no-store"
        assert "cdn-cache-control" not in fields


async def test_whoever_sees_a_preview_in_maintenance_may_also_have_its_link() -> None:
    preview, link = SecretLink("preview", new_token()), SecretLink("maintenance", "t" * 43)
    held: list[bytes] = []
    async with running(says(NEW)) as other, running(says(LIVE)) as proxy:
        proxy.site.trial = ServedTrial(proxy.gate.begin_trial([other.target]), preview)
        proxy.site.maintenance = Maintenance(token="t" * 43)
        for path in (preview.path, link.path):
            cookies = b"Cookie: a=b; " + b"; ".join(held)
            [cookie] = (await asked(proxy, cookies, path=path.encode())).field(b"set-cookie")
            held.append(cookie.partition(b";")[0])
        assert (await asked(proxy, b"Cookie: a=b; " + b"; ".join(held))).body == b"new"
        assert b"Cookie: a=b\r\n" in other.backend.heads[-1]
        assert (await asked(proxy, b"Cookie: " + held[1])).body == b"live"
        proxy.site.maintenance = proxy.site.trial = None
        proxy.gate.end_trial()


async def test_a_request_of_a_preview_that_waits_when_maintenance_begins_goes_on_waiting() -> None:
    link = SecretLink("preview", new_token())
    async with on_trial(link) as proxy:
        [cookie] = (await asked(proxy, path=link.path.encode())).field(b"set-cookie")
        proxy.gate.hold("test")
        head = b"GET / HTTP/1.1\r\nHost: h\r\nCookie: %b\r\n\r\n" % cookie.partition(b";")[0]
        client = await proxy.ask(head)
        await until("it is held", lambda: proxy.gate.held)
        proxy.site.maintenance = Maintenance()
        proxy.gate.queue.check_held()
        proxy.gate.resume("test")
        assert (await client.answer()).body == b"new"
        proxy.site.maintenance = None


async def test_a_canary_in_maintenance_is_for_those_who_are_admitted() -> None:
    async with on_trial(a_canary(100)) as proxy:
        proxy.site.maintenance = Maintenance()
        assert (await asked(proxy)).status == 503
        proxy.site.maintenance = Maintenance(allow=[ip_network("127.0.0.0/8")])
        assert (await asked(proxy)).body == b"new"
        proxy.site.maintenance = None


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_held_request_for_a_static_site_on_trial_gets_a_file_of_its_release(
    tmp_path: Path, goes_on: bool
) -> None:
    write(tmp_path, {"one/public/a.html": "live", "two/public/a.html": "new"})
    live, new = roots(tmp_path / "one"), roots(tmp_path / "two")
    async with running() as proxy:
        proxy.gate.switch([Target(Endpoint(), "blue", "1" * 40)])
        trial = proxy.gate.begin_trial([Target(Endpoint(), "green", "2" * 40)])
        proxy.site.files, proxy.site.trial = live, ServedTrial(trial, a_canary(100), new)
        assert (await asked(proxy, path=b"/a.html")).body == b"new"
        proxy.gate.hold("test")
        client = await proxy.ask(b"GET /a.html HTTP/1.1\r\nHost: h\r\n\r\n")
        await until("it is held", lambda: proxy.gate.held)
        if not goes_on:
            proxy.site.trial = None
            proxy.gate.end_trial()
        proxy.gate.resume("test")
        assert (await client.answer()).body == (b"new" if goes_on else b"live")
        proxy.site.trial = None
        proxy.gate.end_trial()
