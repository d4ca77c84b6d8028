"""A trial at the gate: its requests get other targets than those that are live."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from blue_green.routing.lease import Lease, Outcome
from tests.support.gates import a_gate, a_target

LIVE, NEW = 1, 2


async def test_only_requests_of_the_trial_get_its_targets() -> None:
    gate, live, new = a_gate(), a_target(LIVE), a_target(NEW, "green")
    gate.switch([live])
    trial = gate.begin_trial([new])
    assert (await gate.acquire()).target is live
    assert (await gate.acquire(None, "", trial)).target is new
    assert gate.requests == 2


async def test_a_request_of_the_trial_prefers_a_target_that_has_not_failed_it() -> None:
    gate, one, two = a_gate(), a_target(NEW, "green"), a_target(3, "green")
    trial = gate.begin_trial([one, two])
    for avoid, other in ((one, two), (two, one)):
        assert (await gate.acquire(avoid, "", trial)).target is other


async def test_a_request_that_the_only_target_has_failed_gets_a_live_one() -> None:
    gate, live, new = a_gate(), a_target(LIVE), a_target(NEW, "green")
    trial = gate.begin_trial([new])
    assert (lease := gate.acquire_now(new, trial)) is not None
    assert lease.target is new, "nothing is live"
    gate.switch([live])
    assert (await gate.acquire(new, "", trial)).target is live
    assert (await gate.acquire(None, "", trial)).target is new


async def test_a_request_of_the_trial_does_not_wait_for_a_live_target(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gate, new = a_gate(timeout=5), a_target(NEW, "green")
    trial = gate.begin_trial([new])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.acquire)
        await wait_all_tasks_blocked()
        assert gate.acquire_now(None) is None
        assert gate.acquire_now(None, trial) is not None
        gate.switch([a_target(LIVE)])


async def test_a_held_gate_holds_requests_of_the_trial_and_then_gives_them_its_target() -> None:
    gate, live, new = a_gate(), a_target(LIVE), a_target(NEW, "green")
    gate.switch([live])
    trial = gate.begin_trial([new])
    gate.hold("pause")
    leases: list[Lease] = []

    async def come() -> None:
        leases.append(await gate.acquire(None, "", trial))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(come)
        await wait_all_tasks_blocked()
        assert gate.held == 1
        gate.resume("pause")
    assert leases[0].target is new


async def test_after_the_trial_its_requests_go_where_all_others_go() -> None:
    gate, live, new = a_gate(), a_target(LIVE), a_target(NEW, "green")
    gate.switch([live])
    trial = gate.begin_trial([new])
    lease = await gate.acquire(None, "", trial)
    gate.end_trial()
    assert new.lost.is_set()
    assert (await gate.acquire(None, "", trial)).target is live
    assert gate.requests == 2  # One more is still in flight.
    lease.end(Outcome.RESPONDED)
    gate.end_trial()


async def test_targets_that_go_live_are_not_lost_at_the_end_of_the_trial() -> None:
    gate, live, new = a_gate(), a_target(LIVE), a_target(NEW, "green")
    gate.switch([live])
    trial = gate.begin_trial([new])
    lease = await gate.acquire(None, "", trial)
    gate.switch([new])
    gate.end_trial()
    assert (new.lost.is_set(), live.lost.is_set(), gate.requests) == (False, True, 1)
    assert (await gate.acquire(new, "", trial)).target is new
    lease.end(Outcome.RESPONDED)


@pytest.mark.parametrize("is_live", [True, False])
async def test_there_may_be_another_trial_later(*, is_live: bool) -> None:
    gate = a_gate()
    gate.switch([a_target(LIVE)])
    old = gate.begin_trial([a_target(NEW)])
    if is_live:
        gate.switch(old.targets)
    gate.end_trial()
    new = gate.begin_trial([a_target(3)])
    assert (await gate.acquire(None, "", old)).target.address.port == (NEW if is_live else LIVE)
    assert (await gate.acquire(None, "", new)).target.address.port == 3
