"""Requests that are refused, and how accepted ones reach the backend."""

import pytest
import trio

from tests.raw.backend import in_turn, says, silence
from tests.raw.checks import (
    check_good_request_follows,
    check_is_closed,
    check_is_kept,
    check_is_refused,
)
from tests.raw.messages import OK
from tests.raw.peer import Peer
from tests.raw.proxy import running
from tests.raw.requests import CHUNKED, SMUGGLED, UPGRADE, get, post

BAD = {
    "length, then chunked": post(b"Content-Length: 5", CHUNKED, body=SMUGGLED),
    "chunked, then length": post(CHUNKED, b"Content-Length: 5", body=SMUGGLED),
    "chunked and no length's worth": post(CHUNKED, b"Content-Length: 0", body=SMUGGLED),
    "chunked on 1.0": post(CHUNKED, body=SMUGGLED, version=b"1.0"),
    "chunked on 1.0 kept alive": post(
        CHUNKED, b"Connection: keep-alive", body=SMUGGLED, version=b"1.0"
    ),
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    "two lengths in one": post(b"Content-Length: 5, 6", body=b"hello!"),
    **{
        f"length {length!r}": post(b"Content-Length: " + length, body=b"hello")
        for length in (
            *(b"+5", b"0x5", b"1_0", b"-0", b"-1", b"", b"5 5", b"5.0", b"5;", b"\xb2", b","),
            *(b"9223372036854775808", b"99999999999999999999", b"9" * 400),
        )
    },
    **{
        f"encoding {coding!r}": post(b"Transfer-Encoding: " + coding, body=SMUGGLED)
        for coding in (
            *(b"xchunked", b"identity", b"gzip, chunked", b"chunked, chunked", b""),
            *(b"chunked, identity", b"chunked;q=1", b"\x0bchunked", b'"chunked"', b", chunked"),
        )
    },
    "chunked in two headers": post(CHUNKED, CHUNKED, body=SMUGGLED),
    **{
        f"line {line!r}": post(line, body=SMUGGLED)
        for line in (
            *(b"Transfer-Encoding : chunked", b"Transfer-Encoding\t: chunked"),
            *(b"Transfer\x00-Encoding: chunked", b"Transfer Encoding: chunked"),
            *(b"Transfer-Encoding\x0b: chunked", b": chunked", b"Transfer-Encoding"),
            *(b"X: a\nTransfer-Encoding: chunked", b"X: a\rTransfer-Encoding: chunked"),
        )
    },
    "no Host": get(),
    "no Host, on 1.2": get(version=b"1.2"),
    "two Hosts": get(b"Host: a", b"Host: b"),
    "the same Host twice": get(b"Host: a", b"Host: a"),
    **{
        f"Host {host!r}": get(b"Host: " + host)
        for host in (
            *(b"", b"a b", b"user@a", b"user:pw@a", b"a/path", b"a?q", b"a#f", b"a, b", b"a:b"),
            *(b"a:1:2", b"a:123456", b"[::1", b"::1", b"\xe4", b"a\\b", b"<a>"),
        )
    },
    **{
        f"target {target!r}": get(b"Host: h", target=target)
        for target in (
            *(b"foo", b"/a#b", b"*", b"", b"http://", b"http:///a", b"ftp://h/", b"http://u@h/"),
            *(b"http://h:x/", b"http://a b/", b"/a b", b"/\x80", b"/\x00", b"http:h", b"?q"),
        )
    },
    "HTTP/0.9, simple": b"GET /\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    **{
        f"version {version!r}": get(b"Host: h", version=version)
        for version in (b"0.9", b"2.0", b"3.0", b"1", b"1.10", b"1.1 ", b"11", b"", b"1.x")
    },
    "http in lower case": b"GET / http/1.1\r\nHost: h\r\n\r\n",
    **{
        f"folded {line!r}": post(line, body=SMUGGLED)
        for line in (
            *(b"Transfer-Encoding:\r\n chunked", b"Content-Length:\r\n\t5", b"X: a\r\n b"),
            *(b"X: a\r\n Transfer-Encoding: chunked", b"X: a\r\n "),
        )
    },
    "folded Host": get(b"Host: a\r\n b"),
    "folded request line": get(b" X: a", b"Host: h"),
    **{
        f"value with {bytes([code])!r}": get(b"Host: h", b"X: a" + bytes([code]) + b"b")
        for code in (*range(9), *range(11, 32), 127)
    },
    "lines that end in LF": b"GET / HTTP/1.1\nHost: h\n\n",
    "a line that ends in LF": b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
    "an end in LF": b"GET / HTTP/1.1\r\nHost: h\r\n\n\r\n\r\n",
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD)
async def test_a_bad_request_is_refused_and_nothing_reaches_the_backend(raw: bytes) -> None:
    async with running() as proxy:
        await check_is_refused(proxy, await proxy.ask(raw), (400, 501, 505))


BAD_CHUNKS = {
    **{
        f"size {size!r}": size + b"\r\nhello\r\n0\r\n\r\n"
        for size in (
            *(b"0x5", b"+5", b" 5", b"\t5", b"1_0", b"-1", b"", b"g", b"5,", b"5\n"),
            *(b"10000000000000005", b"00000000000000005", b"f" * 16 + b"0", b"f" * 40),
        )
    },
    "data too long": b"5\r\nhello!\r\n0\r\n\r\n",
    "data too short": b"6\r\nhello\r\n0\r\n\r\n",
    "data without CRLF": b"5\r\nhello0\r\n\r\n",
    "data with LF": b"5\r\nhello\n0\r\n\r\n",
    "trailers without a colon": b"5\r\nhello\r\n0\r\nX\r\n\r\n",
    "trailers with a space before the colon": b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
}


@pytest.mark.parametrize("in_pieces", [False, True], ids=["in one piece", "the head first"])
@pytest.mark.parametrize("body", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
async def test_bad_chunks_are_refused_and_their_request_is_never_completed(
    body: bytes, in_pieces: bool
) -> None:
    pieces = [post(CHUNKED), b"3\r\nyes\r\n", body] if in_pieces else [post(CHUNKED, body=body)]
    async with running() as proxy:
        client = await proxy.ask(*pieces)
        answer = await client.answer()
        assert answer.status == 400
        await check_is_closed(client)
        for connection in proxy.backend.connections:
            await connection.gone.wait()
        assert proxy.backend.requests == []
        assert len(proxy.backend.heads) <= 1
        await check_good_request_follows(proxy)


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        pytest.param(b"http://other/a", b"other", b"/a", id="another host"),
        pytest.param(b"http://other:81/a?q", b"other:81", b"/a?q", id="another port"),
        pytest.param(b"HTTPS://other", b"other", b"/", id="no path"),
        pytest.param(b"http://other?q", b"other", b"/?q", id="only a query"),
        pytest.param(b"http://[::1]:8/a", b"[::1]:8", b"/a", id="an address"),
    ],
)
async def test_the_host_of_an_absolute_target_replaces_that_of_the_header(
    target: bytes, host: bytes, path: bytes
) -> None:
    async with running() as proxy:
        client = await proxy.ask(get(b"Host: h", target=target))
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        request = proxy.backend.requests[0]
        assert request.line == b"GET %b HTTP/1.1" % path
        assert request.field(b"host") == [host]
        assert request.field(b"x-forwarded-host") == [host]


async def test_a_later_minor_version_is_read_as_http_1_1() -> None:
    async with running() as proxy:
        client = await proxy.ask(get(b"Host: h", version=b"1.2"))
        assert (await client.answer()).line == b"HTTP/1.1 200 OK"
        await check_is_kept(client)
        assert proxy.backend.requests[0].line == b"GET / HTTP/1.1"


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param((b"\r\n" + get(b"Host: h"),), id="in one piece"),
        pytest.param((b"\r", b"\n", get(b"Host: h")), id="in pieces"),
    ],
)
async def test_an_empty_line_before_a_request_is_ignored(pieces: tuple[bytes, ...]) -> None:
    async with running() as proxy:
        client = await proxy.ask(*pieces)
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        assert len(proxy.backend.heads) == 1


def head_of(size: int) -> bytes:
    """A good head of exactly so many bytes."""
    rest = get(b"Host: h", b"X: ")
    return get(b"Host: h", b"X: " + b"x" * (size - len(rest)))


LARGE = {
    "a byte too many": [head_of(1025)],
    "far too many": [head_of(60_000)],
    "in two pieces": [head_of(1500)[:700], head_of(1500)[700:]],
    "byte by byte": [bytes([byte]) for byte in head_of(1025)],
    "a request line without end": [b"GET /" + b"a" * 5000],
    "more than 100 lines": [get(b"Host: h", *[b"X: y"] * 100)],
}


@pytest.mark.parametrize("pieces", LARGE.values(), ids=LARGE)
async def test_a_head_that_is_too_large_is_refused(pieces: list[bytes]) -> None:
    async with running(max_head=1024) as proxy:
        await check_is_refused(proxy, await proxy.ask(*pieces), [431])


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(head_of(1024), id="the largest head"),
        pytest.param(get(b"Host: h", *[b"X: y"] * 99), id="the most lines"),
    ],
)
async def test_a_head_that_is_just_not_too_large_is_served(head: bytes) -> None:
    async with running(max_head=1024) as proxy:
        client = await proxy.ask(head)
        assert (await client.answer()).status == 200
        await check_is_kept(client)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        pytest.param(b"CONNECT h:443 HTTP/1.1", 405, id="CONNECT"),
        pytest.param(b"TRACE / HTTP/1.1", 501, id="TRACE"),
    ],
)
async def test_connect_and_trace_are_refused(line: bytes, status: int) -> None:
    async with running() as proxy:
        client = await proxy.ask(line + b"\r\nHost: h\r\n\r\n")
        await check_is_refused(proxy, client, [status])


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(
            get(
                b"Host: h",
                b"Connection: Upgrade, HTTP2-Settings",
                b"Upgrade: h2c",
                b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
            ),
            id="h2c",
        ),
        pytest.param(get(b"Host: h", b"Connection: upgrade", b"Upgrade: H2C"), id="H2C"),
        pytest.param(get(b"Host: h", *UPGRADE, version=b"1.0"), id="on HTTP/1.0"),
        pytest.param(get(b"Host: h", b"Upgrade: websocket"), id="without Connection"),
        pytest.param(get(b"Host: h", b"Connection: upgrade"), id="without Upgrade"),
        pytest.param(post(*UPGRADE, b"Content-Length: 2", body=b"hi"), id="with a body"),
    ],
)
async def test_an_incomplete_upgrade_is_forwarded_as_an_ordinary_request(raw: bytes) -> None:
    async with running() as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == 200
        [request] = proxy.backend.requests
        for name in (b"upgrade", b"connection", b"http2-settings"):
            assert request.field(name) == []
        await check_good_request_follows(proxy)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(
            b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            b"Content-Length: 2\r\n\r\nno",
            id="refused with 426",
        ),
        pytest.param(OK, id="answered with 200"),
    ],
)
async def test_after_a_refused_upgrade_the_following_bytes_are_the_next_request(
    answer: bytes,
) -> None:
    async with running(in_turn(says(answer), says(OK))) as proxy:
        client = await proxy.ask(get(b"Host: h", *UPGRADE) + get(b"Host: h", target=b"/next"))
        assert (await client.answer()).line == answer.partition(b"\r\n")[0]
        assert (await client.answer()).line == b"HTTP/1.1 200 OK"
        await check_is_kept(client)
        asked, following = proxy.backend.requests[:2]
        assert asked.field(b"upgrade") == [b"websocket"]
        assert asked.field(b"connection") == [b"upgrade"]
        assert following.line == b"GET /next HTTP/1.1"
        assert following.field(b"upgrade") == []


async def test_hop_by_hop_fields_are_not_forwarded() -> None:
    dropped = [
        b"Connection: X-Foo, keep-alive", b"X-Foo: 1", b"Keep-Alive: timeout=5", b"TE: gzip",
        b"Proxy-Connection: keep-alive", b"Proxy-Authorization: Basic eA==", b"TE: trailers",
        b"Proxy-Authenticate: Basic",
    ]  # fmt: skip
    async with running() as proxy:
        client = await proxy.ask(get(b"Host: h", *dropped, b"X-Bar: 2"))
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        names = {name.lower() for name, _ in proxy.backend.requests[0].fields}
        assert not names & {line.partition(b":")[0].lower() for line in dropped}
        assert proxy.backend.requests[0].field(b"x-bar") == [b"2"]


@pytest.mark.parametrize("named", [b"content-length", b"host", b"transfer-encoding", b"cookie"])
@pytest.mark.parametrize(
    ("framing", "body"),
    [
        pytest.param(b"Content-Length: 5", b"hello", id="length"),
        pytest.param(CHUNKED, b"5\r\nhello\r\n0\r\n\r\n", id="chunked"),
    ],
)
async def test_naming_a_framing_field_in_connection_does_not_remove_it(
    named: bytes, framing: bytes, body: bytes
) -> None:
    async with running() as proxy:
        client = await proxy.ask(post(b"Connection: close, " + named, framing, body=body))
        answer = await client.answer()
        assert answer.status == 200
        assert answer.field(b"connection") == [b"close"]
        await check_is_closed(client)
        [request] = proxy.backend.requests
        assert request.body == b"hello"
        assert request.field(b"host") == [b"h"]
        await check_good_request_follows(proxy)


async def test_trailers_with_names_of_header_fields_are_dropped() -> None:
    trailers = b"Host: evil\r\nContent-Length: 9\r\nAuthorization: evil\r\nX-Sum: 1\r\n"
    async with running() as proxy:
        client = await proxy.ask(post(CHUNKED, body=b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"))
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        request = proxy.backend.requests[0]
        assert request.body == b"hello"
        assert request.trailers == [(b"X-Sum", b"1")]
        assert b"evil" not in request.raw


EXPECT = post(b"Expect: 100-continue", b"Content-Length: 5")


async def test_the_backends_100_continue_precedes_the_body() -> None:
    async def script(peer: Peer) -> None:
        assert peer.received.endswith(b"\r\n\r\n"), "the body came without having been asked for"
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await says(OK)(peer)

    async with running(script, buffer_requests=0) as proxy:
        client = await proxy.ask(EXPECT)
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"hello")
        assert (await client.answer()).body == b"ok"
        await check_is_kept(client)
        assert proxy.backend.requests[0].body == b"hello"
        assert proxy.backend.requests[0].field(b"expect") == [b"100-continue"]


async def test_a_final_response_without_100_continue_is_relayed() -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno")
        await peer.end()

    async with running(script, buffer_requests=0) as proxy:
        client = await proxy.ask(EXPECT)
        answer = await client.answer()
        assert (answer.status, answer.interim, answer.body) == (417, [], b"no")
        assert answer.field(b"connection") == [b"close"]
        await check_is_closed(client)
        assert proxy.backend.requests == []
        await check_good_request_follows(proxy)


async def test_an_http_1_0_client_gets_no_interim_response() -> None:
    async with running(says(b"HTTP/1.1 100 Continue\r\n\r\n", OK)) as proxy:
        lines = (b"Expect: 100-continue", b"Content-Length: 5")
        client = await proxy.ask(post(*lines, body=b"hello", version=b"1.0"))
        answer = await client.answer()
        assert (answer.status, answer.interim) == (200, [])
        await check_is_closed(client)
        assert proxy.backend.requests[0].field(b"expect") == []
        await check_good_request_follows(proxy)


async def test_three_pipelined_requests_are_answered_in_order() -> None:
    answers = [OK.replace(b"ok", b"n%d" % number) for number in range(3)]
    requests = [
        get(b"Host: h", target=b"/0"),
        post(b"Content-Length: 5", body=b"hello"),
        post(CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"),
    ]
    async with running(in_turn(*map(says, answers))) as proxy:
        client = await proxy.ask(b"".join(requests))
        assert [(await client.answer()).body for _ in range(3)] == [b"n0", b"n1", b"n2"]
        await check_is_kept(client)
        assert [request.body for request in proxy.backend.requests[:3]] == [b"", *[b"hello"] * 2]


async def test_a_bad_request_pipelined_after_a_good_one_is_refused() -> None:
    async with running() as proxy:
        client = await proxy.ask(get(b"Host: h") + get() + get(b"Host: h", target=b"/third"))
        assert (await client.answer()).status == 200
        assert (await client.answer()).status == 400
        await check_is_closed(client)
        assert len(proxy.backend.heads) == 1
        await check_good_request_follows(proxy)


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(b"Content-Length: 3000000", id="with a length"),
        pytest.param(CHUNKED, id="chunked"),
    ],
)
@pytest.mark.parametrize("whose", ["ours", "the backend's"])
async def test_a_client_can_read_a_413_while_it_still_sends(framing: bytes, whose: str) -> None:
    async def script(peer: Peer) -> None:
        if whose == "ours":
            await silence(peer)
        await peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        await peer.close()

    async with running(
        script, max_body=200_000 if whose == "ours" else 0, buffer_requests=0
    ) as proxy:
        client = await proxy.ask(post(framing))
        size = 3_000_000
        piece = b"x" * size if framing != CHUNKED else b"%x\r\n%b\r\n" % (size, b"x" * size)
        with trio.move_on_after(10):
            await client.send(piece)
        answer = await client.answer()
        assert answer.status == 413
        assert proxy.backend.requests == []
        await check_good_request_follows(proxy)


CHUNKED_ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("line", "answer", "kept"),
    [
        pytest.param(b"X: y", OK, False, id="plain"),
        pytest.param(b"Connection: keep-alive", OK, True, id="keep-alive"),
        pytest.param(b"X: y", CHUNKED_ANSWER, False, id="chunked answer"),
        pytest.param(b"Connection: keep-alive", CHUNKED_ANSWER, False, id="both"),
    ],
)
async def test_an_http_1_0_client_gets_a_response_it_can_read(
    line: bytes, answer: bytes, kept: bool
) -> None:
    async with running(says(answer)) as proxy:
        client = await proxy.ask(get(line, version=b"1.0"))
        given = await client.answer()
        assert (given.status, given.body) == (200, b"ok")
        assert given.field(b"transfer-encoding") == []
        assert given.field(b"connection") == ([b"keep-alive"] if kept else [b"close"])
        await (check_is_kept if kept else check_is_closed)(client)
        [request] = proxy.backend.requests[:1]
        assert request.line == b"GET / HTTP/1.1"
        assert request.field(b"host") == [b"127.0.0.1:%d" % proxy.target.address.port]
        await check_good_request_follows(proxy)


@pytest.mark.parametrize(
    "target", [b"/../x", b"/a%2Fb", b"//x//", b"/%00?a=b&a=?/", b'/a;b|c"d\\<>^`{}', b"/?"]
)
async def test_odd_but_legal_requests_are_forwarded_byte_for_byte(target: bytes) -> None:
    lines = [
        b"X-A: 1",
        b"x-a: 2",
        b"X-A: 1",
        b"X-Empty:",
        b"x-oDD: \xe4\xff  inner\tspace",
        b"_: ~",
    ]
    async with running() as proxy:
        client = await proxy.ask(get(b"Host: H.example:80", *lines, target=target))
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        first, host, *rest = proxy.backend.requests[0].raw.split(b"\r\n")
        assert first == b"GET %b HTTP/1.1" % target
        assert host == b"Host: H.example:80"
        assert rest[: len(lines)] == [line if line[-1:] != b":" else line + b" " for line in lines]
