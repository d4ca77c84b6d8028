"""Requirements of RFC 9110 and 9112 for a proxy, besides framing."""

import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from blue_green.http import fast_path
from tests.raw.backend import says
from tests.raw.checks import (
    check_good_request_follows,
    check_is_closed,
    check_is_kept,
    check_is_refused,
)
from tests.raw.messages import OK
from tests.raw.peer import ParsedMessage, Peer
from tests.raw.proxy import SHORT, running
from tests.raw.requests import CHUNKED, SMUGGLED, UPGRADE, get, post

CODINGS = {
    **dict.fromkeys(
        [
            *(b"xchunked", b"identity", b"chunked, gzip", b"chunked, chunked", b"chunked;a=b"),
            *(b"", b"gzip", b", chunked", b"gzip, chunked, chunked", b'"gzip", chunked'),
        ],
        400,
    ),
    **dict.fromkeys([b"gzip, chunked", b"GZIP,Chunked", b"a, b, chunked"], 501),
}


@pytest.mark.parametrize(("coding", "status"), CODINGS.items(), ids=map(repr, CODINGS))
async def test_a_body_not_ending_in_one_chunked_is_400_and_another_coding_501(
    coding: bytes, status: int
) -> None:
    async with running() as proxy:
        client = await proxy.ask(post(b"Transfer-Encoding: " + coding, body=SMUGGLED))
        await check_is_refused(proxy, client, [status])


async def test_transfer_codings_in_two_fields_are_one_list() -> None:
    async with running() as proxy:
        raw = post(b"Transfer-Encoding: gzip", CHUNKED, body=SMUGGLED)
        await check_is_refused(proxy, await proxy.ask(raw), [501])


@pytest.mark.parametrize(
    "host", [b"a,b", b"h.", b"h:", b"a_b", b"[::1]:80", b"1.2.3.4:5", b"%C3%A9", b"x!$&'()*+;=~"]
)
async def test_an_odd_but_legal_host_is_forwarded(host: bytes) -> None:
    async with running() as proxy:
        client = await proxy.ask(get(b"Host: " + host))
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        await check_good_request_follows(proxy)
        assert proxy.backend.requests[0].field(b"host") == [host]


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_an_upgrade_with_content_length_zero_is_an_upgrade(method: bytes) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.until(b"\r\n\r\n")
        await peer.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
            b"early from the backend"
        )
        heads.append(head)
        assert await peer.exactly(5) == b"early"
        await peer.send(b"echo")
        assert await peer.end() == b"late"
        await peer.send(b"last")
        await peer.close()

    heads: list[bytes] = []
    async with running(script) as proxy:
        raw = get(b"Host: h", b"Content-Length: 0", *UPGRADE).replace(b"GET", method, 1)
        client = await proxy.ask(raw + b"early")
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await client.exactly(26) == b"early from the backendecho"
        await client.send(b"late")
        await client.end_sending()
        assert await client.end() == b"last"
        await check_good_request_follows(proxy)
        [head] = heads
        assert head.count(b"Upgrade: websocket\r\n") == 1
        assert head.count(b"Connection: upgrade\r\n") == 1
        assert head.count(b"Content-Length: 0\r\n") == 1


def options(*lines: bytes, body: bytes = b"", target: bytes = b"/") -> bytes:
    return get(b"Host: h", *lines, target=target).replace(b"GET", b"OPTIONS", 1) + body


@pytest.mark.parametrize("target", [b"*", b"/"])
async def test_options_with_max_forwards_zero_is_answered_by_the_proxy(target: bytes) -> None:
    async with running() as proxy:
        client = await proxy.ask(options(b"Max-Forwards: 0", target=target))
        answer = await client.answer("OPTIONS")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.field(b"content-length") == [b"0"]
        assert b"OPTIONS" in answer.field(b"allow")[0]
        await check_is_kept(client)
        assert proxy.backend.heads == []
        await check_good_request_follows(proxy)


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"1", b"0"),
        (b"10", b"9"),
        (b"007", b"6"),
        (b"9" * 5000, b"9" * 18),
    ],
)
async def test_options_is_forwarded_with_max_forwards_reduced_by_one(
    sent: bytes, received: bytes
) -> None:
    async with running() as proxy:
        client = await proxy.ask(options(b"max-forwards: " + sent, b"X: y"))
        assert (await client.answer("OPTIONS")).status == 200
        await check_is_kept(client)
        await check_good_request_follows(proxy)
        request = proxy.backend.requests[0]
        assert request.field(b"max-forwards") == [received]
        assert request.field(b"x") == [b"y"]


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1.5", b"one", b"1, 2", b"\xb2"])
async def test_a_max_forwards_that_is_no_number_is_refused(value: bytes) -> None:
    async with running() as proxy:
        client = await proxy.ask(options(b"Max-Forwards: " + value))
        await check_is_refused(proxy, client, [400])


async def test_other_methods_keep_their_max_forwards() -> None:
    async with running() as proxy:
        client = await proxy.ask(get(b"Host: h", b"Max-Forwards: 0"))
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        await check_good_request_follows(proxy)
        assert proxy.backend.requests[0].field(b"max-forwards") == [b"0"]


EXPECT = b"Expect: 100-continue"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(get(b"Host: h", EXPECT), id="GET"),
        pytest.param(get(b"Host: h", EXPECT, b"Content-Length: 0"), id="GET with a length of 0"),
        pytest.param(post(EXPECT, b"Content-Length: 0"), id="POST with a length of 0"),
        pytest.param(post(EXPECT), id="POST"),
    ],
)
async def test_an_expectation_without_content_is_not_forwarded(raw: bytes) -> None:
    async with running() as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        await check_good_request_follows(proxy)
        assert proxy.backend.requests[0].field(b"expect") == []


VIA = {
    "1.1": (get(b"Host: h"), b"1.1 blue-green"),
    "1.0": (get(b"Host: h", version=b"1.0"), b"1.0 blue-green"),
    "1.0 without Host": (get(version=b"1.0"), b"1.0 blue-green"),
    "1.1 after others": (get(b"Host: h", b"Via: 2 a"), b"2 a, 1.1 blue-green"),
    "1.0 after others": (
        get(b"Host: h", b"Via: 2 a, 1.1 b", version=b"1.0"),
        b"2 a, 1.1 b, 1.0 blue-green",
    ),
}


@pytest.mark.parametrize(("raw", "via"), VIA.values(), ids=VIA)
async def test_via_names_the_version_that_was_received(raw: bytes, via: bytes) -> None:
    async with running() as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == 200
        [request] = proxy.backend.requests
        assert request.field(b"via") == [via]
        await check_good_request_follows(proxy)


REFUSED_HEADS = {
    "no Host": (b"HEAD / HTTP/1.1\r\n\r\n", 400),
    "a line that ends in LF": (b"HEAD / HTTP/1.1\r\nHost: h\n", 400),
    "after an empty line": (b"\r\nHEAD / HTTP/1.1\r\n\r\n", 400),
    "too large": (b"HEAD / HTTP/1.1\r\nX: " + b"x" * 2000, 431),
    "another version": (b"HEAD / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
    "another coding": (b"HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: a, chunked\r\n\r\n", 501),
    "does not come": (b"HEAD / HTTP/1.1\r\nHost: h\r\n", 408),
}


@pytest.mark.parametrize(("raw", "status"), REFUSED_HEADS.values(), ids=REFUSED_HEADS)
async def test_a_refused_head_request_is_answered_without_a_body(raw: bytes, status: int) -> None:
    limits: dict[str, Any] = {"header_timeout": SHORT} if status == 408 else {}
    async with running(max_head=1024, **limits) as proxy:
        client = await proxy.ask(raw)
        head = await client.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % status)
        assert b"Content-Length: " in head
        await check_is_closed(client)
        assert proxy.backend.heads == []
        await check_good_request_follows(proxy)


@pytest.mark.parametrize("target", [b"h:443", b"/", b"h"])
async def test_a_refused_connect_lists_the_allowed_methods(target: bytes) -> None:
    async with running() as proxy:
        raw = get(b"Host: h:443", target=target).replace(b"GET", b"CONNECT", 1)
        answer = await check_is_refused(proxy, await proxy.ask(raw), [405])
        assert answer.field(b"allow") == [b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"]


SECRET = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"


async def answers_without_reading(peer: Peer) -> None:
    """Answers each head at once, and takes content for the next request, as some backends do."""
    head = await peer.until(b"\r\n\r\n")
    await peer.send(SECRET if head.startswith(b"GET /hidden") else OK)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"PROPFIND"])
@pytest.mark.parametrize("framing", ["length", "length, not plain", "chunked"])
async def test_content_that_a_backend_does_not_read_is_never_the_next_request(
    method: bytes, framing: str
) -> None:
    """Other clients got the answers to the requests that were hidden in it."""
    lines = [b"Host: h", b"Content-Length: %d" % len(HIDDEN)]
    content = HIDDEN
    if framing == "length, not plain":
        lines.append(b"X:y")
    elif framing == "chunked":
        # A backend that does not read chunks takes their size for a request line, and the next
        # line for a header; so what is hidden comes in a chunk of its own.
        lines = [b"Host: h", CHUNKED]
        content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)
    hiding = get(*lines).replace(b"GET", method, 1) + content
    async with running(answers_without_reading, buffer_requests=0) as proxy:
        for _ in range(3):
            client = await proxy.ask(hiding)
            assert (await client.answer(method.decode())).status == 200
            innocent = await proxy.ask(get(b"Host: h", target=b"/innocent"))
            assert (await innocent.answer()).body == b"ok"
        await check_good_request_follows(proxy)
        for connection in proxy.backend.connections:
            before, was_asked, rest = bytes(connection.received).partition(method + b" / ")
            assert b"/hidden" not in before
            if was_asked:
                head, _, sent = rest.partition(b"\r\n\r\n")
                assert b"\r\nConnection: close" in head
                assert sent == content, "the connection was used again"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(get(b"Host: h", b"Content-Length: 0"), id="GET with a length of 0"),
        pytest.param(post(b"Content-Length: 2", body=b"hi"), id="POST"),
        pytest.param(post(CHUNKED, body=b"2\r\nhi\r\n0\r\n\r\n"), id="POST in chunks"),
    ],
)
async def test_after_other_requests_the_connection_is_reused(raw: bytes) -> None:
    async with running() as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        await check_good_request_follows(proxy)
        assert len(proxy.backend.connections) == 1
        assert proxy.backend.requests[0].field(b"connection") == []


@pytest.mark.parametrize(
    "target", ["/é".encode(), "/?q=é".encode(), b"/\xff", b"/\xc0\xaf", "http://h/é".encode()]
)
async def test_a_target_with_non_ascii_characters_is_refused_with_an_explanation(
    target: bytes,
) -> None:
    async with running() as proxy:
        answer = await check_is_refused(
            proxy, await proxy.ask(get(b"Host: h", target=target)), [400]
        )
        assert b"percent-encoded" in answer.body


async def test_a_target_with_a_space_is_refused_with_an_explanation() -> None:
    async with running() as proxy:
        raw = get(b"Host: h", target=b"/a b")
        answer = await check_is_refused(proxy, await proxy.ask(raw), [400])
        assert b"one space" in answer.body


def dates(answer: ParsedMessage) -> list[float]:
    values = answer.field(b"date")
    return [parsedate_to_datetime(value.decode()).timestamp() for value in values]


CHUNKED_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
UNDATED = {
    "plain": OK,
    "in chunks": CHUNKED_OK,
    "not plain": b"HTTP/1.1 200 OK\r\nX:y\r\nContent-Length: 2\r\n\r\nok",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an error": b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nok",
    "until the end": b"HTTP/1.0 200 OK\r\n\r\nok",
    "after hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
    "a date for the connection only": (
        b"HTTP/1.1 200 OK\r\nConnection: date\r\nDate: x\r\nContent-Length: 2\r\n\r\nok"
    ),
}


@pytest.mark.parametrize("answer", UNDATED.values(), ids=UNDATED)
async def test_a_response_without_a_date_gets_one(answer: bytes) -> None:
    async with running(says(answer, close=b"1.0" in answer)) as proxy:
        client = await proxy.connect()
        for _ in range(3):  # Then from what was kept of its lines, and of its whole head.
            before = int(time.time())
            await client.send(get(b"Host: h"))
            given = await client.answer()
            [date] = dates(given)
            assert before <= date <= time.time()
        await check_is_kept(client)
        await check_good_request_follows(proxy)


DATE = b"Tue, 15 Nov 1994 08:12:31 GMT"
DATED = {
    "plain": b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Length: 2\r\n\r\nok" % DATE,
    "in chunks": CHUNKED_OK.replace(b"\r\n\r\n", b"\r\ndate: %b\r\n\r\n" % DATE, 1),
    "not plain": b"HTTP/1.1 200 OK\r\nX:y\r\nDATE:%b\r\nContent-Length: 2\r\n\r\nok" % DATE,
}


@pytest.mark.parametrize("answer", DATED.values(), ids=DATED)
async def test_a_response_with_a_date_keeps_it(answer: bytes) -> None:
    async with running(says(answer)) as proxy:
        client = await proxy.connect()
        for _ in range(3):
            await client.send(get(b"Host: h"))
            assert (await client.answer()).field(b"date") == [DATE]
        await check_is_kept(client)
        await check_good_request_follows(proxy)


async def test_the_fast_path_recognises_a_date_in_a_cached_line() -> None:
    head = b"HTTP/1.1 200 OK\r\nDate: %b\r\nContent-Length: 2\r\n\r\n" % DATE
    request = fast_path.read_request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert request is not None
    for _ in range(3):
        answer = fast_path.read_response(head, request)
        assert answer is not None
        assert answer.has_date


async def test_each_second_has_its_own_date(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [b"Thu, 01 Jan 1970 00:16:40 GMT", b"Thu, 01 Jan 1970 00:16:41 GMT"]
    async with running() as proxy:
        for second, date in enumerate(seconds):
            monkeypatch.setattr("blue_green.http.clock.time.time", lambda s=second: 1000.0 + s)
            client = await proxy.ask(get(b"Host: h"))
            assert (await client.answer()).field(b"date") == [date]
        monkeypatch.undo()


OURS: dict[str, tuple[bytes, int]] = {
    "400": (get(), 400),
    "431": (b"GET / HTTP/1.1\r\nX: " + b"x" * 2000, 431),
    "413": (post(b"Content-Length: 9", body=b"x" * 9), 413),
    "200": (options(b"Max-Forwards: 0"), 200),
}


@pytest.mark.parametrize(("raw", "status"), OURS.values(), ids=OURS)
async def test_the_proxys_own_responses_have_a_date(raw: bytes, status: int) -> None:
    async with running(max_head=1024, max_body=4) as proxy:
        client = await proxy.ask(raw)
        answer = await client.answer()
        assert answer.status == status
        assert len(dates(answer)) == 1
