"""The admin address: /ready for balancers, /live, and /metrics for Prometheus."""

import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from attrs import Factory, define

from blue_green.admin import server
from blue_green.admin.request_body import Message
from blue_green.admin.server import BodyRoute, Reply, Routes, Send, Server, StreamReply
from blue_green.system import throttle
from tests.raw.checks import check_is_closed
from tests.raw.peer import Gone, Peer
from tests.raw.proxy import port_of
from tests.support.admin import Admin
from tests.support.http_client import Answer
from tests.support.iterations import counting_iterations
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]


# --- the server, in this process ----------------------------------------------------------------


async def hello(query: str) -> Reply:
    return Reply(200, b"hello\n")


async def fail(query: str) -> Reply:
    raise RuntimeError("a bug")


async def echo(message: Message) -> Reply:
    return Reply(202, message.body)


async def never(query: str) -> Reply:
    await trio.sleep_forever()
    raise AssertionError("it never comes to this")


async def ticks(query: str) -> StreamReply:
    async def send_all(send: Send) -> None:
        while True:
            await send(b"tick\n")
            await trio.sleep(0.01)

    return StreamReply("text/plain", send_all)


async def flood(query: str) -> StreamReply:
    async def send_all(send: Send) -> None:
        while True:
            await send(b"x" * 65536)

    return StreamReply("text/plain", send_all)


ROUTES: Routes = {
    "/": {"OPTIONS": hello},
    "/hello": {"GET": hello},
    "/bug": {"GET": fail},
    "/never": {"GET": never},
    "/ticks": {"GET": ticks},
    "/flood": {"GET": flood},
    "/page": {"GET": hello, "OPTIONS": hello},
    "/echo": {"POST": BodyRoute(echo, 10)},
    "/large": {"POST": BodyRoute(echo, 100_000)},
}


@define
class Served:
    """A running server, and a way to it."""

    port: int
    clients: list[Peer] = Factory(list)

    async def ask(self, raw: bytes) -> Peer:
        """A new connection on which these bytes were sent."""
        client = Peer(await trio.open_tcp_stream("127.0.0.1", self.port))
        self.clients.append(client)
        await client.send(raw)
        return client


@asynccontextmanager
async def serving(routes: Routes | None = None) -> AsyncIterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server([sock], routes or ROUTES, for_browsers=["/page"]).run)
            served = Served(port_of(sock))
            yield served
            for client in served.clients:
                await trio.aclose_forcefully(client.stream)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", 200, id="as browsers ask"),
        pytest.param(b"GET /hello HTTP/1.1\r\n\r\n", 200, id="without Host"),
        pytest.param(b"GET /hello HTTP/1.1\r\nHost:\r\n\r\n", 200, id="an empty Host"),
        pytest.param(b"GET /hello HTTP/1.1\r\nHost: ::1\r\n\r\n", 200, id="IPv6 without brackets"),
        pytest.param(b"GET /hello HTTP/1.1\nHost: a b\n\n", 200, id="a Host that names none"),
        pytest.param(b"host: ?\r\n\r\n", 400, id="Host as the first line"),
        pytest.param(b"GET /hello HTTP/1.0\r\n\r\n", 200, id="as HAProxy asks"),
        pytest.param(b"OPTIONS / HTTP/1.0\r\n\r\n", 200, id="as HAProxy asks unless told what"),
        pytest.param(b"\r\nGET /hello?a=b HTTP/1.0\n\n", 200, id="as people type it"),
        pytest.param(b"HEAD /hello HTTP/1.0\r\n\r\n", 200, id="HEAD"),
        pytest.param(b"GET /nothing HTTP/1.0\r\n\r\n", 404, id="an unknown path"),
        pytest.param(b"POST /hello HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", 405, id="POST"),
        pytest.param(b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="two Hosts"),
        pytest.param(b"\x16\x03\x01\x02\r\n\r\n", 400, id="not HTTP"),
        pytest.param(b"GET /hello HTTP/1.1\r\nX: " + 17000 * b"x", 431, id="a head too large"),
        pytest.param(
            b"GET /hello HTTP/1.1\r\n" + 101 * b"a: b\r\n" + b"\r\n", 431, id="many lines"
        ),
        pytest.param(
            b"GET /hello HTTP/1.1\r\nX: " + 15000 * b" " + b"\0\r\n\r\n", 400, id="spaces and NUL"
        ),
        pytest.param(
            b"GET /hello HTTP/1.1\r\nX: " + 15000 * b" " + b"\ra\r\n\r\n", 400, id="spaces and CR"
        ),
        pytest.param(b"GET /bug HTTP/1.0\r\n\r\n", 500, id="an error of ours"),
        pytest.param(b"HEAD /ticks HTTP/1.0\r\n\r\n", 200, id="HEAD of a stream"),
        pytest.param(b"GET /page HTTP/1.1\r\nHost: 10.0.0.1:8\r\n\r\n", 200, id="by address"),
        pytest.param(b"GET /page HTTP/1.1\r\n\r\n", 200, id="no browser"),
        pytest.param(b"GET /page HTTP/1.0\r\nHost: x@y\r\n\r\n", 421, id="by no name"),
        pytest.param(b"GET /page HTTP/1.0\r\nHost: x.example\r\n\r\n", 421, id="by another's name"),
        pytest.param(b"OPTIONS /page HTTP/1.1\r\nHost: x.example\r\n\r\n", 200, id="OPTIONS"),
    ],
)
async def test_each_request_gets_its_response(raw: bytes, status: int) -> None:
    async with serving() as served:
        client = await served.ask(raw)
        answer = await client.answer("HEAD" if raw.startswith(b"HEAD") else "GET")
        assert answer.status == status
        if raw.startswith(b"HEAD"):
            length = b"0" if b"/ticks" in raw else b"6"
            assert (answer.body, answer.field(b"content-length")) == (b"", [length])
        if status == 405:
            assert answer.field(b"allow") == [b"GET, HEAD"]
        if status != 200 or b"HTTP/1.0" in raw:
            await check_is_closed(client)


async def test_a_connection_is_reused_and_requests_are_answered_in_order() -> None:
    async with serving() as served:
        ask = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"
        client = await served.ask(ask % b"hello" + ask % b"other" + ask % b"hello")
        assert [(await client.answer()).status for _ in range(3)] == [200, 404, 200]


TEN = b"Content-Length: 10\r\n\r\n0123456789"


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        pytest.param(TEN, 202, b"0123456789", id="as much as may be"),
        pytest.param(b"Content-Length: 0\r\n\r\n", 202, b"", id="an empty one"),
        pytest.param(b"\r\n", 202, b"", id="none"),
        pytest.param(b"Content-Length: 11\r\n\r\n", 413, b"", id="too much, as it is announced"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 202, b"abc", id="chunks"
        ),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n", 413, b"", id="long chunks"
        ),
        pytest.param(b"Content-Length: x\r\n\r\n", 400, b"", id="a length that is none"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\n0\r\na:" + 15000 * b" " + b"\0\r\n\r\n",
            400,
            b"",
            id="a trailer of spaces and NUL",
        ),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400, b"", id="chunks that are none"
        ),
    ],
)
async def test_a_body_is_read_only_for_a_route_that_takes_one(
    raw: bytes, status: int, body: bytes
) -> None:
    async with serving() as served:
        client = await served.ask(b"POST /echo HTTP/1.1\r\nHost: h\r\n" + raw)
        answer = await client.answer("POST")
        assert answer.status == status
        if status == 202:
            assert answer.body == body
            await client.send(b"GET /hello HTTP/1.1\r\n\r\n")
            assert (await client.answer()).status == 200
        else:
            assert answer.field(b"connection") == [b"close"]
            await check_is_closed(client)


async def test_bytes_after_a_body_are_the_next_request() -> None:
    async with serving() as served:
        ask = b"POST /echo HTTP/1.1\r\nHost: h\r\n" + TEN
        client = await served.ask(ask + b"GET /hello HTTP/1.1\r\n\r\n" + ask)
        assert [(await client.answer()).status for _ in range(3)] == [202, 200, 202]


async def test_a_body_of_tiny_chunks_is_read_a_few_at_a_time() -> None:
    chunks = 10_000
    async with serving() as served:
        head = b"POST /large HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        client = await served.ask(head)
        await client.send(chunks * b"1\r\na\r\n" + b"0\r\n\r\n")
        async with counting_iterations() as iterations:
            answer = await client.answer("POST")
    assert answer.body == chunks * b"a"
    assert chunks / iterations.count < 500, "other tasks run in between"


async def test_many_simultaneous_requests_are_answered_a_few_per_iteration() -> None:
    at: Counter[int] = Counter()

    async def note(query: str) -> Reply:
        at[iterations.count] += 1
        return Reply(200, b"noted\n")

    async with serving({"/note": {"GET": note}}) as served, counting_iterations() as iterations:
        clients = [await served.ask(b"") for _ in range(24)]
        for client in clients:  # Without a checkpoint, so that all are read at once.
            os.write(client.stream.socket.fileno(), b"GET /note HTTP/1.1\r\nHost: h\r\n\r\n")
        for client in clients:
            assert (await client.answer()).status == 200
    # The counting task runs at any point of an iteration.
    assert max(at.values()) <= 2 * throttle.TASKS_PER_ITERATION


async def test_a_request_whose_body_has_no_bytes_does_not_end_its_connection() -> None:
    async with serving() as served:
        asked = b"GET /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
        client = await served.ask(2 * asked)
        for _ in range(2):
            assert (await client.answer()).status == 200


async def test_bytes_after_a_body_that_is_read_in_pieces_are_not_lost() -> None:
    async with serving() as served:
        body = b"Content-Length: 3000\r\n\r\n" + 3000 * b"a"
        follows = 50 * b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"
        client = await served.ask(b"POST /large HTTP/1.1\r\nHost: h\r\n" + body + follows)
        assert (await client.answer("POST")).body == 3000 * b"a"
        for _ in range(50):
            assert (await client.answer()).status == 200


async def test_expect_100_continue_is_answered() -> None:
    async with serving() as served:
        head = b"POST /%b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
        client = await served.ask(head % b"echo")
        assert await client.next_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"0123456789")
        assert (await client.answer("POST")).body == b"0123456789"
        refused = await served.ask(head % b"hello")
        assert (await refused.answer("POST")).status == 405


async def test_a_client_that_is_slow_with_a_body_gives_way_to_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    async with serving() as served:
        slow = await served.ask(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0")
        await trio.testing.wait_all_tasks_blocked(0.05)
        other = await served.ask(b"GET /hello HTTP/1.1\r\n\r\n")
        assert (await other.answer()).status == 200
        assert await slow.end() == b""


@pytest.mark.parametrize(
    ("name", "raw", "response"),
    [
        pytest.param("HEAD_TIMEOUT", b"", b"", id="for its first request"),
        pytest.param("HEAD_TIMEOUT", b"GET / HT", b"HTTP/1.1 408 ", id="for the rest of a head"),
        pytest.param(
            "IDLE_TIMEOUT", b"GET /hello HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 ", id="for the next one"
        ),
        pytest.param("RESPONSE_TIMEOUT", b"GET /never HTTP/1.0\r\n\r\n", b"", id="for a response"),
    ],
)
async def test_every_wait_has_a_timeout(
    name: str, raw: bytes, response: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, name, 0.1)
    async with serving() as served:
        client = await served.ask(raw)
        received = await client.end()
        assert received.startswith(response)
        assert bool(received) == bool(response)


async def test_a_new_client_displaces_the_one_that_was_silent_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    async with serving() as served:
        ask = b"GET /hello HTTP/1.1\r\n\r\n"
        oldest, other = [await served.ask(ask), await served.ask(ask)]
        for client in (other, oldest):
            assert (await client.answer()).status == 200
        await oldest.send(ask)
        assert (await oldest.answer()).status == 200
        assert (await (await served.ask(ask)).answer()).status == 200
        with pytest.raises(Gone):
            await other.answer()


async def test_a_new_client_is_refused_when_all_others_are_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    async with serving() as served:
        busy = await served.ask(b"GET /never HTTP/1.1\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert await (await served.ask(b"")).end() == b""
        assert busy.has_nothing()


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_stream_lasts_as_long_as_its_client(version: bytes) -> None:
    async with serving() as served:
        client = await served.ask(b"GET /ticks HTTP/%b\r\n\r\n" % version)
        head = await client.until(b"\r\n\r\n")
        assert (b"chunked" in head) == (version == b"1.1")
        for _ in range(3):
            await client.until(b"tick\n")


async def test_streams_are_limited_and_a_client_that_leaves_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "MAX_STREAMS", 1)
    ask = b"GET /ticks HTTP/1.0\r\n\r\n"
    async with serving() as served:
        first = await served.ask(ask)
        await first.until(b"tick\n")
        refused = await (await served.ask(ask)).answer()
        assert (refused.status, refused.body) == (503, b"1 others read this already.\n")
        assert (await (await served.ask(b"GET /hello HTTP/1.0\r\n\r\n")).answer()).status == 200
        await first.reset()

        async def has_room() -> bool:
            return b"200 OK" in await (await served.ask(ask)).until(b"\r\n")

        await until("there is room", has_room)


async def test_a_client_that_does_not_read_its_stream_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "RESPONSE_TIMEOUT", 0.2)
    async with serving() as served:
        slow = await served.ask(b"GET /flood HTTP/1.0\r\n\r\n")
        slow.small_buffers()
        await trio.sleep(0.6)  # More than the time that it has.
        # What the kernel kept for it comes, and then the end.
        assert await slow.count() < 32 * 1024 * 1024


# --- the supervisor, end to end -----------------------------------------------------------------


async def test_ready_says_whether_a_balancer_should_send_requests_here(make_site: MakeSite) -> None:
    site = make_site()
    admin = Admin(site, drain_delay="300ms")
    one = site.commit("one")
    barrier, may_answer = site.put_up("start", one), site.directory / "may-answer"
    answers: list[Answer] = []

    async def ask_slowly() -> None:
        answers.append(await site.get(f"/?until={may_answer}"))

    async with site.running(wait_for="starting"):
        assert await admin.ready() == (503, "No release is live yet.")
        barrier.unlink()
        await site.until_live(one)
        assert await admin.ready() == (200, "ready")
        await site.ask("pause", seconds=60)
        assert await admin.ready() == (200, "ready"), "those that come are held, and answered"
        await site.ask("resume")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_slowly)
            await until("it is in flight", site.journal)
            assert site.process is not None
            site.process.send_signal(signal.SIGTERM)
            await site.until_logged("stopping in 0.3 s")
            assert await admin.ready() == (503, "The server is stopping.")
            await site.until_logged("stopping: finishing in-flight requests")
            assert await admin.ready() == (503, "The server is stopping.")
            assert (await admin.get("/live")).status == 200
            assert answers == [], "it was still draining"
            may_answer.touch()
        assert answers[0].status == 200


async def test_requests_are_served_during_the_drain_delay_before_a_stop(
    make_site: MakeSite,
) -> None:
    site = make_site()
    admin = Admin(site, drain_delay="10m")
    site.commit("one")
    async with site.running():
        assert site.process is not None
        site.process.send_signal(signal.SIGTERM)
        await admin.until_ready_says(503)
        assert (await site.get("/")).status == 200
        # A second signal does not wait: `running` gives it PATIENCE, and not ten minutes.
