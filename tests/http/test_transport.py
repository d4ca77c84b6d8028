"""When a transport reads speculatively, and when it waits for the kernel."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from blue_green.config.kinds import Endpoint
from blue_green.http.transport import SLICE, SPECULATION_BACKOFF, Transport, dial

Pair = tuple[Transport, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """One end as a transport, and the other."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield Transport(ours), theirs


async def test_speculative_reads_that_find_nothing_pause_for_a_while(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    transport, other = pair

    async def answer_late() -> None:
        await trio.sleep(1)
        other.send(b"late")

    for _ in range(2):
        await transport.readable()
        assert transport.try_receive() is None, "it was not a hope"
        for _ in range(SPECULATION_BACKOFF):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer_late)
                await transport.readable()
                assert transport.try_receive() == b"late", "it only hoped"


async def test_speculative_reads_that_find_data_continue(pair: Pair) -> None:
    transport, other = pair

    async def answer() -> None:
        other.send(b"answer")

    for _ in range(3 * SPECULATION_BACKOFF):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            await trio.lowlevel.checkpoint()
            await transport.readable()
        assert transport.try_receive() == b"answer"
    await transport.readable()
    assert transport.try_receive() is None


async def test_late_data_is_waited_for(pair: Pair, autojump_clock: trio.testing.MockClock) -> None:
    transport, other = pair

    async def answer() -> None:
        await trio.sleep(10)
        other.send(b"late")
        await trio.sleep(10)
        other.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert await transport.receive() == b"late"
        assert await transport.receive() == b""


def test_new_data_is_appended_behind_buffered_data(pair: Pair) -> None:
    transport, other = pair
    transport.buffer = b"ab"
    assert transport.fill_buffer(2)
    assert not transport.fill_buffer(4)
    other.send(b"cdef")
    assert transport.fill_buffer(4)
    assert transport.buffer == b"abcd"
    assert transport.fill_buffer(6)
    other.close()
    assert not transport.fill_buffer(7)
    assert transport.buffer == b"abcdef"


async def test_calls_that_always_succeed_yield_to_other_tasks_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, had_their_turn = 1.0, False
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    async def another() -> None:
        nonlocal had_their_turn
        had_their_turn = True

    with socket.socket() as sock:
        busy = Transport(sock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(another)
        for _ in range(5):
            now += SLICE / 5
            await busy.maybe_checkpoint()
            assert not had_their_turn
        for _ in range(4):  # In a round, trio has tasks run in any order.
            now += 2 * SLICE
            await busy.maybe_checkpoint()
        assert had_their_turn


@pytest.fixture
def listener(directory: Path) -> Iterator[socket.socket]:
    """A Unix socket that listens, with a backlog for one connection."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(directory / "1.sock"))
        sock.listen(0)
        yield sock


def address_of(listener: socket.socket) -> Endpoint:
    return Endpoint(path=Path(listener.getsockname()))


async def test_a_full_backlog_of_a_unix_socket_is_waited_for(listener: socket.socket) -> None:
    address = address_of(listener)
    first = await dial(address)
    with trio.move_on_after(0.1) as waiting:
        await dial(address)
    assert waiting.cancelled_caught
    async with trio.open_nursery() as nursery:

        async def make_room() -> None:
            await trio.sleep(0.1)
            listener.accept()[0].close()

        nursery.start_soon(make_room)
        with trio.fail_after(10):
            second = await dial(address)
    first.close()
    second.close()


async def test_a_unix_socket_on_which_no_program_listens_refuses(
    listener: socket.socket, directory: Path
) -> None:
    address = address_of(listener)
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        await dial(address)
    with pytest.raises(FileNotFoundError):
        await dial(Endpoint(path=directory / "none.sock"))


async def test_a_unix_socket_of_another_user_is_not_used(listener: socket.socket) -> None:
    (await dial(address_of(listener), os.geteuid())).close()
    listener.accept()[0].close()
    why = f"pid {os.getpid()} of user {os.geteuid()} listens there, and not a program of user 12345"
    with pytest.raises(PermissionError, match=why):
        await dial(address_of(listener), 12345)
    with listener.accept()[0] as refused:
        assert refused.recv(1) == b"", "nothing was sent"
