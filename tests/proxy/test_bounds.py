"""What is bounded and for how long; who is told what; and what is tried again.

Cases 24, 27 and 28 of HTTP.md are here.
"""

import socket
from ipaddress import IPv4Network
from typing import Any

import pytest
import trio
import trio.testing

from blue_green.lease import Target, cut
from blue_green.settings import Count, Hold, Period
from tests.proxy.harness import (
    GOOD,
    OK,
    Peer,
    Running,
    Script,
    check_good_request_follows,
    check_is_closed,
    check_is_kept,
    descriptors,
    in_turn,
    running,
    says,
    silence,
    until_descriptors_are,
)
from tests.site import free_ports, until

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT = 0.3
"""Seconds for whatever is to be too late."""


# --- too late ---


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([GET[:1]], id="27 one byte"),
        pytest.param([GET[:-2]], id="27 nearly all of it"),
        pytest.param([b"\r\n", GET[:9]], id="27 an empty line first"),
    ],
)
async def test_a_head_that_does_not_come_in_time_is_told_so(pieces: list[bytes]) -> None:
    async with running(header_timeout=SHORT) as proxy:
        client = await proxy.ask(*pieces)
        assert (await client.answer()).status == 408
        await check_is_closed(client)
        assert proxy.backend.connections == []
        await check_good_request_follows(proxy)


@pytest.mark.parametrize("drop", [b"G", b"\r\n"], ids=["27 of a head", "27 of empty lines"])
async def test_dripping_buys_no_time(drop: bytes) -> None:
    async def drip() -> None:
        while True:
            await client.stream.send_all(drop)
            await trio.sleep(SHORT / 10)

    async with running(header_timeout=SHORT) as proxy:
        client = await proxy.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            ended = await client.end()
            nursery.cancel_scope.cancel()
        assert ended == b"" or ended.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))
        await check_good_request_follows(proxy)


@pytest.mark.parametrize("served", [False, True], ids=["27 before a request", "after one"])
async def test_a_silent_connection_is_closed_without_a_word(served: bool) -> None:
    limits: dict[str, Any] = {"idle_timeout" if served else "header_timeout": SHORT}
    async with running(**limits) as proxy:
        client = await proxy.connect()
        if served:
            await check_is_kept(client)
        await check_is_closed(client)
        await check_good_request_follows(proxy)


async def test_27_a_thousand_idle_connections_are_not_noticed_by_others() -> None:
    async with running() as proxy:
        for _ in range(1000):
            await proxy.connect()
        await check_good_request_follows(proxy)


STALLING = {
    "28 length, nothing": [POST],
    "28 length, a part": [POST + b"hel"],
    "28 chunked, nothing": [CHUNKED],
    "28 chunked, half a size": [CHUNKED + b"5"],
    "28 chunked, half a chunk": [CHUNKED + b"5\r\nhel"],
    "28 chunked, no last chunk": [CHUNKED, b"5\r\nhello\r\n"],
}


@pytest.mark.parametrize("pieces", STALLING.values(), ids=STALLING)
async def test_a_body_that_stalls_ends_the_backends_request(pieces: list[bytes]) -> None:
    async with running(idle_timeout=SHORT) as proxy:
        client = await proxy.ask(*pieces)
        assert (await client.answer()).status == 408
        await check_is_closed(client)
        await _check_was_aborted(proxy)


@pytest.mark.parametrize("how", ["close", "reset", "end_sending"])
@pytest.mark.parametrize("pieces", STALLING.values(), ids=STALLING)
async def test_a_body_that_breaks_off_ends_the_backends_request(
    pieces: list[bytes], how: str
) -> None:
    async with running() as proxy:
        client = await proxy.ask(*pieces)
        await until("a lease", lambda: proxy.target.leases)
        await getattr(client, how)()
        await _check_was_aborted(proxy)


async def _check_was_aborted(proxy: Running) -> None:
    await proxy.until_drained()
    for connection in proxy.backend.connections:
        await connection.gone.wait()
    assert proxy.backend.requests == []
    assert proxy.gate.tally.failed == 0
    await check_good_request_follows(proxy)


@pytest.mark.parametrize("raw", [GET, POST + b"hello"], ids=["GET", "POST"])
@pytest.mark.parametrize("script", [silence, says(b"HTTP/1.1 20")], ids=["nothing", "half a head"])
async def test_an_answer_that_does_not_begin_in_time_is_504(raw: bytes, script: Script) -> None:
    async with running(script, response_timeout=SHORT) as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == 504
        await proxy.until_drained()
        assert len(proxy.backend.heads) == 1
        await proxy.backend.connections[0].gone.wait()
        assert proxy.gate.tally.failed == 1
        await check_good_request_follows(proxy)


async def test_an_answer_may_pause_for_longer_than_it_may_take_to_begin() -> None:
    async def script(peer: Peer) -> None:
        await says(OK[:-1])(peer)
        await trio.sleep(2 * SHORT)
        await peer.send(OK[-1:])

    async with running(script, response_timeout=SHORT, idle_timeout=SHORT) as proxy:
        client = await proxy.ask(GET)
        assert (await client.answer()).body == b"ok"
        await check_is_kept(client)


async def test_a_client_that_does_not_read_is_cut() -> None:
    size = 30_000_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    async with running(says(answer), idle_timeout=SHORT) as proxy:
        client = await proxy.ask(GET)
        await proxy.until_backend_has(1)
        await proxy.until_drained()
        await proxy.backend.connections[0].gone.wait()
        assert await client.count() < size
        assert client.was_reset
        await check_good_request_follows(proxy)


# --- too much ---


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(POST + b"hello", 200, id="declared, just not too large"),
        pytest.param(POST.replace(b"5", b"6") + b"hello!", 413, id="declared"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", 200, id="chunked, just not too large"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 413, id="chunked"),
    ],
)
async def test_a_body_over_max_body_is_refused(raw: bytes, status: int) -> None:
    async with running(max_body=5) as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == status
        assert len(proxy.backend.requests) == (status == 200)
        await (check_is_kept if status == 200 else check_is_closed)(client)
        await check_good_request_follows(proxy)


async def test_a_declared_body_that_is_too_large_reaches_nobody() -> None:
    async with running(max_body=4) as proxy:
        assert (await (await proxy.ask(POST)).answer()).status == 413
        assert proxy.backend.connections == []


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "all at once"])
async def test_connections_over_the_limit_wait_for_a_place(at_once: bool) -> None:
    async with running(max_connections=2) as proxy:
        if at_once:  # All are there before the proxy gets to see the first.
            clients = [_connected_at_once(proxy) for _ in range(5)]
        else:
            clients = [await proxy.connect() for _ in range(5)]
        for client in clients:
            await client.send(GOOD)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert sum(client.has_nothing() for client in clients) == 3
        for client in clients:
            assert (await client.answer()).status == 200
            await client.close()
        await check_good_request_follows(proxy)


def _connected_at_once(proxy: Running) -> Peer:
    sock = socket.create_connection(("127.0.0.1", proxy.port))
    proxy.clients.append(Peer(trio.SocketStream(trio.socket.from_stdlib_socket(sock))))
    return proxy.clients[-1]


# --- held ---


async def test_held_requests_go_on_in_order_when_the_gate_opens() -> None:
    # One at a time, since the order in which a backend looks at connections is its own affair.
    async with running(hold=Hold(ramp=Count(1))) as proxy:
        proxy.gate.hold("test")
        clients = []
        for number in range(5):
            clients.append(await proxy.ask(GET.replace(b"/", b"/%d" % number, 1)))
            await until("another is held", lambda n=number: proxy.gate.held == n + 1)
        assert proxy.backend.connections == []
        proxy.gate.resume("test")
        for client in clients:
            assert (await client.answer()).status == 200
            await check_is_kept(client)
        lines = [head.partition(b" HTTP")[0] for head in proxy.backend.heads]
        assert lines == [b"GET /%d" % number for number in range(5)]


async def test_one_more_than_the_limit_is_refused_at_once() -> None:
    async with running(hold=Hold(limit=Count(1))) as proxy:
        proxy.gate.hold("test")
        first = await proxy.ask(GET)
        await until("one is held", lambda: proxy.gate.held == 1)
        second = await proxy.ask(GET)
        await _check_is_unavailable(second)
        proxy.gate.resume("test")
        assert (await first.answer()).status == 200
        await check_is_kept(second)


async def test_a_request_that_was_held_too_long_is_refused() -> None:
    async with running(hold=Hold(timeout=Period(SHORT))) as proxy:
        proxy.gate.hold("test")
        client = await proxy.ask(GET)
        await _check_is_unavailable(client)
        assert proxy.gate.held == 0
        proxy.gate.resume("test")
        await check_is_kept(client)
        assert proxy.backend.heads == []


async def _check_is_unavailable(client: Peer) -> None:
    answer = await client.answer()
    assert answer.status == 503
    [seconds] = answer.field(b"retry-after")
    assert int(seconds) >= 1


async def test_the_body_of_a_held_request_stays_with_the_client() -> None:
    async with running() as proxy:
        proxy.gate.hold("test")
        client = await proxy.ask(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        await until("it is held", lambda: proxy.gate.held == 1)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert client.has_nothing()
        proxy.gate.resume("test")
        await proxy.until_backend_has(1)
        await client.send(b"hello")
        assert (await client.answer()).status == 200
        assert proxy.backend.requests[0].body == b"hello"


HANG_UPS = ["close", "reset", "end_sending"]


@pytest.mark.parametrize("how", HANG_UPS)
@pytest.mark.parametrize("raw", [GET, POST, POST + b"hello"], ids=["GET", "no body yet", "POST"])
async def test_who_hangs_up_while_held_leaves_the_queue_and_is_never_sent(
    raw: bytes, how: str
) -> None:
    async with running() as proxy:
        proxy.gate.hold("test")
        client = await proxy.ask(raw)
        await until("it is held", lambda: proxy.gate.held == 1)
        await getattr(client, how)()
        await until("nothing is held", lambda: proxy.gate.held == 0)
        proxy.gate.resume("test")
        await check_good_request_follows(proxy)
        assert proxy.backend.heads == []


@pytest.mark.parametrize("how", HANG_UPS)
@pytest.mark.parametrize("raw", [GET, POST + b"hello"], ids=["GET", "POST"])
@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in the answer"])
async def test_who_hangs_up_in_flight_ends_the_backends_request(
    raw: bytes, how: str, begun: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if begun:
            await peer.send(OK[:-1])
        await silence(peer)

    async with running(script) as proxy:
        client = await proxy.ask(raw)
        await until("the whole request", lambda: proxy.backend.requests)
        if begun:
            await client.until(b"\r\n\r\no")
        await getattr(client, how)()
        await _check_was_ended(proxy)
        assert proxy.gate.tally.failed == 0


async def _check_was_ended(proxy: Running) -> None:
    await proxy.backend.connections[0].gone.wait()
    await proxy.until_drained()
    await check_good_request_follows(proxy)


@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in the answer"])
async def test_a_request_that_is_cut_gets_an_error_or_a_broken_connection(begun: bool) -> None:
    async def script(peer: Peer) -> None:
        if begun:
            await peer.send(OK[:-1])
        await silence(peer)

    async with running(script) as proxy:
        client = await proxy.ask(POST)
        if begun:
            await client.until(b"\r\n\r\no")
            await client.send(b"h")
        await proxy.until_backend_has(1)
        await trio.testing.wait_all_tasks_blocked()
        assert cut(proxy.target.leases) == 1
        if begun:
            assert await client.end() == b""
            assert client.was_reset
        else:
            assert (await client.answer()).status == 502
        await _check_was_ended(proxy)
        assert proxy.gate.tally.cut == 1


# --- the end ---


async def test_the_end_does_not_wait_for_a_connection_whose_last_answer_was_sent() -> None:
    async def script(peer: Peer) -> None:
        await says(OK[:-1])(peer)
        await draining.wait()
        await peer.send(OK[-1:])

    draining = trio.Event()
    async with running(script) as proxy:
        client = await proxy.ask(GET)
        await client.until(b"\r\n\r\no")
        draining.set()
        assert await proxy.listener.drain(5) == 0
        assert await client.end() == b"k"


async def test_the_end_does_not_wait_for_a_connection_whose_request_was_refused() -> None:
    async def refuse() -> None:
        await until("the end has begun", lambda: proxy.listener._accepting.cancel_called)
        proxy.gate.shut("It stops.")

    async with running() as proxy:
        proxy.gate.switch([])
        client = await proxy.ask(GET)
        await until("it is held", lambda: proxy.gate.held == 1)
        proxy.nursery.start_soon(refuse)
        assert await proxy.listener.drain(5) == 0
        assert (await client.answer()).status == 503


# --- tried again ---


def dead_target() -> Target:
    """One that nobody listens at."""
    return Target("127.0.0.1", free_ports(1)[0], "green", "b" * 40)


async def test_a_request_whose_dial_failed_goes_to_whatever_is_live_next() -> None:
    async with running() as proxy:
        proxy.gate.switch([dead_target()])
        client = await proxy.ask(POST + b"hello")
        await until("a failed dial", lambda: proxy.gate.tally.retried)
        proxy.gate.switch([proxy.target])
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        assert [request.body for request in proxy.backend.requests[:1]] == [b"hello"]
        assert len(proxy.backend.heads) == 1
        assert proxy.gate.tally.failed == 0


async def test_a_backend_that_cannot_be_dialled_is_given_up_after_a_while() -> None:
    async with running() as proxy:
        proxy.gate.switch([dead_target()])
        client = await proxy.ask(GET)
        answer = await client.answer()
        assert answer.status == 502
        proxy.gate.switch([proxy.target])
        await check_is_kept(client)


async def drops(peer: Peer) -> None:
    """Takes a request and closes without a word."""
    await peer.request()
    await peer.close()


REPEATED = {"GET": GET, "HEAD": GET.replace(b"GET", b"HEAD"), "OPTIONS": b"OPTIONS *" + GET[5:]}
NOT_REPEATED = {
    "POST": POST + b"hello",
    "POST without a body": GET.replace(b"GET", b"POST"),
    "PUT": POST.replace(b"POST", b"PUT") + b"hello",
    "DELETE": GET.replace(b"GET", b"DELETE"),
    "GET with a body": POST.replace(b"POST", b"GET") + b"hello",
    "GET with chunks": CHUNKED.replace(b"POST", b"GET") + b"0\r\n\r\n",
    "get": GET.replace(b"GET", b"get"),
}


@pytest.mark.parametrize("raw", REPEATED.values(), ids=REPEATED)
async def test_a_safe_request_is_sent_again_once(raw: bytes) -> None:
    async with running(in_turn(drops, says(OK))) as proxy:
        client = await proxy.ask(raw)
        answer = await client.answer(raw.split()[0].decode())
        assert answer.status == 200
        assert len(proxy.backend.heads) == 2
        assert proxy.gate.tally.retried == 1


async def test_a_request_that_kills_backends_does_not_kill_them_all() -> None:
    async with running(drops) as proxy:
        client = await proxy.ask(GET)
        assert (await client.answer()).status == 502
        assert len(proxy.backend.heads) == 2
        await check_is_kept(client)


@pytest.mark.parametrize("raw", NOT_REPEATED.values(), ids=NOT_REPEATED)
async def test_a_request_that_may_have_done_something_is_never_sent_again(raw: bytes) -> None:
    async with running(in_turn(drops, says(OK))) as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == 502
        assert len(proxy.backend.heads) == 1
        await check_good_request_follows(proxy)


async def test_after_one_byte_of_an_answer_nothing_is_sent_again() -> None:
    async with running(in_turn(says(b"H", close=True), says(OK))) as proxy:
        assert (await (await proxy.ask(GET)).answer()).status == 502
        assert len(proxy.backend.heads) == 1


async def test_a_retry_may_be_held_for_longer_than_an_answer_may_take() -> None:
    async def dies(peer: Peer) -> None:
        await peer.request()
        proxy.gate.switch([])
        await peer.close()

    async with running(in_turn(dies, says(OK)), response_timeout=SHORT) as proxy:
        client = await proxy.ask(GET)
        await until("it is held", lambda: proxy.gate.held == 1)
        await trio.sleep(2 * SHORT)
        proxy.gate.switch([proxy.target])
        assert (await client.answer()).status == 200
        assert proxy.gate.tally.failed == 0


@pytest.mark.parametrize("raw", [GET, POST + b"hello"], ids=["GET", "POST"])
@pytest.mark.parametrize("how", ["close", "reset"])
async def test_an_idle_connection_that_the_backend_ended_is_not_used_again(
    raw: bytes, how: str
) -> None:
    async with running() as proxy:
        client = await proxy.ask(GET)
        assert (await client.answer()).status == 200
        await getattr(proxy.backend.connections[0], how)()
        await client.send(raw)
        assert (await client.answer()).status == 200
        assert len(proxy.backend.heads) == 2
        assert proxy.gate.tally.retried == 0


async def test_connections_to_the_backend_are_used_again() -> None:
    async with running() as proxy:
        for _ in range(3):
            client = await proxy.ask(GET + POST + b"hello")
            for _ in range(2):
                assert (await client.answer()).status == 200
        assert len(proxy.backend.connections) == 1
        proxy.listener.pool.forget([proxy.target])
        await proxy.backend.connections[0].gone.wait()
        await check_good_request_follows(proxy)


# --- who is told what ---

CLAIMS = {
    b"x-forwarded-for": b"6.6.6.6",
    b"x-forwarded-proto": b"https",
    b"x-forwarded-host": b"site.example",
    b"forwarded": b"for=6.6.6.6",
}
CLAIMED = b"".join(b"%b: %b\r\n" % claim for claim in CLAIMS.items())


@pytest.mark.parametrize(
    ("trusted", "told"),
    [
        pytest.param(
            [],
            {
                b"x-forwarded-for": [b"127.0.0.1"],
                b"x-forwarded-proto": [b"http"],
                b"x-forwarded-host": [b"h"],
                b"forwarded": [],
            },
            id="24 a stranger",
        ),
        pytest.param(
            ["10.0.0.0/8"], {b"x-forwarded-for": [b"127.0.0.1"]}, id="24 another is trusted"
        ),
        pytest.param(
            ["127.0.0.0/8"],
            {
                **{name: [value] for name, value in CLAIMS.items()},
                b"x-forwarded-for": [b"6.6.6.6, 127.0.0.1"],
            },
            id="24 a trusted proxy",
        ),
    ],
)
async def test_only_trusted_proxies_have_a_say_in_who_asks(
    trusted: list[str], told: dict[bytes, list[bytes]]
) -> None:
    networks = tuple(map(IPv4Network, trusted))
    twins = (
        b"X_Forwarded_For: 6\r\nx-forwarded_proto: 6\r\nX_REQUEST_ID: 6\r\ncontent_length: 6\r\n"
    )
    async with running(trusted_proxies=networks) as proxy:
        client = await proxy.ask(GET[:-2] + CLAIMED + twins + b"\r\n")
        assert (await client.answer()).status == 200
        [request] = proxy.backend.requests
        assert {name: request.field(name) for name in told} == told
        assert not [name for name, _ in request.fields if b"_" in name]
        await check_good_request_follows(proxy)


@pytest.mark.parametrize("given", [b"abc-1", b"", b"a b", b"x" * 129])
async def test_every_request_has_one_id(given: bytes) -> None:
    async with running() as proxy:
        client = await proxy.ask(GET[:-2] + b"X-Request-Id: " + given + b"\r\n\r\n")
        assert (await client.answer()).status == 200
        [id_] = proxy.backend.requests[0].field(b"x-request-id")
        assert (id_ == given) == (given == b"abc-1")
        assert id_
        assert b" " not in id_


BROWSER = b"User-Agent: Mozilla/5.0\r\nAccept: text/html,application/xhtml+xml;q=0.9\r\n"
CURL = b"User-Agent: curl/8\r\nAccept: */*\r\n"
ERRORS: dict[int, tuple[Script, dict[str, Any]]] = {
    502: (drops, {}),
    503: (says(OK), {"hold": Hold(timeout=Period(SHORT))}),
    504: (silence, {"response_timeout": SHORT}),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("asker", ["browser", "curl"])
@pytest.mark.parametrize("status", ERRORS)
async def test_errors_are_pages_for_browsers_and_text_for_others(
    method: str, asker: str, status: int
) -> None:
    script, options = ERRORS[status]
    async with running(script, **options) as proxy:
        if status == 503:
            proxy.gate.hold("test")
        fields = BROWSER if asker == "browser" else CURL
        client = await proxy.ask(GET.replace(b"GET", method.encode())[:-2] + fields + b"\r\n")
        answer = await client.answer(method)
        kind, begin = {
            "browser": (b"text/html", b"<!doctype html>"),
            "curl": (b"text/plain", b"%d " % status),
        }[asker]
        assert answer.status == status
        assert answer.field(b"content-type") == [kind + b"; charset=utf-8"]
        assert answer.field(b"cache-control") == [b"no-store"]
        assert answer.body.startswith(begin) if method == "GET" else not answer.body
        proxy.gate.resume("test")
        # Nothing follows the head of an answer to HEAD, not even where the connection ends.
        if answer.field(b"connection") == [b"close"]:
            await check_is_closed(client)
        else:
            await check_is_kept(client)


async def test_aborted_requests_leave_no_descriptors_behind() -> None:
    async with running(silence) as proxy:
        await check_good_request_follows(proxy)
        before = descriptors()
        clients = [await proxy.ask(CHUNKED + b"5\r\nhe" if n % 2 else GET) for n in range(30)]
        await proxy.until_backend_has(30)
        for number, client in enumerate(clients):
            await (client.reset() if number % 3 else client.close())
        await proxy.until_drained()
        await until_descriptors_are(before)
