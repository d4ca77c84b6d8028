"""What is retried after a failure, what never is, and which connections are reused."""

import pytest
import trio
import trio.testing

from blue_green.config.kinds import Endpoint
from blue_green.proxy import retries
from blue_green.routing.lease import Target, cut
from tests.raw.backend import drops, in_turn, says
from tests.raw.checks import check_good_request_follows, check_is_kept
from tests.raw.messages import CHUNKED, GET, OK, POST
from tests.raw.peer import Peer
from tests.raw.proxy import SHORT, running
from tests.support.site import free_ports
from tests.waiting import until


def dead_target() -> Target:
    """One that nobody listens at."""
    return Target(Endpoint("127.0.0.1", free_ports(1)[0]), "green", "b" * 40)


async def test_a_request_that_could_not_connect_goes_to_the_next_live_backend() -> None:
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


async def test_connecting_to_a_backend_is_given_up_after_a_timeout() -> None:
    async with running() as proxy:
        proxy.gate.switch([dead_target()])
        client = await proxy.ask(GET)
        answer = await client.answer()
        assert answer.status == 502
        proxy.gate.switch([proxy.target])
        await check_is_kept(client)


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
async def test_a_safe_request_is_retried_once(raw: bytes) -> None:
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
async def test_a_request_that_may_have_had_an_effect_is_never_retried(raw: bytes) -> None:
    async with running(in_turn(drops, says(OK))) as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == 502
        assert len(proxy.backend.heads) == 1
        await check_good_request_follows(proxy)


async def test_after_one_byte_of_a_response_nothing_is_retried() -> None:
    async with running(in_turn(says(b"H", close=True), says(OK))) as proxy:
        assert (await (await proxy.ask(GET)).answer()).status == 502
        assert len(proxy.backend.heads) == 1


async def test_a_retry_may_be_held_for_longer_than_response_timeout() -> None:
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
async def test_an_idle_connection_closed_by_the_backend_is_not_reused(raw: bytes, how: str) -> None:
    async with running() as proxy:
        client = await proxy.ask(GET)
        assert (await client.answer()).status == 200
        await getattr(proxy.backend.connections[0], how)()
        await client.send(raw)
        assert (await client.answer()).status == 200
        assert len(proxy.backend.heads) == 2
        assert proxy.gate.tally.retried == 0


async def test_connections_to_the_backend_are_reused() -> None:
    async with running() as proxy:
        for _ in range(3):
            client = await proxy.ask(GET + POST + b"hello")
            for _ in range(2):
                assert (await client.answer()).status == 200
        assert len(proxy.backend.connections) == 1
        proxy.pool.forget([proxy.target])
        await proxy.backend.connections[0].gone.wait()
        await check_good_request_follows(proxy)


async def test_a_request_aborted_as_its_backend_dies_gets_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever else goes on in the same turn of the loop has no say in what it is told."""
    monkeypatch.setattr(retries, "LOST_AT_LATEST", 0.01)  # Here no supervisor notices anything.

    async def script(peer: Peer) -> None:
        await peer.request()
        await trio.sleep(0.005)
        peer.stream.socket.close()
        await trio.lowlevel.checkpoint()
        cut(proxy.target.leases)

    async with running(script) as proxy:
        for _ in range(20):
            client = await proxy.ask(GET)
            assert (await client.answer()).status == 502


# --- idle connections -----------------------------------------------------------------------


async def test_an_idle_connection_to_a_backend_is_closed_on_a_timer() -> None:
    async with running(backend_keepalive=0.1) as proxy:
        client = await proxy.ask(GET)
        await client.answer()
        [connection] = proxy.backend.connections
        with trio.fail_after(5):
            await connection.gone.wait()


async def test_without_keepalive_each_request_has_a_connection_of_its_own() -> None:
    async with running(backend_keepalive=0) as proxy:
        client = await proxy.connect()
        for _ in range(3):
            await client.send(GET)
            assert (await client.answer()).status == 200
        assert len(proxy.backend.connections) == 3


async def test_no_connection_is_reused_while_it_may_block_a_busy_backend() -> None:
    async with running() as proxy:
        client = await proxy.ask(GET)
        await client.answer()
        await until("it is idle", lambda: not proxy.target.leases)
        proxy.target.reuses_connections = False
        assert proxy.pool.forget([proxy.target]) == 1
        for _ in range(2):
            await client.send(GET)
            await client.answer()
        assert len(proxy.backend.connections) == 3
