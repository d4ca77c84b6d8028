"""Log lines of requests that were refused, failed or aborted."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from blue_green.config.kinds import Count, Endpoint, Period
from blue_green.config.site_settings import HoldSettings
from tests.raw.backend import Script, drops, in_turn, says, silence
from tests.raw.files import fetch, roots, write
from tests.raw.messages import GET, OK, POST
from tests.raw.peer import Gone, Peer
from tests.raw.proxy import SHORT, RunningProxy, running
from tests.raw.requests import get, post
from tests.raw.sites import Plan, running_sites
from tests.raw.tls_client import PemPair, write_pair
from tests.support.access_lines import logged
from tests.waiting import until

FORMS = ["logfmt", "json"]


@pytest.fixture
def tls(tmp_path: Path) -> PemPair:
    return write_pair(tmp_path)


@asynccontextmanager
async def logging_proxy(
    capfd: pytest.CaptureFixture[str], script: Script | None = None, **settings: Any
) -> AsyncIterator[tuple[RunningProxy, Callable[[], Any]]]:
    """A proxy whose access lines can be waited for."""
    with logged(capfd) as lines:
        async with running(script, access_log=True, **settings) as proxy:

            async def the_line() -> dict[str, Any]:
                [line] = await until("the access line", lines)
                return dict(line)

            yield proxy, the_line


def answer(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([first, *lines, b"", b""])


@pytest.mark.parametrize("form", FORMS)
async def test_a_line_names_the_site_if_there_are_several(
    capfd: pytest.CaptureFixture[str], form: str
) -> None:
    plans = {"blog": Plan(("blog.org",)), "shop": Plan(("shop.org",), ("/shop",))}
    with logged(capfd) as lines:
        async with running_sites(plans, access_log=True, log_format=form) as sites:
            found: list[dict[str, Any]] = []
            sites["shop"].served.gate.close("The end.")
            sites["shop"].served.gate.switch([])
            for url in ("blog.org/", "shop.org/shop", "shop.org/", "else.org/"):
                await sites.get(url)
                found.append((await until("all access lines", lambda: lines()[len(found) :]))[0])
    assert [(line["status"], line.get("site")) for line in found] == [
        (200, "blog"), (503, "shop"), (404, None), (404, None),
    ]  # fmt: skip
    assert (found[0]["slot"], found[0]["path"]) == ("blue", "/")
    assert found[2]["why"] == "This server has no site with this path: the host is shop.org."
    assert found[3]["why"] == "This server has no site with this host name: the host is else.org."


@pytest.mark.parametrize("form", FORMS)
async def test_a_line_names_no_site_if_there_is_only_one(
    capfd: pytest.CaptureFixture[str], form: str
) -> None:
    async with logging_proxy(capfd, log_format=form) as (proxy, the_line):
        client = await proxy.ask(GET)
        await client.answer()
        assert "site" not in await the_line()


FAULTS = {
    "closes": (says(close=True), "it closed the connection before it responded"),
    "half a head": (says(b"HTTP/1.1 200 OK\r\nX", close=True), "within the head of its response"),
    "garbage": (says(b"garbage\r\n\r\n"), "illegal status line"),
    "HTTP/2": (says(bytes.fromhex("000000040000000000")), "it answered in HTTP/2, as gRPC"),
    "two encodings": (
        says(answer(*[b"Transfer-Encoding: chunked"] * 2)), "multiple Transfer-Encoding headers"
    ),
    "two lengths": (
        says(answer(b"Content-Length: 1", b"Content-Length: 2")), "conflicting Content-Length"
    ),
    "a large head": (says(answer(b"X: " + b"x" * 70_000)), "head is over 65536 bytes"),
    "a control character": (
        says(answer(b"Set-Cookie: s3cret\x01", b"Content-Length: 0")),
        "Set-Cookie has a control character in its value",
    ),
    "a NUL": (
        says(answer(b"Set-Cookie: s3cret\x00", b"Content-Length: 0")),
        "Set-Cookie has a control character in its value",
    ),
    "a space in a name": (
        says(answer(b"Set Cookie: s3cret", b"Content-Length: 0")), "illegal header line, Set Cookie"
    ),
    "a line that ends in LF": (says(b"HTTP/1.1 200 OK\nX: y\n\n"), "does not end in CR LF"),
    "only hints": (
        says(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 60), "it never sent a final response"
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("script", "fault"), FAULTS.values(), ids=FAULTS)
async def test_a_502_has_its_reason_in_the_log_and_not_on_the_page(
    capfd: pytest.CaptureFixture[str], script: Script, fault: str, form: str
) -> None:
    async with logging_proxy(capfd, script, log_format=form) as (proxy, the_line):
        client = await proxy.ask(POST + b"hello")
        given = await client.answer()
        line = await the_line()
    assert (line["status"], given.status) == (502, 502)
    assert line["why"].startswith("The backend sent no valid response: ")
    assert fault in line["why"]
    assert "s3cret" not in str(line)
    assert fault.encode() not in given.body
    assert (line["method"], line["path"], line["slot"]) == ("POST", "/", "blue")
    assert line["bytes"] == len(given.body)
    assert "cut" not in line


async def test_an_unreachable_backend_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    async with logging_proxy(capfd) as (proxy, the_line):
        proxy.target.address, real = Endpoint("127.0.0.1", 1), proxy.target.address
        client = await proxy.ask(GET)
        given = await client.answer()
        line = await the_line()
        proxy.target.address = real
    why = "The backend could not be reached: 127.0.0.1:1: Connection refused."
    assert (line["status"], line["why"]) == (502, why)
    assert b"127.0.0.1" not in given.body


REFUSED = {
    "no Host": (get(target=b"/a?b=c"), 400, "/a?b=c", "Host"),
    "not ASCII": (get(b"Host: h", target="/é".encode()), 400, "/\\xc3\\xa9", "percent-encoded"),
    "a space": (get(b"Host: h", target=b"/a b"), 400, "/a b", "one space"),
    "an escape sequence": (get(b"Host: h", target=b"/\x1b[2J"), 400, "/\\x1b[2J", "request line"),
    "a large head": (b"GET /large HTTP/1.1\r\nX: " + b"x" * 2000, 431, "/large", "1024 bytes"),
    "a large target": (b"GET /" + b"x" * 2000, 431, "/" + "x" * 196 + "...", "1024 bytes"),
    "many lines": (get(*[b"X: y"] * 101, target=b"/many"), 431, "/many", "100 header lines"),
    "a line that ends in LF": (b"GET /lf HTTP/1.1\nHost: h\n\n", 400, "/lf", "CR LF"),
    "a bad header": (get(b"Host: h", b"X Secret: s3cret"), 400, "/", "Illegal header line: X Sec"),
    "a control character": (
        get(b"Host: h", b"X-A: s3cret\x01"),
        400,
        "/",
        "X-A has a control character in its value",
    ),
    "an empty line first": (b"\r\n" + get(target=b"/empty"), 400, "/empty", "Host"),
    "another version": (get(b"Host: h", target=b"/2", version=b"2.0"), 505, "/2", "HTTP/1.1"),
    "a coding": (get(b"Host: h", b"Transfer-Encoding: a, chunked"), 501, "/", "chunked"),
    "half a head": (b"GET /half HTTP/1.1\r\nHost: h\r\n", 408, "/half", "did not arrive in time"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_a_refused_request_is_logged_with_its_apparent_target(
    capfd: pytest.CaptureFixture[str], case: tuple[bytes, int, str, str], form: str
) -> None:
    raw, status, path, why = case
    limits: dict[str, Any] = {"max_head": 1024}
    if status == 408:
        limits["header_timeout"] = SHORT
    async with logging_proxy(capfd, log_format=form, **limits) as (proxy, the_line):
        client = await proxy.ask(raw)
        given = await client.answer()
        line = await the_line()
    assert (line["status"], line["method"], line["path"]) == (status, "GET", path)
    assert why in line["why"]
    assert "s3cret" not in str(line)
    assert b"Sec" not in given.body
    assert line["bytes"] == len(given.body)
    assert line["client"] == "127.0.0.1"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_plain_http_on_a_tls_port_is_logged(
    capfd: pytest.CaptureFixture[str], tls: PemPair, method: str
) -> None:
    async with logging_proxy(capfd, tls=tls) as (proxy, the_line):
        client = await proxy.connect_plainly()
        await client.send(f"{method} /plain HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        given = await client.answer(method)
        line = await the_line()
    assert (given.status, line["status"]) == (400, 400)
    assert (line["method"], line["path"]) == (method, "/plain")
    assert line["bytes"] == len(given.body)
    assert line["why"] == "This address speaks TLS: use https instead of http."


@pytest.mark.parametrize(
    "raw", [b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"<script> /\r\n\r\n", b"\r\n\r\n\r\n"]
)
async def test_garbage_is_logged_without_method_and_path(
    capfd: pytest.CaptureFixture[str], raw: bytes
) -> None:
    async with logging_proxy(capfd) as (proxy, the_line):
        assert (await (await proxy.ask(raw)).answer()).status == 400
        line = await the_line()
    assert line["status"] == 400
    assert line["why"]
    assert not {"method", "path"} & set(line)


OURS = {
    "405": (get(b"Host: h", target=b"h:1").replace(b"GET", b"CONNECT", 1), "forward proxy"),
    "408": (POST, "The rest of the request did not arrive."),
    "413": (post(b"Content-Length: 9", body=b"x" * 9), "over 5 bytes"),
    "400": (
        post(b"Transfer-Encoding: chunked", body=b"zz\r\n"), "the size of a chunk is not a"
    ),
    "504": (POST + b"hello", "took too long"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "raw", "why"), [(k, *v) for k, v in OURS.items()], ids=OURS)
async def test_every_error_of_the_proxy_is_logged_with_its_reason(
    capfd: pytest.CaptureFixture[str], status: str, raw: bytes, why: str
) -> None:
    limits: dict[str, Any] = {"max_body": 5}
    if status in ("408", "504"):
        limits |= {"idle_timeout": SHORT, "response_timeout": SHORT}
    async with logging_proxy(capfd, silence, **limits) as (proxy, the_line):
        given = await (await proxy.ask(raw)).answer()
        line = await the_line()
    assert (line["status"], given.status) == (int(status), int(status))
    assert why in line["why"]
    assert line["method"] == raw.split(b" ")[0].decode()


async def test_a_503_of_the_gate_is_logged_with_its_reason(
    capfd: pytest.CaptureFixture[str],
) -> None:
    hold = HoldSettings(Period(SHORT), Count(0))
    async with logging_proxy(capfd, hold=hold) as (proxy, the_line):
        proxy.gate.hold("a test")
        assert (await (await proxy.ask(GET)).answer()).status == 503
        line = await the_line()
    assert (line["status"], line["why"]) == (503, "Too many requests are waiting already.")


async def test_a_held_request_that_gives_up_has_waited(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with logging_proxy(capfd, hold=HoldSettings(Period(SHORT))) as (proxy, the_line):
        proxy.gate.hold("a test")
        assert (await (await proxy.ask(GET)).answer()).status == 503
        line = await the_line()
    assert float(line["held"]) >= SHORT


async def test_a_client_that_disconnected_is_logged_as_such(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with logging_proxy(capfd, silence) as (proxy, the_line):
        client = await proxy.ask(GET)
        await proxy.until_backend_has(1)
        await client.close()
        line = await the_line()
    assert (line["status"], line["why"], line["bytes"]) == (499, "The client disconnected.", 0)


async def test_a_complete_response_is_logged_without_a_reason(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for form in FORMS:
        bad = b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"
        async with logging_proxy(capfd, says(bad), log_format=form) as (proxy, the_line):
            assert (await (await proxy.ask(GET)).answer()).status == 500
            line = await the_line()
        assert (line["status"], line["bytes"]) == (500, 4)
        assert not {"why", "cut"} & set(line)


HALVES = {
    "length": (answer(b"Content-Length: 10") + b"abc", 3, "broke off 7 bytes before its end"),
    "chunked": (
        answer(b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n", 3, "before its last chunk"
    ),
    "not chunks": (
        answer(b"Transfer-Encoding: chunked") + b"3\r\nabc\r\nzz\r\n", 3, "the size of a chunk"
    ),
    "large": (answer(b"Content-Length: 9000000") + b"x" * 700_000, 700_000, "before its end"),
    "nothing": (answer(b"Content-Length: 10"), 0, "broke off 10 bytes before its end"),
    "an event stream": (
        answer(b"Transfer-Encoding: chunked", b"Content-Type: text/event-stream")
        + b"9\r\ndata: a\n\n\r\n", 9, "before its last chunk",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("half", "sent", "why"), HALVES.values(), ids=HALVES)
async def test_a_response_truncated_by_the_backend_is_marked_with_the_bytes_sent(
    capfd: pytest.CaptureFixture[str], half: bytes, sent: int, why: str, form: str
) -> None:
    async with logging_proxy(capfd, says(half, close=True), log_format=form) as (proxy, the_line):
        client = await proxy.ask(GET)
        with pytest.raises(Gone):
            await client.answer()
        line = await the_line()
    assert (line["status"], line["bytes"], line["cut"]) == (200, sent, True)
    assert line["why"].startswith("The backend's response was cut short: ")
    assert why in line["why"]


SIZE = 30_000_000


@pytest.mark.parametrize("framing", [b"Content-Length: %d" % SIZE, b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("ends", ["hangs up", "stops reading"])
async def test_a_response_that_the_client_does_not_read_is_marked_with_the_bytes_sent(
    capfd: pytest.CaptureFixture[str], framing: bytes, ends: str
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        body = b"x" * SIZE
        if b"chunked" in framing:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, body)
        await peer.stream.send_all(answer(framing) + body)

    limits = {"idle_timeout": SHORT} if ends == "stops reading" else {}
    async with logging_proxy(capfd, script, **limits) as (proxy, the_line):
        client = await proxy.connect()
        client.small_buffers()
        await client.send(GET)
        await client.until(b"\r\n\r\n")
        # A little less has been sent where there is a head for each chunk.
        taken = await client.count(1_000_000) * 0.99
        if ends == "hangs up":
            await client.reset()
        line = await the_line()
    assert (line["status"], line["cut"]) == (200, True)
    assert taken <= line["bytes"] < SIZE
    failed = ("The client disconnected.", "The connection to the client failed: ")
    silent = ("The client sent nothing, or took nothing",)
    assert line["why"].startswith(failed if ends == "hangs up" else silent)


async def test_a_response_aborted_because_its_backend_must_stop_is_marked(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def script(peer: Peer) -> None:
        await says(answer(b"Content-Length: 10") + b"abc")(peer)
        await peer.gone.wait()

    async with logging_proxy(capfd, script) as (proxy, the_line):
        client = await proxy.ask(GET)
        await client.until(b"abc")
        [lease] = proxy.target.leases
        assert lease.cut is not None
        lease.cut()
        assert await client.end() == b""
        line = await the_line()
    assert (line["status"], line["bytes"], line["cut"]) == (200, 3, True)
    assert line["why"] == "The backend had to stop."


async def test_an_aborted_tunnel_is_logged_with_the_bytes_sent(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def script(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        await peer.send(answer(b"Connection: upgrade", b"Upgrade: x", first=b"HTTP/1.1 101 S"))
        await peer.send(await peer.exactly(5))
        await peer.gone.wait()

    async with logging_proxy(capfd, script) as (proxy, the_line):
        client = await proxy.ask(get(b"Host: h", b"Connection: upgrade", b"Upgrade: x") + b"hello")
        await client.until(b"hello")
        [lease] = proxy.target.leases
        assert lease.cut is not None
        lease.cut()
        line = await the_line()
    assert (line["status"], line["bytes"], line["cut"]) == (101, 10, True)


async def test_a_retried_request_is_logged_without_a_reason(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with logging_proxy(capfd, in_turn(drops, says(OK))) as (proxy, the_line):
        assert (await (await proxy.ask(GET)).answer()).status == 200
        line = await the_line()
    assert (line["status"], line["bytes"]) == (200, 2)
    assert "why" not in line


@pytest.mark.parametrize("form", FORMS)
async def test_a_line_names_the_release_of_a_file(
    capfd: pytest.CaptureFixture[str], form: str, tmp_path: Path
) -> None:
    write(tmp_path, {"public/a.html": "page", "public/404.html": "not here"})
    for path, status, length in (("/a.html", 200, 4), ("/b", 404, 8)):
        async with logging_proxy(capfd, log_format=form) as (proxy, the_line):
            proxy.site.files = roots(tmp_path)
            await fetch(proxy, path)
            line = await the_line()
            assert (line["status"], line["bytes"]) == (status, length)
            assert line["file_of"] in ("1111111", 1111111)
            assert "slot" not in line


async def test_a_line_has_the_bytes_of_a_file_that_were_sent(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(tmp_path, {"public/large": bytes(30_000_000)})
    async with logging_proxy(capfd) as (proxy, the_line):
        proxy.site.files = roots(tmp_path)
        client = await proxy.connect()
        client.small_buffers()
        await client.send(get(b"Host: h", target=b"/large"))
        await client.exactly(100_000)
        await client.reset()
        line = await the_line()
        assert (line["status"], line["cut"]) == (200, True)
        assert 100_000 <= line["bytes"] + 1000 < 30_000_000
