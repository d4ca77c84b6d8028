"""When somebody last used a site, as it is noticed by looking now and then."""

import os
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from blue_green.routing.lease import Outcome
from blue_green.routing.wait_queue import Refused
from blue_green.site.last_use import LastUse
from blue_green.site.site import Site
from tests.support.gates import a_target
from tests.support.site_parts import make_single


def a_site(directory: Path) -> Site:
    [site] = make_single(directory / "state", directory)
    return site


async def test_a_request_counts_as_long_as_it_is_in_flight(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    site = a_site(tmp_path)
    use = LastUse(site)
    await trio.sleep(100)
    assert use.seconds_ago() == 100
    site.gate.switch([a_target()])
    lease = await site.gate.acquire()
    await trio.sleep(100)
    assert use.seconds_ago() == 0
    lease.end(Outcome.RESPONDED)
    await trio.sleep(7)
    assert use.seconds_ago() == 7


async def test_a_request_that_came_and_went_between_two_looks_is_noticed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    site = a_site(tmp_path)
    use = LastUse(site)
    site.gate.switch([a_target()])
    await trio.sleep(100)
    (await site.gate.acquire()).end(Outcome.ABORTED)
    site.gate.switch([])
    assert use.seconds_ago() == 0
    await trio.sleep(5)
    assert use.seconds_ago() == 5


async def test_a_request_that_waits_counts_and_one_that_is_refused_does_not(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    site = a_site(tmp_path)
    use = LastUse(site)
    await trio.sleep(100)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.gate.acquire)
        await wait_all_tasks_blocked()
        assert use.seconds_ago() == 0
        nursery.cancel_scope.cancel()
    await trio.sleep(100)
    site.gate.refuse("It is down.")
    with pytest.raises(Refused):
        await site.gate.acquire()
    assert use.seconds_ago() == 100


async def test_a_stream_and_a_command_count(tmp_path: Path, autojump_clock: MockClock) -> None:
    site = a_site(tmp_path)
    use = LastUse(site)
    site.gate.switch([a_target()])
    lease = await site.gate.acquire()
    lease.begin_response(200)
    lease.become_stream()
    await trio.sleep(100)
    assert use.seconds_ago() == 0
    lease.end(Outcome.RESPONDED)
    site.exec_sessions.add(os.getpid(), Path("/"))
    await trio.sleep(100)
    assert use.seconds_ago() == 0
