"""Limits of bodies and of held requests."""

from ipaddress import IPv4Network

import pytest
import trio
import trio.testing

from blue_green.config.kinds import Count, Period
from blue_green.config.site_settings import HoldSettings
from tests.raw.checks import check_good_request_follows, check_is_closed, check_is_kept
from tests.raw.messages import CHUNKED, GET, POST
from tests.raw.peer import ParsedMessage, Peer
from tests.raw.proxy import SHORT, running
from tests.waiting import until


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


async def test_a_declared_body_that_is_too_large_reaches_no_backend() -> None:
    async with running(max_body=4) as proxy:
        assert (await (await proxy.ask(POST)).answer()).status == 413
        assert proxy.backend.connections == []


async def test_held_requests_go_on_in_order_when_the_gate_opens() -> None:
    # One at a time, since the order in which a backend looks at connections is its own affair.
    async with running(hold=HoldSettings(ramp=Count(1))) as proxy:
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
    async with running(hold=HoldSettings(limit=Count(1))) as proxy:
        proxy.gate.hold("test")
        first = await proxy.ask(GET)
        await until("one is held", lambda: proxy.gate.held == 1)
        second = await proxy.ask(GET)
        await _check_is_unavailable(second)
        proxy.gate.resume("test")
        assert (await first.answer()).status == 200
        await check_is_kept(second)


async def test_one_client_gets_no_more_than_its_share_of_the_queue() -> None:
    """By the address that a trusted proxy names: all these come from one."""
    trusted = (IPv4Network("127.0.0.1"), IPv4Network("10.0.0.0/8"))
    async with running(
        hold=HoldSettings(limit=Count(4), per_client=Count(2)), trusted_proxies=trusted
    ) as proxy:

        def of(names: bytes) -> bytes:
            return GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: %b\r\n\r\n" % names)

        proxy.gate.hold("test")
        held = [await proxy.ask(of(b"192.0.2.1")), await proxy.ask(of(b"9.9.9.9, 192.0.2.1"))]
        await until("two are held", lambda: proxy.gate.held == 2)
        refused = await proxy.ask(of(b"8.8.8.8, 192.0.2.1:1234, 10.1.2.3"))
        answer = await _check_is_unavailable(refused)
        assert b"Too many requests from your address are waiting already." in answer.body
        held.append(await proxy.ask(of(b"192.0.2.2")))
        await until("another one's is held", lambda: proxy.gate.held == 3)
        proxy.gate.resume("test")
        for client in held:
            assert (await client.answer()).status == 200
        await check_is_kept(refused)
        proxy.gate.hold("test")
        again = [await proxy.ask(of(b"192.0.2.1")) for _ in range(2)]
        await until("its share is free again", lambda: proxy.gate.held == 2)
        proxy.gate.resume("test")
        for client in again:
            assert (await client.answer()).status == 200


async def test_a_request_that_was_held_too_long_is_refused() -> None:
    async with running(hold=HoldSettings(timeout=Period(SHORT))) as proxy:
        proxy.gate.hold("test")
        client = await proxy.ask(GET)
        await _check_is_unavailable(client)
        assert proxy.gate.held == 0
        proxy.gate.resume("test")
        await check_is_kept(client)
        assert proxy.backend.heads == []


async def _check_is_unavailable(client: Peer) -> ParsedMessage:
    answer = await client.answer()
    assert answer.status == 503
    [seconds] = answer.field(b"retry-after")
    assert int(seconds) >= 1
    return answer


async def test_the_body_of_a_held_request_stays_with_the_client() -> None:
    async with running(buffer_requests=0) as proxy:
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
