"""The gate, without network or processes: pure concurrency, on a mock clock."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from blue_green.routing.gate import Gate
from blue_green.routing.lease import Lease, Outcome, cut
from tests.support.arrivals import Arrivals, play
from tests.support.gates import a_gate, a_target, note


async def test_a_request_passes_at_once_when_something_is_live() -> None:
    gate, target = a_gate(), a_target()
    gate.switch([target])
    lease = await gate.acquire()
    assert lease.target is target
    assert lease.held == 0
    assert gate.tally.held == 0


async def test_the_gate_opens_only_when_every_holder_has_resumed() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        gate.switch([a_target()])
        gate.hold("pause")
        gate.hold("swap")
        await crowd.comes(1)
        gate.resume("swap")
        await wait_all_tasks_blocked()
        assert crowd.went == []
        gate.resume("pause")
        await wait_all_tasks_blocked()
        assert crowd.went == [1]

    await play(a_gate(), scenario)


async def test_held_requests_go_to_the_release_that_is_live_when_they_leave() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        old, new = a_target(1), a_target(2, "green")
        gate.switch([old])
        gate.hold("swap")
        await crowd.comes(1)
        gate.switch([new])
        gate.resume("swap")
        await wait_all_tasks_blocked()
        assert crowd.leases[1].target is new

    await play(a_gate(), scenario)


async def test_a_refusing_gate_refuses_waiting_and_new_requests() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(1, 2)
        gate.refuse("It keeps crashing.")
        await crowd.comes(3)
        assert sorted(crowd.refused) == [1, 2, 3]
        assert gate.why_down == "It keeps crashing."
        gate.hold("a pause")
        assert gate.why_down, "nothing that one could wait for comes after the pause"
        gate.resume("a pause")
        gate.stop_refusing()
        assert gate.why_down == ""
        await crowd.comes(4)
        gate.switch([a_target()])
        await wait_all_tasks_blocked()
        assert crowd.went == [4]

    await play(a_gate(), scenario)


async def test_a_refusing_gate_still_holds_requests_during_a_pause() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        gate.hold("pause")
        gate.refuse("It keeps crashing.")
        await crowd.comes(1)
        assert (crowd.refused, gate.held) == ([], 1)

    await play(a_gate(), scenario)


async def test_a_closed_gate_refuses_even_paused_requests() -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        gate.hold("pause")
        await crowd.comes(1)
        gate.close("Stopping.")
        await wait_all_tasks_blocked()
        gate.hold("pause")
        await crowd.comes(2)
        assert sorted(crowd.refused) == [1, 2]

    await play(a_gate(), scenario)


async def test_a_lease_goes_to_the_target_with_the_fewest_leases() -> None:
    gate, targets = a_gate(), [a_target(1), a_target(2), a_target(3)]
    gate.switch(targets)
    leases = [await gate.acquire() for _ in range(3)]
    assert {lease.target.address.port for lease in leases} == {1, 2, 3}
    leases[1].end(Outcome.RESPONDED)
    assert (await gate.acquire()).target is leases[1].target


async def test_a_request_that_failed_at_one_target_goes_to_another_if_there_is_one() -> None:
    gate, refuses, busy = a_gate(), a_target(1), a_target(2)
    gate.switch([refuses])
    assert (await gate.acquire(refuses)).target is refuses
    gate.switch([refuses, busy])
    leases = [await gate.acquire(refuses) for _ in range(3)]
    assert [lease.target for lease in leases] == [busy] * 3
    assert (await gate.acquire()).target is refuses, "it has fewer"


async def test_a_withdrawn_target_gets_no_lease() -> None:
    gate, old, new = a_gate(), a_target(1), a_target(2)
    gate.switch([old])
    gate.switch([new])
    assert old.lost.is_set()
    assert (await gate.acquire()).target is new
    gate.switch([old])
    assert not old.lost.is_set(), "it is live again"


async def test_the_tally_counts_what_happened_since() -> None:
    gate, target = a_gate(), a_target()
    gate.switch([target])
    (await gate.acquire()).end(Outcome.FAILED)
    before = gate.start_tally()
    for outcome in Outcome:
        (await gate.acquire()).end(outcome)
    numbers = gate.tally_since(before)
    assert (numbers.retried, numbers.failed, numbers.cut) == (1, 2, 1)


async def test_the_tally_includes_requests_held_at_its_start_and_at_its_end(
    autojump_clock: MockClock,
) -> None:
    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        await crowd.comes(1)
        await trio.sleep(3)
        start = gate.start_tally()
        await crowd.comes(2)
        await trio.sleep(1)
        numbers = gate.tally_since(start)
        assert numbers.held == 2
        assert numbers.longest_hold == pytest.approx(4)

    await play(a_gate(), scenario)


def test_only_leases_that_can_be_aborted_are_aborted() -> None:
    gate, target = a_gate(), a_target()
    called: list[int] = []
    one, other = Lease(gate, target, 0), Lease(gate, target, 0)
    sent_again = Lease(gate, target, 0)
    one.cut = lambda: note(called, 1)
    sent_again.cut = lambda: not note(called, 2)
    assert cut([one, other, sent_again]) == 1, "how many are lost"
    assert called == [1, 2]


async def test_the_site_hears_of_each_request_that_waits_and_leases_are_counted(
    autojump_clock: MockClock,
) -> None:
    heard: list[int] = []

    async def scenario(gate: Gate, crowd: Arrivals) -> None:
        gate.queue.on_wait = lambda: heard.append(gate.held)
        await crowd.comes(1)
        await crowd.comes(2)
        assert (heard, gate.leases_given) == ([1, 2], 0)
        gate.switch([a_target()])
        await wait_all_tasks_blocked()
        await crowd.comes(3)
        assert (heard, gate.leases_given) == ([1, 2], 3)

    await play(a_gate(), scenario)
