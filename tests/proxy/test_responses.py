"""Responses that are valid, invalid or aborted, and what the client gets of them."""

import socket
from typing import Any

import pytest
import trio

from blue_green.config.kinds import Endpoint
from blue_green.http import transport
from blue_green.proxy import pool
from tests.raw.backend import Script, in_turn, says, silence
from tests.raw.checks import check_good_request_follows, check_is_closed, check_is_kept
from tests.raw.messages import GET, OK
from tests.raw.peer import ParsedMessage, Peer
from tests.raw.proxy import RunningProxy, running
from tests.waiting import until

HEAD = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"


def answer_of(*lines: bytes, body: bytes = b"", first: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([first, *lines, b"", b""]) + body


async def resets(peer: Peer) -> None:
    await peer.request()
    await peer.reset()


UNFIT = {
    "closes": says(close=True),
    "resets": resets,
    "garbage": says(b"garbage\r\n\r\n"),
    "garbage, then closes": says(b"\x16\x03\x01", close=True),
    "a greeting": says(b"220 mail.example ESMTP\r\n\r\n"),
    "half a head": says(b"HTTP/1.1 200 OK\r\nContent-Le", close=True),
    "an empty line first": says(b"\r\n" + OK),
    **{
        f"length {length!r}": says(answer_of(b"Content-Length: " + length, body=b"hello"))
        for length in (b"5, 6", b"abc", b"-2", b"9" * 20, b"", b"+5", b"0x5", b"5 5", b"9" * 400)
    },
    "two lengths": says(answer_of(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!")),
    **{
        f"encoding {coding!r}": says(answer_of(b"Transfer-Encoding: " + coding, body=b"0\r\n\r\n"))
        for coding in (b"foo", b"gzip, chunked", b"chunked, chunked", b"identity", b"")
    },
    "in two headers": says(answer_of(*[b"Transfer-Encoding: chunked"] * 2, body=b"0\r\n\r\n")),
    **{
        f"value with {bytes([code])!r}": says(
            answer_of(b"Content-Length: 0", b"X: a" + bytes([code]) + b"b")
        )
        for code in (0, 1, 8, 11, 12, 13, 27, 127)
    },
    "reason with a control character": says(
        answer_of(b"Content-Length: 0", first=b"HTTP/1.1 200 O\x01K")
    ),
    "name with a space": says(answer_of(b"Content-Length: 0", b"X Y: z")),
    "no colon": says(answer_of(b"Content-Length: 0", b"X")),
    "lines that end in LF": says(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    "a head of 70 KiB": says(answer_of(b"Content-Length: 0", b"X: " + b"x" * 70 * 1024)),
    "a head of 200 KiB": says(answer_of(b"Content-Length: 0", b"X: " + b"x" * 200 * 1024)),
    "two thousand interim responses": says(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2000, OK),
    "an unrequested 101": says(
        answer_of(b"Connection: upgrade", b"Upgrade: foo", first=b"HTTP/1.1 101 Switching")
    ),
    **{
        f"status {status!r}": says(answer_of(first=b"HTTP/1.1 " + status))
        for status in (b"99 No", b"099 No", b"1000 No", b"-20 No", b"2x0 No", b"")
    },
}


@pytest.mark.parametrize("script", UNFIT.values(), ids=UNFIT)
async def test_an_invalid_response_is_not_relayed_and_its_connection_is_dropped(
    script: Script,
) -> None:
    async with running(script) as proxy:
        client = await proxy.ask(POST)
        answer = await client.answer()
        assert answer.status == 502, answer
        assert b"no valid response" in answer.body
        await check_is_kept(client)
        assert len(proxy.backend.heads) == 1
        await proxy.backend.connections[0].gone.wait()
        await check_good_request_follows(proxy)
        assert proxy.gate.tally.failed == 1


SHORT = {
    "length": answer_of(b"Content-Length: 10", body=b"abc"),
    "chunked, within a chunk": answer_of(b"Transfer-Encoding: chunked", body=b"a\r\nabc"),
    "chunked, without the last": answer_of(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n"),
    "chunked, without its end": answer_of(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n"),
    "chunked, then garbage": answer_of(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\nzz\r\n"),
}


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("answer", SHORT.values(), ids=SHORT)
async def test_a_truncated_body_is_never_taken_for_whole(answer: bytes, version: bytes) -> None:
    async with running(says(answer, close=True)) as proxy:
        client = await proxy.ask(GET.replace(b"1.1", version))
        head = await client.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        rest = await client.end()
        assert b"abc" in rest
        assert client.was_reset, "it looks like a clean end"
        assert not rest.endswith(b"0\r\n\r\n")
        await proxy.until_drained()
        assert proxy.gate.tally.failed == 1
        await check_good_request_follows(proxy)


async def test_a_body_that_ends_with_a_reset_is_not_taken_for_whole() -> None:
    async def script(peer: Peer) -> None:
        await says(answer_of(b"Connection: close", body=b"abc"))(peer)
        await passed.wait()
        await peer.reset()

    passed = trio.Event()
    async with running(script) as proxy:
        client = await proxy.ask(GET)
        await client.until(b"abc")
        passed.set()
        assert b"0\r\n" not in await client.end()
        assert client.was_reset
        await check_good_request_follows(proxy)


async def test_chunked_takes_precedence_over_a_content_length_which_is_removed() -> None:
    lines = (b"Content-Length: 3", b"Transfer-Encoding: chunked")
    async with running(says(answer_of(*lines, body=b"5\r\nright\r\n0\r\n\r\n"))) as proxy:
        client = await proxy.ask(GET)
        answer = await client.answer()
        assert answer.body == b"right"
        assert answer.field(b"content-length") == []
        assert answer.field(b"transfer-encoding") == [b"chunked"]
        await check_is_kept(client)
        await check_good_request_follows(proxy)


@pytest.mark.parametrize("extra", [b"more", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"])
@pytest.mark.parametrize("when", ["at once", "later"])
async def test_an_unrequested_response_is_dropped_and_the_next_one_is_right(
    extra: bytes, when: str
) -> None:
    async def script(peer: Peer) -> None:
        await says(OK + extra if when == "at once" else OK)(peer)
        if when == "later":
            await answered.wait()
            await peer.send(extra)
            said.set()

    answered, said = trio.Event(), trio.Event()
    async with running(in_turn(script, says(RIGHT))) as proxy:
        client = await proxy.ask(GET)
        assert (await client.answer()).body == b"ok"
        answered.set()
        if when == "later":
            await said.wait()
        for again in (client, await proxy.connect()):
            await again.send(GET)
            assert (await again.answer()).body == b"right"
        assert len(proxy.backend.connections) > 1
        await proxy.backend.connections[0].gone.wait()
        await check_good_request_follows(proxy)


async def test_early_hints_are_relayed_before_the_response() -> None:
    hints = answer_of(b"Link: </a.css>", first=b"HTTP/1.1 103 Early Hints")
    async with running(says(hints, OK)) as proxy:
        client = await proxy.ask(GET)
        assert await client.until(b"\r\n\r\n") == hints
        assert (await client.answer()).body == b"ok"
        await check_is_kept(client)
        await check_good_request_follows(proxy)


BODILESS = {
    "204": (GET, answer_of(first=b"HTTP/1.1 204 No Content"), []),
    "204 with a length": (
        GET, answer_of(b"Content-Length: 5", first=b"HTTP/1.1 204 No Content"), []
    ),
    "204 with a body": (
        GET, answer_of(b"Content-Length: 5", first=b"HTTP/1.1 204 No Content", body=b"wrong"), []
    ),
    "204 chunked": (
        GET,
        answer_of(
            b"Transfer-Encoding: chunked", first=b"HTTP/1.1 204 No Content", body=b"0\r\n\r\n"
        ),
        [],
    ),
    "304": (GET, answer_of(first=b"HTTP/1.1 304 Not Modified"), []),
    "304 with a length": (
        GET, answer_of(b"Content-Length: 5", first=b"HTTP/1.1 304 Not Modified"), [b"5"]
    ),
    "304 with a body": (
        GET,
        answer_of(b"Content-Length: 5", first=b"HTTP/1.1 304 Not Modified", body=b"wrong"),
        [b"5"],
    ),
    "HEAD": (HEAD, answer_of(), []),
    "HEAD with a length": (HEAD, answer_of(b"Content-Length: 5"), [b"5"]),
    "HEAD with a body": (HEAD, answer_of(b"Content-Length: 5", body=b"wrong"), [b"5"]),
    "HEAD chunked": (HEAD, answer_of(b"Transfer-Encoding: chunked"), []),
}  # fmt: skip


@pytest.mark.parametrize(("request_", "answer", "lengths"), BODILESS.values(), ids=BODILESS)
async def test_a_response_that_cannot_have_a_body_has_none_whatever_its_fields_say(
    request_: bytes, answer: bytes, lengths: list[bytes]
) -> None:
    async with running(in_turn(says(answer), says(RIGHT))) as proxy:
        client = await proxy.ask(request_)
        given = await client.answer(request_[:4].decode().strip())
        assert (given.line, given.body) == (answer.partition(b"\r\n")[0], b"")
        assert given.field(b"content-length") == lengths
        assert given.field(b"transfer-encoding") == []
        await client.send(GET)
        assert (await client.answer()).body == b"right"
        await check_good_request_follows(proxy)


LENGTH = 20_000_000


@pytest.mark.parametrize("slowly", [False, True], ids=["at once", "slowly"])
async def test_an_early_response_is_relayed_whole_and_the_upload_stops(slowly: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(answer_of(b"Content-Length: 10", body=b"early"))
        if slowly:
            await trio.sleep(1)  # Longer than any time that is allowed here.
        await peer.send(b"early")
        await peer.gone.wait()

    limits: dict[str, Any] = {"idle_timeout": 0.4, "response_timeout": 0.4} if slowly else {}
    async with running(script, **limits, buffer_requests=0) as proxy:
        client = await proxy.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20000000\r\n\r\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pour, client)
            answer = await client.answer()
            nursery.cancel_scope.cancel()
        assert answer.body == b"earlyearly", answer
        assert answer.field(b"connection") == [b"close"]
        assert proxy.backend.requests == []
        await check_good_request_follows(proxy)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent to a backend that does not read stops after a few kilobytes."""

    async def dial(address: Endpoint, owner: int | None = None) -> transport.Transport:
        end = await transport.dial(address, owner)
        end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return end

    async def open_listeners(port: int, host: str) -> list[trio.SocketListener]:
        [listener] = await real(port, host=host)
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return [listener]

    real = trio.open_tcp_listeners
    monkeypatch.setattr(trio, "open_tcp_listeners", open_listeners)
    monkeypatch.setattr(pool, "dial", dial)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("reads", [True, False], ids=["read slowly", "not read"])
async def test_a_complete_request_does_not_delay_its_response(reads: bool) -> None:
    body = b"x" * 100_000

    async def script(peer: Peer) -> None:
        if reads:
            await trio.sleep(0.1)
            await peer.request()
            await peer.send(OK)
        else:
            await peer.send(answer_of(b"Content-Length: 5", body=b"early"))
            await peer.gone.wait()

    async with running(script) as proxy:
        proxy.listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_000_000)
        proxy.gate.hold("until it is there")
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"
        client = await proxy.ask(head + body)
        await until("it waits", lambda: proxy.gate.held)
        proxy.gate.resume("until it is there")
        answer = await client.answer()
        if reads:
            assert answer.body == b"ok"
            assert [request.body for request in proxy.backend.requests] == [body]
            await check_is_kept(client)
        else:
            assert answer.body == b"early"
            assert len(proxy.backend.connections) == 1
            await check_is_kept(client)
            assert len(proxy.backend.connections) == 2, "it went on where half a request is stuck"


async def _pour(client: Peer) -> None:
    try:
        for _ in range(LENGTH // 100_000):
            await client.stream.send_all(b"x" * 100_000)
    except trio.BrokenResourceError:
        pass  # The proxy has had enough, as it should.


@pytest.mark.parametrize("pause", ["of the upload", "of the answer"])
async def test_a_long_response_that_began_during_the_upload_is_not_cut(pause: str) -> None:
    """What is allowed for the request's body says nothing about the answer's."""

    async def script(peer: Peer) -> None:
        await peer.send(answer_of(b"Content-Length: 10", body=b"early"))
        if pause == "of the answer":
            await peer.request()
        await trio.sleep(1)  # Longer than a client may stall, and than an answer may take to begin.
        await peer.send(b"right")
        if pause == "of the upload":
            await silence(peer)

    async with running(script, idle_timeout=0.4, response_timeout=0.4, buffer_requests=0) as proxy:
        client = await proxy.ask(POST[:-2])
        await client.until(b"early")
        if pause == "of the answer":
            await client.send(b"hi")
            assert await client.exactly(5) == b"right"
            await check_is_closed(client)
        else:
            # A client that stalls may be cut. But no other answer may be put into this one.
            await client.send(b"h")
            rest = await client.end()
            assert rest == b"right" or (client.was_reset and b"right".startswith(rest)), rest
        await check_good_request_follows(proxy)


OLD = {
    "with a length": (answer_of(b"Content-Length: 5", first=b"HTTP/1.0 200 OK"), True),
    "kept alive": (
        answer_of(b"Content-Length: 5", b"Connection: keep-alive", first=b"HTTP/1.0 200 OK"), False
    ),
    "without a length": (answer_of(first=b"HTTP/1.0 200 OK"), True),
}  # fmt: skip


@pytest.mark.parametrize(("head", "closes"), OLD.values(), ids=OLD)
async def test_an_http_1_0_response_is_relayed_as_1_1_with_framing(
    head: bytes, closes: bool
) -> None:
    async with running(says(head, b"right", close=closes)) as proxy:
        client = await proxy.ask(GET)
        answer = await client.answer()
        assert (answer.line, answer.body) == (b"HTTP/1.1 200 OK", b"right")
        _check_is_framed(answer)
        await check_is_kept(client)
        await check_good_request_follows(proxy)
        assert len(proxy.backend.connections) == (2 if closes else 1)


def _check_is_framed(answer: ParsedMessage) -> None:
    framing = answer.field(b"content-length") + answer.field(b"transfer-encoding")
    assert framing in ([b"5"], [b"chunked"])


async def test_a_request_is_not_retried_after_early_hints() -> None:
    async with running(says(b"HTTP/1.1 103 Early Hints\r\n\r\n", close=True)) as proxy:
        answer = await (await proxy.ask(GET)).answer()
        assert (answer.interim, answer.status) == ([103], 502)
        assert len(proxy.backend.heads) == 1
        await check_good_request_follows(proxy)


async def test_large_heads_and_bodies_in_a_row_arrive_complete() -> None:
    """Interim answers and an answer, in pieces that end nowhere in particular."""
    hints = answer_of(b"X: " + b"x" * 50_000, first=b"HTTP/1.1 103 Early Hints")
    body = bytes(range(256)) * 2000
    whole = hints * 3 + answer_of(b"Content-Length: %d" % len(body), body=body)
    pieces = [whole[start : start + 30_000] for start in range(0, len(whole), 30_000)]
    async with running(says(*pieces)) as proxy:
        client = await _ask_with_hints(proxy)
        assert (await client.answer()).body == body
        await check_is_kept(client)


async def _ask_with_hints(proxy: RunningProxy) -> Peer:
    client = await proxy.ask(GET)
    for _ in range(3):
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 103 ")
    return client
