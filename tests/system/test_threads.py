"""What blocks runs in threads, and each site has a limit of its own."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest
import trio

from blue_green.system import threads


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """What keeps a thread until the end of the test, like a file system that hangs."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_site_without_threads_affects_no_other_one(hanging: threading.Event) -> None:
    hang = partial(threads.run, hanging.wait, abandon_on_cancel=True)
    with threads.limited_by(threads.of_site()):
        with trio.move_on_after(0.1):
            async with trio.open_nursery() as nursery:
                for _ in range(threads.MAX_OF_SITE):
                    nursery.start_soon(hang)
        with trio.move_on_after(0.1) as waiting:
            await threads.run(int)
        assert waiting.cancelled_caught, "the threads are still there, though nobody waits for them"
    with threads.limited_by(threads.of_site()):
        assert await threads.run(int, "7") == 7
    assert await threads.run(int, "7") == 7
