"""Which processes run, whatever happens in which order."""

import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from blue_green.config.app_process_settings import AppProcessSettings
from blue_green.config.kinds import Argv, Seconds
from blue_green.site.crash import LONGEST_DELAY, SHORTEST_LIFE, STABLE, Crash
from blue_green.site.processes.app_instance import AppInstance
from blue_green.site.processes.app_process import AppProcess
from blue_green.site.processes.generation import Generation
from blue_green.site.processes.restart_pace import MOST_IN_A_SECOND
from blue_green.site.site import Site
from blue_green.source.failure import StepFailed
from tests.support.fake_processes import FakeProcesses, generation, make_site, process
from tests.waiting import PATIENCE

LONG = 120.0
"""Seconds in which everything settles."""


def use(site: Site, generation: Generation | None, *, supervised: bool = True) -> None:
    site.processes.use(generation)
    if supervised:
        site.processes.supervise()


async def test_all_instances_start_with_the_switch(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    use(site, generation(tmp_path, worker=process(count=2), clock=process()))
    await wait_all_tasks_blocked()
    started = [(one.name, one.number) for one in fakes.running]
    assert sorted(started) == [("clock", 1), ("worker", 1), ("worker", 2)]


async def test_a_release_that_goes_live_while_all_sleep_starts_all(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    live = generation(tmp_path, worker=process(count=2))
    use(site, live)
    site.slots.blue.release = live.release
    site.processes.sleep()
    await trio.sleep(LONG)
    assert fakes.running == []
    site.slots.go_live(site.slots.blue, keeps_processes=True)
    await wait_all_tasks_blocked()
    assert len(fakes.running) == 2


async def test_the_end_of_all_sleep_starts_them(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    live = generation(tmp_path, worker=process())
    use(site, live)
    site.slots.blue.release = live.release
    site.slots.go_live(site.slots.blue, keeps_processes=True, asleep=True)
    site.processes.sleep()
    await trio.sleep(LONG)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.sleep.run)
        await wait_all_tasks_blocked()
        assert site.sleep.is_awake
        assert [one.name for one in fakes.running] == ["worker"]
        nursery.cancel_scope.cancel()


async def test_a_restart_brings_all_instances_back(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    use(site, generation(tmp_path, worker=process(count=2)))
    await wait_all_tasks_blocked()
    site.processes.instances[0].stop()
    await trio.sleep(LONG)
    assert [one.number for one in site.processes.restart("worker")] == [1, 2]
    await trio.sleep(LONG)
    assert sorted(one.number for one in fakes.running) == [1, 2]


async def test_exclusive_ones_wait_until_all_older_ones_have_ended(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    fakes.takes = 30
    old, new = (generation(tmp_path, worker=process(count=2)) for _ in range(2))
    use(site, old)
    await wait_all_tasks_blocked()
    fakes.running[1].takes = 10
    use(site, new)
    assert site.processes.are_handing_over
    await trio.sleep(29)
    assert [one.generation for one in fakes.running] == [old]
    began = trio.current_time()
    assert await site.processes.until_started() == pytest.approx(began + 1, abs=0.5)
    assert [one.generation for one in fakes.running] == [new, new]
    assert not site.processes.are_handing_over


async def test_overlapping_ones_start_while_older_ones_finish_their_work(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    fakes.takes = 30
    old, new = (generation(tmp_path, worker=process(handover="overlap")) for _ in range(2))
    use(site, old)
    await wait_all_tasks_blocked()
    use(site, new)
    assert not site.processes.are_handing_over
    await wait_all_tasks_blocked()
    assert [(one.generation, one.is_stopping) for one in fakes.running] == [
        (old, True),
        (new, False),
    ]
    await trio.sleep(31)
    assert [one.generation for one in fakes.running] == [new]


async def test_a_revert_before_the_new_ones_have_started_starts_the_old_ones_again(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    fakes.takes = 30
    old, new, again = (generation(tmp_path, worker=process()) for _ in range(3))
    use(site, old)
    await wait_all_tasks_blocked()
    use(site, new)
    await trio.sleep(5)
    use(site, again)
    await trio.sleep(LONG)
    assert [one.generation for one in fakes.started] == [old, again]
    assert [one.generation for one in fakes.running] == [again]


async def test_a_name_that_is_gone_is_stopped_and_a_new_one_is_started_at_once(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    use(site, generation(tmp_path, old=process()))
    await wait_all_tasks_blocked()
    use(site, generation(tmp_path, new=process()))
    await wait_all_tasks_blocked()
    assert [one.is_stopping for one in fakes.named("old")] == [True]
    assert [one.is_stopping for one in fakes.named("new")] == [False]
    await trio.sleep(2)
    assert not fakes.named("old")


async def test_one_that_ends_is_restarted_with_growing_delays(
    site: Site,
    fakes: FakeProcesses,
    tmp_path: Path,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crashes: list[Crash] = []
    monkeypatch.setattr(site, "report_crash", crashes.append)
    use(site, generation(tmp_path, worker=process()))
    began = []
    for _ in range(12):
        await site.processes.until_started()
        [running] = fakes.running
        began.append(trio.current_time())
        running.die()
        fakes.next_start = trio.Event()
        await fakes.next_start.wait()
    delays = [after - before for before, after in pairwise(began)]
    expected = [SHORTEST_LIFE, SHORTEST_LIFE, 0.5, 1, 2, 4, 8, 16]
    expected += [LONGEST_DELAY] * (len(delays) - len(expected))
    assert delays == pytest.approx(expected, abs=0.02)
    assert crashes[0].process == "worker"
    assert crashes[0].reason == "process worker ended with exit status 3"
    assert crashes[0].output == ("worker 1 says goodbye",)
    await trio.sleep(STABLE + 1)
    fakes.running[0].die()
    await wait_all_tasks_blocked()
    assert fakes.running, "after a long life it is restarted at once"
    assert crashes[-1].deaths == 1


async def test_instances_that_die_at_once_are_restarted_a_few_at_a_time(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    use(site, generation(tmp_path, other=process(), worker=process(count=100)))
    await site.processes.until_started()
    for _ in range(10):
        before = len(fakes.started)
        for each in fakes.running:
            each.die()
        await trio.sleep(1)
        assert len(fakes.started) - before <= MOST_IN_A_SECOND + 2, "and at most two of the other"
    await trio.sleep(LONG)
    assert len(fakes.named("worker")) == 100


async def test_the_first_failure_of_a_release_that_has_not_proved_itself_is_kept_for_the_swap(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    new = generation(tmp_path, worker=process(count=2))
    use(site, new, supervised=False)
    await wait_all_tasks_blocked()
    assert not site.processes.have_failed
    for one in sorted(fakes.running, key=lambda one: one.number):
        one.die()
        await trio.sleep(LONG)
    assert str(new.failure) == "process worker.1 ended with exit status 3"
    assert new.failure
    assert new.failure.output == ("worker 1 says goodbye",)
    assert len(fakes.started) == 2
    site.processes.supervise()
    await trio.sleep(1)
    assert len(fakes.running) == 2, "if the swap ends well all the same, they are started again"


async def test_one_that_cannot_be_started_fails_the_swap(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    fakes.failure = StepFailed("process worker: cannot start work: No such file")
    new = generation(tmp_path, worker=process())
    use(site, new, supervised=False)
    await new.failed.wait()
    assert new.failure is fakes.failure


async def test_nothing_starts_while_the_site_stops(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    fakes.takes = 30
    old, new = (generation(tmp_path, worker=process()) for _ in range(2))
    use(site, old)
    await wait_all_tasks_blocked()
    use(site, new)
    site.is_stopping = True
    await trio.sleep(LONG)
    assert not fakes.running
    use(site, old)
    await trio.sleep(LONG)
    assert len(fakes.started) == 1
    await site.processes.stop()
    assert not site.processes.instances


async def test_a_stop_waits_for_those_of_all_generations(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    fakes.takes = 30
    use(site, generation(tmp_path, worker=process(handover="overlap")))
    await wait_all_tasks_blocked()
    fakes.takes = 5
    use(site, generation(tmp_path, worker=process(handover="overlap")))
    await wait_all_tasks_blocked()
    began = trio.current_time()
    await site.processes.stop()
    assert trio.current_time() - began == pytest.approx(30, abs=0.5)
    assert not fakes.running


async def test_one_that_has_just_been_started_ends_with_a_site_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real one: nothing may wait for it that has itself been cancelled."""
    site, site_scope = make_site(tmp_path), trio.CancelScope()
    started: list[AppProcess] = []

    def note_start(instance: AppInstance) -> None:
        assert instance.process is not None
        started.append(instance.process)
        site_scope.cancel()

    monkeypatch.setattr(site.processes, "note_start", note_start)
    command = Argv(("sleep", "600"))
    use(site, generation(tmp_path, worker=AppProcessSettings(command, stop_timeout=Seconds(60))))
    with trio.fail_after(PATIENCE), site_scope:
        await site.slots.run()
    [one] = started
    assert one.gone.is_set()
    assert one.process.returncode in (-signal.SIGTERM, -signal.SIGKILL)


NAMES = st.sampled_from(["worker", "clock", "mail"])
PROCESSES = st.dictionaries(
    NAMES,
    st.builds(
        process,
        count=st.integers(1, 3),
        handover=st.sampled_from(["exclusive", "overlap"]),
    ),
)
EVENTS = st.one_of(
    st.tuples(st.just("use"), PROCESSES),
    st.tuples(st.just("again"), st.integers(0, 5)),
    st.tuples(st.just("die"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.05, 0.5, 3.0, 20.0, 60.0])),
    st.tuples(st.just("takes"), st.sampled_from([0.0, 1.0, 30.0])),
    st.tuples(st.just("preparing"), st.sampled_from([0.0, 0.2])),
    st.tuples(st.just("failure"), st.sampled_from([None, StepFailed("it cannot start")])),
    st.tuples(st.just("restart"), NAMES),
    st.tuples(st.sampled_from(["stop", "supervise", "upgrade"]), st.none()),
)


class Play:
    """Processes of a site, to which one event after the other happens."""

    def __init__(self, directory: Path, fakes: FakeProcesses, nursery: trio.Nursery) -> None:
        self.directory = directory
        self.fakes = fakes
        self.used: list[Generation] = []
        self._nursery = nursery
        self._begin()

    def _begin(self) -> None:
        self.site, self._scope = make_site(self.directory), trio.CancelScope()
        self._nursery.start_soon(self._run, self.site, self._scope)

    async def _run(self, site: Site, scope: trio.CancelScope) -> None:
        with scope:
            await site.slots.run()

    async def happen(self, event: str, value: Any) -> None:
        fakes, processes = self.fakes, self.site.processes
        if event == "use":
            self.used.append(generation(self.directory, **value))
            processes.use(self.used[-1])
        elif event == "again" and self.used:
            before = self.used[value % len(self.used)]
            self.used.append(Generation("green", before.release, before.settings))
            processes.use(self.used[-1])
        elif event == "die" and fakes.running:
            fakes.running[value % len(fakes.running)].die()
        elif event == "wait":
            await trio.sleep(value)
        elif event == "upgrade":
            self._upgrade()
        elif event == "stop":
            processes.use(None)
        elif event == "restart":
            processes.restart(value)
        elif event == "supervise":
            processes.supervise()
        elif event in ("takes", "preparing", "failure"):
            setattr(fakes, event, value)

    def _upgrade(self) -> None:
        """All that this program knows is lost, but for what it hands over."""
        before = self.site.processes
        handed = self.fakes.hand_over(before.instances)
        self._scope.cancel()
        self._begin()
        self.site.processes.take_over(handed)
        self.site.processes.use(before.generation)

    def expected(self) -> list[tuple[Generation, str, int]]:
        wanted = self.site.processes.generation
        return [
            (wanted, name, number)
            for name, config in (wanted.settings.processes.items() if wanted else ())
            for number in range(1, config.count + 1)
            if wanted
        ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(events=st.lists(EVENTS, max_size=25))
def test_never_two_releases_of_an_exclusive_one_and_always_all_when_settled(
    events: list[tuple[str, Any]], tmp_path: Path
) -> None:
    """`FakeProcesses.start` checks the first."""

    async def main() -> None:
        fakes = FakeProcesses()
        with pytest.MonkeyPatch.context() as patch:
            fakes.install(patch)
            async with trio.open_nursery() as nursery:
                play = Play(tmp_path, fakes, nursery)
                for event, value in events:
                    await play.happen(event, value)
                fakes.failure = None
                play.site.processes.supervise()
                await trio.sleep(LONG)
                running = [(one.generation, one.name, one.number) for one in fakes.running]
                assert sorted(running, key=str) == sorted(play.expected(), key=str)
                await play.site.processes.stop()
                assert not fakes.running
                nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
