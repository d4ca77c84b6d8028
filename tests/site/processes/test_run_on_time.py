"""Processes with a schedule run on time, one at a time, whatever happens meanwhile."""

import logging
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from blue_green.config.kinds import Period, Seconds
from blue_green.config.release_kinds import Schedule
from blue_green.site.processes.generation import Generation
from blue_green.site.scheduled_run import FailedRun, ScheduledRun
from blue_green.site.site import Site
from blue_green.source.failure import StepFailed
from tests.support.fake_processes import FakeProcesses, generation, make_site, process

BEGIN = datetime(2026, 7, 10, 12, 0, tzinfo=UTC)
MINUTE = 60.0
STOP_TIMEOUT = 20.0
EVERY_TEN_MINUTES = evolve(
    process(), schedule=Schedule("*/10 * * * *"), stop_timeout=Seconds(STOP_TIMEOUT)
)


def clock() -> datetime:
    return BEGIN + timedelta(seconds=trio.current_time())


def on_clock(site: Site) -> Site:
    site.schedules.clock = clock
    return site


@pytest.fixture(name="site")
def site_on_clock(site: Site) -> Site:
    return on_clock(site)


@pytest.fixture
def reports(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[FailedRun]:
    reports: list[FailedRun] = []
    monkeypatch.setattr(site.notify, "report_failed_run", reports.append)
    return reports


@pytest.fixture
def job(tmp_path: Path) -> Generation:
    return generation(tmp_path, job=EVERY_TEN_MINUTES)


async def _until(minutes: float) -> None:
    """Wait until this time on the clock, and a little longer."""
    await trio.sleep_until(minutes * MINUTE + 1)


def _last(site: Site) -> ScheduledRun:
    last = site.schedules.last_run("job")
    assert last is not None
    return last


async def test_it_runs_at_each_time_and_not_with_the_switch(
    site: Site, fakes: FakeProcesses, job: Generation, autojump_clock: MockClock
) -> None:
    site.processes.use(job)
    await _until(9)
    assert fakes.started == []
    for minutes in (10, 20, 30):
        await _until(minutes)
        (run,) = fakes.running
        run.finish()
    assert len(fakes.started) == 3
    await _until(31)
    assert _last(site).outcome == "ok"
    assert _last(site).seconds == pytest.approx(1, abs=0.1)
    assert site.schedules.next_time("job") == BEGIN + timedelta(minutes=40)


async def test_times_that_come_while_it_runs_are_skipped_and_logged(
    site: Site,
    fakes: FakeProcesses,
    job: Generation,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    site.processes.use(job)
    await _until(35)
    (run,) = fakes.running
    skipped = [text for text in caplog.messages if "skipped" in text]
    assert len(skipped) == 2
    assert skipped[0].startswith("process job: skipped the run of 2026-07-10 ")
    run.finish()
    await _until(41)
    assert len(fakes.started) == 2


async def test_a_failed_run_is_reported_and_neither_repeated_nor_held_against_the_release(
    site: Site,
    fakes: FakeProcesses,
    job: Generation,
    reports: list[FailedRun],
    autojump_clock: MockClock,
) -> None:
    site.processes.use(job)
    await _until(10)
    fakes.running[0].die()
    await _until(19)
    assert len(fakes.started) == 1
    assert not job.failed.is_set()
    assert reports == [
        FailedRun("job", "a" * 40, "ended with exit status 3", ("job 1 says goodbye",))
    ]
    assert (_last(site).outcome, _last(site).reason) == ("failed", "ended with exit status 3")


async def test_a_program_that_cannot_be_started_is_a_failed_run(
    site: Site,
    fakes: FakeProcesses,
    job: Generation,
    reports: list[FailedRun],
    autojump_clock: MockClock,
) -> None:
    fakes.failure = StepFailed("cannot start work: no such file")
    site.processes.use(job)
    await _until(20)
    assert [report.reason for report in reports] == ["cannot start work: no such file"] * 2


async def test_a_run_that_takes_longer_than_its_timeout_is_stopped(
    site: Site,
    fakes: FakeProcesses,
    tmp_path: Path,
    reports: list[FailedRun],
    autojump_clock: MockClock,
) -> None:
    limited = evolve(EVERY_TEN_MINUTES, timeout=Period(5 * MINUTE))
    site.processes.use(generation(tmp_path, job=limited))
    await _until(14)
    assert not fakes.running[0].is_stopping
    await _until(16)
    assert fakes.running == []
    (report,) = reports
    assert report.reason == "stopped: it took longer than its timeout, 300 s"
    await _until(20)
    assert len(fakes.running) == 1


async def test_after_a_switch_the_run_of_the_old_release_may_finish(
    site: Site, fakes: FakeProcesses, job: Generation, tmp_path: Path, autojump_clock: MockClock
) -> None:
    site.processes.use(job)
    await _until(10)
    (old,) = fakes.running
    new = generation(tmp_path, job=EVERY_TEN_MINUTES)
    site.processes.use(new)
    await trio.sleep(STOP_TIMEOUT - 1)
    assert not old.is_stopping
    assert site.processes.release_paths
    old.finish()
    await _until(20)
    assert _last(site).is_running
    assert [run.generation for run in fakes.started] == [job, new]


async def test_a_run_of_the_old_release_that_does_not_finish_in_time_is_stopped(
    *,
    site: Site,
    fakes: FakeProcesses,
    job: Generation,
    tmp_path: Path,
    reports: list[FailedRun],
    autojump_clock: MockClock,
) -> None:
    site.processes.use(job)
    await _until(10)
    (old,) = fakes.running
    for _ in range(3):  # A further switch does not give it more time.
        site.processes.use(generation(tmp_path, job=EVERY_TEN_MINUTES))
        await trio.sleep(STOP_TIMEOUT / 3 + 1)
    assert old.is_stopping
    assert (_last(site).outcome, _last(site).reason) == (
        "stopped",
        "it was stopped with its release",
    )
    assert reports == []


async def test_when_all_processes_are_stopped_a_run_is_stopped_at_once(
    site: Site, fakes: FakeProcesses, job: Generation, tmp_path: Path, autojump_clock: MockClock
) -> None:
    site.processes.use(job)
    await _until(10)
    site.processes.use(generation(tmp_path, job=EVERY_TEN_MINUTES))
    (old,) = fakes.running
    await trio.sleep(1)
    await site.processes.stop()
    assert old.is_stopping
    assert fakes.running == []
    assert _last(site).outcome == "stopped"


async def test_a_time_that_comes_between_two_releases_runs_in_the_next_one(
    site: Site, fakes: FakeProcesses, job: Generation, tmp_path: Path, autojump_clock: MockClock
) -> None:
    site.processes.use(job)
    await _until(9)
    await site.processes.stop()
    await _until(11)
    new = generation(tmp_path, job=EVERY_TEN_MINUTES)
    site.processes.use(new)
    await trio.sleep(1)
    assert [run.generation for run in fakes.running] == [new]


async def test_a_process_that_comes_back_after_some_releases_has_missed_nothing(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    hourly = evolve(EVERY_TEN_MINUTES, schedule=Schedule("0 * * * *"))
    site.processes.use(generation(tmp_path, job=hourly))
    await _until(1)
    site.processes.use(generation(tmp_path))
    await _until(75)
    site.processes.use(generation(tmp_path, job=hourly))
    await _until(119)
    assert fakes.started == []
    await _until(120)
    assert len(fakes.started) == 1


async def test_nothing_is_started_while_the_site_is_stopping(
    site: Site, fakes: FakeProcesses, job: Generation, autojump_clock: MockClock
) -> None:
    site.processes.use(job)
    await _until(5)
    site.is_stopping = True
    await _until(30)
    assert fakes.started == []
    await site.processes.stop()


async def test_it_never_makes_a_swap_wait_for_its_first_run(
    site: Site, job: Generation, autojump_clock: MockClock
) -> None:
    site.processes.use(job)
    assert not site.processes.are_handing_over
    assert await site.processes.until_started() == -math.inf


@pytest.mark.parametrize(
    ("ago", "runs"),
    [(timedelta(minutes=3), 1), (timedelta(days=1), 1), (timedelta(0), 0)],
)
async def test_after_a_restart_a_time_that_was_missed_just_now_is_made_up_for(
    *,
    site: Site,
    fakes: FakeProcesses,
    job: Generation,
    ago: timedelta,
    runs: int,
    autojump_clock: MockClock,
) -> None:
    await _until(11)
    passed = clock() - ago
    site.state.schedules["job"] = ScheduledRun("*/10 * * * *", passed.timestamp())
    site.processes.use(job)
    await trio.sleep(1)
    assert len(fakes.started) == runs


async def test_after_a_restart_a_time_that_was_missed_long_ago_is_not_made_up_for(
    site: Site, fakes: FakeProcesses, tmp_path: Path, autojump_clock: MockClock
) -> None:
    await _until(15)
    hourly = evolve(EVERY_TEN_MINUTES, schedule=Schedule("0 * * * *"))
    yesterday = BEGIN - timedelta(days=1)
    site.state.schedules["job"] = ScheduledRun("0 * * * *", yesterday.timestamp())
    site.processes.use(generation(tmp_path, job=hourly))
    await _until(59)
    assert fakes.started == []


async def test_a_new_schedule_does_not_make_up_for_times_before_it(
    site: Site, fakes: FakeProcesses, job: Generation, autojump_clock: MockClock
) -> None:
    await _until(11)
    site.state.schedules["job"] = ScheduledRun("0 3 * * *", BEGIN.timestamp())
    site.processes.use(job)
    await _until(19)
    assert fakes.started == []


async def test_a_run_that_a_restart_has_ended_is_shown_as_stopped(
    site: Site, job: Generation, autojump_clock: MockClock
) -> None:
    record = ScheduledRun("*/10 * * * *", BEGIN.timestamp())
    record.begin("b" * 40, BEGIN)
    site.state.schedules["job"] = record
    site.processes.use(job)
    await trio.sleep(1)
    assert (_last(site).outcome, _last(site).reason) == ("stopped", "the supervisor was stopped")


async def test_a_clock_that_is_set_forward_runs_missed_times_once(
    site: Site, fakes: FakeProcesses, job: Generation, autojump_clock: MockClock
) -> None:
    site.processes.use(job)
    await _until(1)
    site.schedules.clock = lambda: clock() + timedelta(days=2)
    await trio.sleep(20)  # The clock is read in between.
    (run,) = fakes.started
    run.finish()
    await trio.sleep(5 * MINUTE)
    assert len(fakes.started) == 1


Step = tuple[str, float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["switch", "stop", "finish", "wait", "forward", "back"]),
        st.floats(0, 900),
    ),
    max_size=12,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_two_runs_are_never_on_their_way_at_once(
    steps: list[Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logging.disable()
    fakes = FakeProcesses()
    fakes.install(monkeypatch)
    trio.run(_play, steps, tmp_path, fakes, clock=MockClock(autojump_threshold=0))
    logging.disable(logging.NOTSET)


async def _play(steps: list[Step], directory: Path, fakes: FakeProcesses) -> None:
    site = make_site(directory)
    shift = timedelta(0)
    site.schedules.clock = lambda: clock() + shift
    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.slots.run)
        for what, seconds in steps:
            if what == "switch":
                site.processes.use(generation(directory, job=EVERY_TEN_MINUTES))
            elif what == "stop":
                site.processes.use(None)
            elif what == "forward":
                shift += timedelta(seconds=seconds * 10)
            elif what == "back":
                shift -= timedelta(seconds=seconds * 10)
            else:
                for run in fakes.running if what == "finish" else ():
                    run.finish()
            await trio.sleep(seconds)
            assert len(fakes.running) <= 1
        await site.processes.stop()
        assert fakes.running == []
        nursery.cancel_scope.cancel()
