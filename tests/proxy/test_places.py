"""The places for clients."""

import socket
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from blue_green.http.transport import Transport
from blue_green.proxy.client import Client
from blue_green.proxy.occupancy import Occupancy
from blue_green.proxy.places import Places
from blue_green.proxy.remote import Remote, Trust


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


def a_client(sock: socket.socket) -> Client:
    return Client(Transport(sock), Remote("192.0.2.1", trust=Trust(())))


def places(count: int) -> Places:
    made = Places(Occupancy())
    made.use(count)
    return made


def test_requests_get_places_while_there_are_any(sock: socket.socket) -> None:
    two = places(2)
    first, second = a_client(sock), a_client(sock)
    assert two.admit(first)
    assert two.admit(second)
    assert two.are_taken
    assert not two.admit(a_client(sock))
    two.dismiss(first)
    assert two.admit(a_client(sock))


async def test_a_client_that_is_idle_loses_its_place_to_a_request(sock: socket.socket) -> None:
    one = places(1)
    idle = a_client(sock)
    one.take()
    one.clients.add(idle)
    idle.await_request(60)
    assert one.admit(a_client(sock))
    assert idle.ended_by is not None


async def test_whoever_waits_for_a_place_notices_that_there_are_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    none = places(0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(none.fewer)
        await trio.testing.wait_all_tasks_blocked()
        none.use(1)
    assert not none.are_taken
