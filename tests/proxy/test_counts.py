"""Every request is counted once, by what its client got, whoever answered it."""

import pytest
import trio
import trio.testing

from blue_green.config.kinds import Count, Period
from blue_green.config.site_settings import HoldSettings
from blue_green.proxy.access_log import GONE
from tests.raw.backend import Script, drops, says, silence
from tests.raw.messages import GET, OK, POST
from tests.raw.peer import Gone
from tests.raw.proxy import SHORT, RunningProxy, running
from tests.waiting import until


async def check_counted(proxy: RunningProxy, *statuses: int) -> None:
    """These requests have ended so, and no others. A client learns of it a moment earlier."""
    await until("they are counted", lambda: proxy.gate.by_status.total() >= len(statuses))
    await proxy.until_drained()
    counted = {status: count for status, count in proxy.gate.by_status.items() if count}
    assert counted == {status: statuses.count(status) for status in statuses}


async def test_responses_of_the_backend_are_counted_by_status() -> None:
    async with running(says(OK)) as proxy:
        client = await proxy.ask(GET + GET)
        for _ in range(2):
            assert (await client.answer()).status == 200
        await check_counted(proxy, 200, 200)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"nonsense\r\n\r\n", 400, id="malformed"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="without Host"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + 2000 * b"x", 431, id="a head that is too large"),
        pytest.param(POST + b"hello", 413, id="a body that is too large"),
        pytest.param(b"GET / HT", 408, id="a head that does not come"),
    ],
)
async def test_requests_that_never_reach_a_backend_are_counted_by_status(
    raw: bytes, status: int
) -> None:
    async with running(max_head=1024, max_body=4, header_timeout=SHORT) as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == status
        await check_counted(proxy, status)
        assert proxy.backend.heads == []


@pytest.mark.parametrize(
    ("script", "status"),
    [
        pytest.param(drops, 502, id="the backend breaks off"),
        pytest.param(silence, 504, id="the backend is silent"),
    ],
)
async def test_requests_that_a_backend_fails_are_counted_by_status(
    script: Script, status: int
) -> None:
    async with running(script, response_timeout=SHORT) as proxy:
        client = await proxy.ask(POST + b"hello")
        assert (await client.answer()).status == status
        await check_counted(proxy, status)


async def test_an_aborted_response_counts_by_the_status_of_its_head() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
    async with running(says(half, close=True)) as proxy:
        client = await proxy.ask(GET)
        with pytest.raises(Gone):
            await client.answer()
        await check_counted(proxy, 200)


async def test_a_request_aborted_before_its_response_counts_by_the_error_it_gets() -> None:
    async with running(silence) as proxy:
        client = await proxy.ask(POST + b"hello")
        await proxy.until_backend_has(1)
        (lease,) = proxy.target.leases
        assert lease.cut is not None
        lease.cut()
        assert (await client.answer()).status == 502
        await check_counted(proxy, 502)


async def test_a_client_that_disconnects_is_counted_as_gone() -> None:
    async with running(silence) as proxy:
        client = await proxy.ask(GET)
        await proxy.until_backend_has(1)
        await client.close()
        await check_counted(proxy, GONE)


async def test_a_connection_without_a_request_is_not_counted() -> None:
    async with running(header_timeout=SHORT) as proxy:
        silent, gone = await proxy.connect(), await proxy.ask(b"GET / HT")
        await gone.close()
        assert await silent.end() == b""
        assert proxy.gate.by_status.total() == 0


async def test_the_time_each_request_was_held_is_recorded_however_it_ends() -> None:
    async with running(hold=HoldSettings(Period(SHORT), Count(2))) as proxy:
        proxy.gate.hold("a test")
        waiting = [await proxy.ask(GET), await proxy.ask(GET)]
        await until("both wait", lambda: proxy.gate.held == 2)
        at_once = await proxy.ask(GET)
        assert (await at_once.answer()).status == 503
        await waiting[0].close()
        await until("one is left", lambda: proxy.gate.held == 1)
        await trio.testing.wait_all_tasks_blocked()
        proxy.gate.resume("a test")
        assert (await waiting[1].answer()).status == 200
        await check_counted(proxy, 503, GONE, 200)
        assert sum(proxy.gate.queue.holds.counts) == 2
        assert 0 < proxy.gate.queue.holds.total < 10
