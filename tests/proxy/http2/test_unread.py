"""The bound for bodies that have arrived over HTTP/2 and that nobody has read."""

import trio
from trio.testing import wait_all_tasks_blocked

from blue_green.proxy.http2.unread import MOST_UNREAD, UnreadBytes, UnreadTotal


def test_only_connections_with_unread_bodies_have_too_many() -> None:
    total = UnreadTotal()
    first, second = UnreadBytes(total), UnreadBytes(total)
    assert [first.are_too_many, second.are_too_many] == [False, False]
    first.add(MOST_UNREAD)
    assert [first.are_too_many, second.are_too_many] == [False, False]
    first.add(1)
    assert [first.are_too_many, second.are_too_many] == [True, False]


async def test_a_connection_waits_until_its_own_bodies_are_read() -> None:
    total = UnreadTotal()
    first, second = UnreadBytes(total), UnreadBytes(total)
    first.add(MOST_UNREAD)
    second.add(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.until_fewer)
        await wait_all_tasks_blocked()
        second.add(-9)
        await wait_all_tasks_blocked()
        assert nursery.child_tasks
        second.add(-1)
    assert total.count == MOST_UNREAD


async def test_a_connection_goes_on_when_others_have_read_half_of_everything() -> None:
    total = UnreadTotal()
    first, second = UnreadBytes(total), UnreadBytes(total)
    first.add(MOST_UNREAD)
    second.add(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.until_fewer)
        await wait_all_tasks_blocked()
        first.add(-MOST_UNREAD // 2)
        await wait_all_tasks_blocked()
        assert nursery.child_tasks
        first.add(-10)
    assert second.count == 10
