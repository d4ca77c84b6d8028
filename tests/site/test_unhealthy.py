"""What unanswered probes prove about a live backend, and what they do not."""

import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, field

from blue_green.config.kinds import Argv, Count, Endpoint, Period, Port, Ports
from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import (
    AppSettings,
    HealthSettings,
    HoldSettings,
    ServingSettings,
)
from blue_green.http.transport import dial
from blue_green.routing.gate import Gate
from blue_green.routing.lease import Lease, Outcome, Target
from blue_green.site import unhealthy
from blue_green.site.probe_log_filter import ProbeLogFilter
from tests.waiting import until

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ILL = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"


@define
class Watched:
    """A backend that is watched, and its requests."""

    target: Target
    gate: Gate
    answer: bytes = WELL
    """To each probe; nothing: it is silent."""
    probes: int = 0
    verdict: list[str] = field(factory=list)
    stack: ExitStack = field(factory=ExitStack)
    """Closes what was opened."""

    async def request(self) -> Lease:
        """One that was sent and is not answered."""
        lease = await self.gate.acquire()
        transport = await dial(self.target.address)
        lease.sock = self.stack.enter_context(transport.sock)
        lease.sock.sendall(b"GET /request HTTP/1.1\r\n\r\n")
        return lease

    async def until_probed(self, more: int) -> None:
        seen = self.probes
        await until(f"{more} more probes", lambda: self.verdict or self.probes >= seen + more)


@pytest.fixture(params=["port", "unix"])
def listening(request: pytest.FixtureRequest, directory: Path) -> Iterator[socket.socket]:
    """A socket that the backend listens on."""
    if request.param == "port":
        with socket.create_server(("127.0.0.1", 0)) as sock:
            yield sock
        return
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(directory / "1.sock"))
        sock.listen()
        yield sock


def address_of(sock: socket.socket) -> Endpoint:
    name = sock.getsockname()
    return Endpoint(path=Path(name)) if isinstance(name, str) else Endpoint(*name)


@asynccontextmanager
async def watched(
    listening: socket.socket, response_timeout: float = 60.0, patience: float = math.inf
) -> AsyncIterator[Watched]:
    """A backend that is found unhealthy after two probes that count."""
    health = HealthSettings(interval=Period(0.02), timeout=Period(0.1), fall=Count(2))
    serving = ServingSettings(response_timeout=Period(response_timeout))
    app = AppSettings(Argv(("x",)), Ports(((Port(1),), (Port(2),))))
    here = Path()
    settings = SiteSettings("test", here, here, app, health=health, serving=serving)
    gate = Gate(HoldSettings())

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            if b"/request" not in await stream.receive_some():
                it.probes += 1
                if it.answer:
                    await stream.send_all(it.answer)
                    return
            await stream.receive_some()

    async def watch() -> None:
        it.verdict.append(
            await unhealthy.until_unhealthy(
                it.target, lambda: settings, lambda _: 0, ProbeLogFilter(), patience
            )
        )

    async with trio.open_nursery() as nursery:
        it = Watched(Target(address_of(listening), "blue", "a" * 40), gate)
        gate.switch([it.target])
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        nursery.start_soon(watch)
        with it.stack:
            await it.until_probed(1)
            yield it
        nursery.cancel_scope.cancel()


async def test_a_wrong_answer_counts_however_busy_the_backend_is(
    listening: socket.socket,
) -> None:
    async with watched(listening) as it:
        await it.request()
        it.answer = ILL
        await until("it is found", lambda: it.verdict)
    assert it.verdict == ["2 probes in a row failed: GET / was answered 500"]


async def test_an_unanswered_probe_counts_when_the_backend_is_idle(
    listening: socket.socket,
) -> None:
    async with watched(listening) as it:
        it.answer = b""
        await until("it is found", lambda: it.verdict)
    assert it.verdict == ["2 probes in a row failed: no answer to GET / within 0.1 s"]


async def answered(it: Watched) -> Lease:
    lease = await it.request()
    lease.begin_response(200)
    return lease


async def aborted(it: Watched) -> Lease:
    lease = await it.request()
    lease.end(Outcome.ABORTED)
    return lease


async def unanswered(it: Watched) -> Lease:
    return await it.request()


@pytest.mark.parametrize("kind", [unanswered, answered, aborted])
async def test_an_unanswered_probe_proves_nothing_while_a_request_may_keep_the_backend_busy(
    kind: Callable[[Watched], Awaitable[Lease]],
    listening: socket.socket,
) -> None:
    async with watched(listening) as it:
        it.answer = b""
        await it.until_probed(1)
        lease = await kind(it)
        await it.until_probed(6)
        assert it.verdict == []
        it.answer = WELL
        await it.until_probed(1)
        if lease in it.target.leases:
            lease.end(Outcome.RESPONDED)
        it.answer = b""
        await until("it is found when it has done that", lambda: it.verdict)


@pytest.mark.parametrize("kind", [answered, aborted])
async def test_a_request_that_exceeded_response_timeout_is_no_excuse(
    kind: Callable[[Watched], Awaitable[Lease]],
    listening: socket.socket,
) -> None:
    async with watched(listening, response_timeout=0.5) as it:
        it.answer = b""
        await kind(it)
        await it.until_probed(2)
        assert it.verdict == []
        await until("it is found", lambda: it.verdict)


async def test_once_a_request_is_overdue_all_probes_since_then_count(
    listening: socket.socket,
) -> None:
    async with watched(listening) as it:
        it.answer = b""
        lease = await unanswered(it)
        await it.until_probed(6)
        lease.end(Outcome.OVERDUE)
        await until("it is found", lambda: it.verdict)
    [why] = it.verdict
    assert int(why.split()[0]) > 2
    assert why.endswith("no answer to GET / within 0.1 s, nor a request within 60 s")


async def test_a_busy_candidate_that_answers_nothing_at_all_is_not_excused_for_long(
    listening: socket.socket,
) -> None:
    """However many requests it gets meanwhile."""
    async with watched(listening, patience=0.8) as it:
        it.answer = b""
        async with trio.open_nursery() as nursery:

            async def others() -> None:
                while True:
                    await it.request()
                    await trio.sleep(0.02)

            nursery.start_soon(others)
            await it.until_probed(4)
            assert it.verdict == []
            await until("it is found", lambda: it.verdict)
            nursery.cancel_scope.cancel()
    [why] = it.verdict
    assert why.endswith("no answer to GET / within 0.1 s, nor a request within 0.8 s")


async def test_a_backend_is_silent_from_an_unanswered_probe_until_it_answers_one(
    listening: socket.socket,
) -> None:
    async with watched(listening) as it:
        await it.request()
        it.answer = b""
        await until("it is silent", lambda: it.target.is_silent)
        it.answer = WELL
        await until("it has answered", lambda: not it.target.is_silent)


async def test_a_backend_that_was_found_unhealthy_is_still_silent(
    listening: socket.socket,
) -> None:
    """Otherwise the end of a soak could take it for one that has recovered."""
    async with watched(listening) as it:
        it.answer = b""
        await until("it is found", lambda: it.verdict)
        assert it.target.is_silent


async def test_a_busy_candidate_that_answers_requests_is_left_alone(
    listening: socket.socket,
) -> None:
    async with watched(listening, patience=0.5) as it:
        it.answer = b""
        lease = await it.request()
        for _ in range(6):
            more = await it.request()
            await it.until_probed(2)
            lease.begin_response(200)
            lease.end(Outcome.RESPONDED)
            lease = more
        assert it.verdict == []


async def test_a_request_younger_than_the_probe_is_no_excuse(
    listening: socket.socket,
) -> None:
    async with watched(listening) as it:
        it.answer = b""

        async def others() -> None:
            while True:
                lease = await it.request()
                lease.begin_response(200)
                lease.end(Outcome.RESPONDED)
                await trio.sleep(0.005)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(others)
            await until("it is found", lambda: it.verdict)
            nursery.cancel_scope.cancel()
