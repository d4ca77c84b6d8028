"""When the other side is looked for in the loop's next turn, and when the kernel has to tell."""

import socket
from collections.abc import Iterator

import pytest
import trio

from blue_green.http.transport import SOBER, Wire

Pair = tuple[Wire, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """One end as a wire, and the other."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield Wire(ours), theirs


async def test_who_hoped_in_vain_lets_the_kernel_tell_for_a_while(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    wire, other = pair

    async def answer_late() -> None:
        await trio.sleep(1)
        other.send(b"late")

    for _ in range(2):
        await wire.readable()
        assert wire.try_receive() is None, "it was not a hope"
        for _ in range(SOBER):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer_late)
                await wire.readable()
                assert wire.try_receive() == b"late", "it only hoped"


async def test_who_is_answered_within_a_turn_goes_on_hoping(pair: Pair) -> None:
    wire, other = pair

    async def answer() -> None:
        other.send(b"answer")

    for _ in range(3 * SOBER):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            await trio.lowlevel.checkpoint()
            await wire.readable()
        assert wire.try_receive() == b"answer"
    await wire.readable()
    assert wire.try_receive() is None


async def test_what_comes_late_is_waited_for(
    pair: Pair, autojump_clock: trio.testing.MockClock
) -> None:
    wire, other = pair

    async def answer() -> None:
        await trio.sleep(10)
        other.send(b"late")
        await trio.sleep(10)
        other.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert await wire.receive() == b"late"
        assert await wire.receive() == b""


def test_what_has_come_is_gathered_behind_what_was_taken_in(pair: Pair) -> None:
    wire, other = pair
    wire.pushed = b"ab"
    assert wire.gather(2)
    assert not wire.gather(4)
    other.send(b"cdef")
    assert wire.gather(4)
    assert wire.pushed == b"abcd"
    assert wire.gather(6)
    other.close()
    assert not wire.gather(7)
    assert wire.pushed == b"abcdef"
