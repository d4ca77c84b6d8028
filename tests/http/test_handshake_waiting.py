"""A handshake for a host whose first certificate is on its way waits, within bounds."""

import ssl

import pytest
import trio

from blue_green.certificates.table import CertificateTable
from blue_green.http import certificate_choice as module
from blue_green.http.certificate_choice import AWAITING
from tests.raw.handshakes import connected, names_of
from tests.raw.proxy import SHORT, RunningProxy, running
from tests.raw.tls_client import TlsStream, entry_for, table_of
from tests.raw.waiting import patience
from tests.waiting import until

HOST = "a.example"


@pytest.fixture
def table() -> CertificateTable:
    """The certificate of `HOST` is on its way, and localhost has one."""
    table = table_of("localhost")
    table.entry(HOST).coming = trio.Event()
    return table


def arrive(table: CertificateTable) -> None:
    entry = table.entry(HOST)
    entry.loaded = entry_for(HOST).loaded
    end_wait(table)


def end_wait(table: CertificateTable) -> None:
    entry = table.entry(HOST)
    assert entry.coming is not None
    entry.coming.set()
    entry.coming = None


async def until_waiting(count: int) -> None:
    await until(f"{count} wait", lambda: AWAITING.borrowed_tokens == count)


async def open_stream(proxy: RunningProxy) -> TlsStream:
    return TlsStream(await trio.open_tcp_stream("127.0.0.1", proxy.port), name=HOST)


async def test_a_handshake_goes_on_when_the_certificate_has_come(table: CertificateTable) -> None:
    async with connected(table) as both, trio.open_nursery() as nursery:

        async def shake() -> None:
            assert names_of(await both.shake(HOST)) == [HOST]

        nursery.start_soon(shake)
        await until_waiting(1)
        arrive(table)
    await until_waiting(0)


async def test_the_wait_may_last_longer_than_a_client_may_take_for_its_head(
    table: CertificateTable,
) -> None:
    async with running(table=table, header_timeout=SHORT) as proxy:
        async with await open_stream(proxy) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.shake_hands)
            await until_waiting(1)
            await trio.sleep(4 * SHORT)  # Longer than it would get without a reason to wait.
            arrive(table)
        await until_waiting(0)


@pytest.mark.parametrize("is_removed", [False, True])
async def test_a_certificate_that_does_not_come_ends_the_handshake_with_an_alert(
    table: CertificateTable, is_removed: bool
) -> None:
    async with connected(table) as both, trio.open_nursery() as nursery:

        async def shake() -> None:
            with pytest.raises(ssl.SSLError) as caught:
                await both.shake(HOST)
            expected = "unrecognized name" if is_removed else "internal error"
            assert expected in str(caught.value)

        nursery.start_soon(shake)
        await until_waiting(1)
        if is_removed:
            table.remove(HOST)
        else:
            end_wait(table)
    await until_waiting(0)


async def test_the_wait_for_a_certificate_is_limited_in_time(
    table: CertificateTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CERTIFICATE_TIMEOUT", SHORT)
    async with connected(table) as both:
        with pytest.raises(ssl.SSLError) as caught:
            await both.shake(HOST)
        assert "internal error" in str(caught.value)
    await until_waiting(0)


async def test_no_more_than_a_number_of_handshakes_wait_and_others_are_served_meanwhile(
    table: CertificateTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AWAITING, "total_tokens", 3)
    async with running(table=table) as proxy:
        proxy.speaks_tls = True
        early = [await open_stream(proxy) for _ in range(3)]
        async with trio.open_nursery() as nursery:
            for stream in early:
                nursery.start_soon(stream.shake_hands)
            await until_waiting(3)
            async with await open_stream(proxy) as late:
                with patience("its end", late.tls.version), pytest.raises(trio.BrokenResourceError):
                    await late.shake_hands()
            client = await proxy.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await client.answer()).status == 200
            arrive(table)
        for stream in early:
            await stream.aclose()
    await until_waiting(0)


async def test_a_client_that_disconnects_while_it_waits_makes_room(
    table: CertificateTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_AGAIN", 0.01)
    async with running(table=table) as proxy:
        stream = await open_stream(proxy)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.shake_hands)
            await until_waiting(1)
            nursery.cancel_scope.cancel()
        await stream.aclose()
        await until_waiting(0)
        await until("it has ended", lambda: proxy.listener.connections == 0)


async def test_a_stop_of_the_proxy_ends_the_wait(table: CertificateTable) -> None:
    async with running(table=table) as proxy:
        async with await open_stream(proxy) as stream, trio.open_nursery() as nursery:

            async def shake() -> None:
                with pytest.raises(ssl.SSLError):
                    await stream.shake_hands()

            nursery.start_soon(shake)
            await until_waiting(1)
            assert await proxy.listener.drain(5) == 0
    await until_waiting(0)
