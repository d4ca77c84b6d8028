"""Requests that wait at a gate, on a mock clock."""

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from blue_green.config.kinds import Count, Period
from blue_green.config.site_settings import HoldSettings
from blue_green.routing.gate import Gate
from blue_green.routing.lease import Outcome
from blue_green.routing.wait_queue import Refused
from tests.support.arrivals import Arrivals, play
from tests.support.gates import a_gate, a_target


async def test_one_client_has_no_more_than_its_share_however_its_requests_ended() -> None:
    gate = Gate(HoldSettings(Period(10), Count(6), Count(16), per_client=Count(2)))

    async def wait(owner: str) -> None:
        with suppress(Refused):
            await gate.acquire(None, owner)

    async with trio.open_nursery() as nursery:
        for owner in ("a", "a", "b"):
            nursery.start_soon(wait, owner)
        await wait_all_tasks_blocked()
        with pytest.raises(Refused, match="from your address"):
            await gate.acquire(None, "a")
        for owner in ("", "", ""):
            nursery.start_soon(wait, owner)
        await wait_all_tasks_blocked()
        assert gate.held == 6
        with pytest.raises(Refused, match=r"^Too many requests are waiting"):
            await gate.acquire(None, "c")
        nursery.cancel_scope.cancel()
    gate.switch([a_target()])
    for _ in range(3):
        (await gate.acquire(None, "a")).end(Outcome.RESPONDED)
    gate.switch([])
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(wait, "a")
        await wait_all_tasks_blocked()
        assert gate.held == 2
        nursery.cancel_scope.cancel()


async def test_requests_that_wait_can_be_checked_and_those_that_pass_keep_their_places() -> None:
    gate, went, ended = a_gate(), [], []

    async def wait(number: int) -> None:
        def check() -> None:
            if number % 2:
                raise KeyError(number)

        try:
            await gate.acquire(check=check)
        except KeyError:
            ended.append(number)
        else:
            went.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(wait, number)
            await wait_all_tasks_blocked()
        gate.queue.check_held()
        await wait_all_tasks_blocked()
        assert (sorted(ended), gate.held) == ([1, 3], 2)
        gate.switch([a_target()])
    assert went == [0, 2]


async def test_requests_wait_until_something_is_live_and_go_in_order() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(*range(50))
        assert (crowd.went, gate.held) == ([], 50)
        gate.switch([a_target()])
        await wait_all_tasks_blocked()
        assert crowd.went == list(range(50))

    await play(a_gate(ramp=100), scenario)


async def test_a_new_request_never_overtakes_waiting_ones() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(1, 2, 3)
        gate.switch([a_target()])
        await crowd.comes(4)
        await wait_all_tasks_blocked()
        assert crowd.went == [1]
        for number in (1, 2, 3):
            crowd.leases[number].end(Outcome.RESPONDED)
            await wait_all_tasks_blocked()
        assert crowd.went == [1, 2, 3, 4]

    await play(a_gate(ramp=1), scenario)


async def test_at_most_ramp_requests_go_at_first_and_one_more_per_response() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(*range(10))
        gate.switch([a_target()])
        await wait_all_tasks_blocked()
        assert crowd.went == [0, 1, 2]
        crowd.leases[0].begin_response(200)
        await wait_all_tasks_blocked()
        assert crowd.went == [0, 1, 2, 3]
        crowd.leases[0].end(Outcome.RESPONDED)
        await wait_all_tasks_blocked()
        assert crowd.went == [0, 1, 2, 3], "a lease lets one go, not two"

    await play(a_gate(ramp=3), scenario)


async def test_slow_requests_do_not_delay_the_others(autojump_clock: MockClock) -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        crowd.nursery.start_soon(gate.queue.keep_ramping)
        await crowd.comes(*range(10))
        gate.switch([a_target()])
        await trio.sleep(0.5)
        assert len(crowd.went) == 4
        await trio.sleep(1)
        assert len(crowd.went) == 8
        await trio.sleep(1)
        assert crowd.went == list(range(10))

    await play(a_gate(ramp=4), scenario)


@pytest.mark.parametrize("who", [0, 1, 2], ids=["the first", "one inside", "the last"])
async def test_a_cancelled_request_leaves_the_queue_in_order(who: int) -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(0, 1, 2)
        crowd.scopes[who].cancel()
        await wait_all_tasks_blocked()
        assert gate.held == 2
        gate.switch([a_target()])
        await wait_all_tasks_blocked()
        assert crowd.went == [number for number in range(3) if number != who]

    await play(a_gate(), scenario)


async def test_a_request_cancelled_at_its_turn_passes_it_on() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(0, 1)
        crowd.scopes[0].cancel()
        gate.switch([a_target()])
        await wait_all_tasks_blocked()
        assert crowd.went[-1] == 1
        assert gate.held == 0

    await play(a_gate(ramp=1), scenario)


async def test_a_gate_that_closes_while_requests_leave_keeps_the_rest_in_order() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(*range(6))
        gate.switch([a_target()])
        gate.hold("pause")
        await wait_all_tasks_blocked()
        assert crowd.went == []
        gate.resume("pause")
        await wait_all_tasks_blocked()
        assert crowd.went == list(range(6))

    await play(a_gate(), scenario)


async def test_one_more_than_the_limit_is_refused_at_once() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(1, 2, 3)
        assert (crowd.refused, gate.held) == ([3], 2)

    await play(a_gate(limit=2), scenario)


async def test_a_request_that_waited_too_long_is_refused(autojump_clock: MockClock) -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(1)
        await trio.sleep(4)
        await crowd.comes(2)
        await trio.sleep(2)
        assert crowd.refused == [1]
        gate.switch([a_target()])
        await wait_all_tasks_blocked()
        assert crowd.went == [2]
        assert crowd.leases[2].held == pytest.approx(2)
        assert gate.tally.longest_hold == pytest.approx(5)

    await play(a_gate(timeout=5), scenario)


async def test_held_requests_can_be_refused_although_something_is_live() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        gate.switch([a_target()])
        gate.hold("pause")
        await crowd.comes(1, 2)
        gate.close("The site was removed.")
        gate.queue.refuse_held("The site was removed.")
        await wait_all_tasks_blocked()
        assert (sorted(crowd.refused), crowd.went) == ([1, 2], [])
        await crowd.comes(3)
        assert crowd.went == [3]

    await play(a_gate(), scenario)


async def test_no_request_times_out_while_a_patient_holder_holds(autojump_clock: MockClock) -> None:
    """Nor for as long afterwards as one may wait: those that came first are let go first."""

    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(1)  # Nothing is live, and it has waited for most of its time.
        await trio.sleep(29)
        gate.hold("swap", stops_timeouts=True)
        await crowd.comes(2)
        await trio.sleep(500)
        assert crowd.refused == []
        gate.resume("swap")
        await trio.sleep(29)
        assert crowd.refused == []
        await trio.sleep(2)
        assert sorted(crowd.refused) == [1, 2]

    await play(a_gate(timeout=30), scenario)


async def test_timeouts_run_again_when_the_last_patient_holder_has_resumed(
    autojump_clock: MockClock,
) -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        target = a_target()
        gate.switch([target])
        gate.hold("pause")
        gate.hold("swap", stops_timeouts=True)
        await crowd.comes(1)
        await trio.sleep(100)
        gate.resume("swap")
        await trio.sleep(31)
        assert crowd.refused == [1], "a pause is no patient holder"
        gate.resume("pause")
        await crowd.comes(2)
        assert crowd.went == [2]

    await play(a_gate(timeout=30), scenario)
