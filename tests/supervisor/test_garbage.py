"""Old garbage is collected now and then, and never because many objects are in use."""

import gc
import weakref
from collections.abc import Iterator

import pytest
import trio

from blue_green.supervisor import garbage
from tests.waiting import until


class Node:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _deferred() -> Iterator[None]:
    before = gc.get_threshold()
    garbage.defer_full_collections()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def full_collections() -> int:
    return int(gc.get_stats()[2]["collections"])


def test_many_objects_in_use_cause_no_full_collection() -> None:
    before = full_collections()
    objects = [[number] for number in range(300_000)]
    assert full_collections() == before
    assert objects


async def test_old_garbage_is_collected_at_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "INTERVAL", 0.01)
    monkeypatch.setattr(garbage, "DUE", 0)
    node = Node()
    gc.collect()  # It is old now.
    reference = weakref.ref(node)
    del node
    gc.collect(1)
    assert reference() is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(garbage.collect_now_and_then)
        await until("it is collected", lambda: reference() is None)
        nursery.cancel_scope.cancel()
