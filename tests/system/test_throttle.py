"""How tasks with much work share the event loop."""

import socket
import time
from collections import Counter

import pytest
import trio

from blue_green.http.chunks import MOST_AT_ONCE, ChunkReader
from blue_green.http.transport import SLICE, Transport
from blue_green.system import throttle
from tests.support.iterations import counting_iterations

ROUNDS = 100


async def test_each_round_resumes_a_few_tasks_in_turn() -> None:
    had: Counter[int] = Counter()

    async def work(number: int) -> None:
        while True:
            await throttle.wait()
            had[number] += 1

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(work, number)
        for _ in range(ROUNDS):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert (
        (ROUNDS - 2) * throttle.TASKS_PER_ITERATION
        <= had.total()
        <= ROUNDS * throttle.TASKS_PER_ITERATION
    )
    assert max(had.values()) - min(had.values()) <= 1, had


async def test_a_single_task_waits_for_one_round() -> None:
    async with counting_iterations() as iterations:
        for _ in range(ROUNDS):
            await throttle.wait()
    assert ROUNDS - 2 <= iterations.count <= ROUNDS + 2


async def test_a_cancelled_task_leaves_its_turn_to_another() -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(throttle.wait)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    await test_each_round_resumes_a_few_tasks_in_turn()


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


@pytest.mark.parametrize("size", [b"1", b"1;a=b", b"01"])
def test_tiny_chunks_are_read_a_few_at_a_time(size: bytes) -> None:
    reader = ChunkReader()
    pieces = [reader.feed((size + b"\r\na\r\n") * 10_000 + b"0\r\n\r\nrest")]
    while not reader.has_ended:
        assert reader.has_more, reader.broken
        pieces.append(reader.feed(b""))
    assert max(map(len, pieces)) <= MOST_AT_ONCE
    assert b"".join(pieces) == b"a" * 10_000
    assert (reader.rest, reader.has_more) == (b"rest", False)
