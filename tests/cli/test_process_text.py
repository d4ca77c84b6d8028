"""Processes in the status of a site, and below its line in the list of sites."""

from datetime import UTC, datetime, timedelta
from typing import Any

from blue_green.cli import display, moments, site_list
from blue_green.cli.rows import MARGIN
from blue_green.cli.terminal import Style
from tests.support.answers import status

WIDE = Style(width=160)


def ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


def _instance(state: str = "running", **more: Any) -> dict[str, Any]:
    pid = None if state in ("waiting", "restarting") else 123
    since = ago(200) if pid else None
    return {"number": 1, "state": state, "pid": pid, "since": since, "deaths": 0, **more}


def _process(name: str, *instances: dict[str, Any], **more: Any) -> dict[str, Any]:
    known = {"schedule": None, "next_run": None, "last_run": None, "restarts": 0}
    return {"name": name, "instances": list(instances), **known, **more}


def _shown(*processes: dict[str, Any]) -> list[str]:
    result = status(processes=list(processes))
    lines = display.status(result, WIDE)
    first = next(at for at, line in enumerate(lines) if line.strip().startswith("processes"))
    ours = [lines[first].replace("processes", " " * 9)]
    for line in lines[first + 1 :]:
        if not line.startswith(" " * MARGIN):
            break
        ours.append(line)
    return [line.strip() for line in ours]


def test_the_instances_of_a_process_are_counted_by_their_state() -> None:
    three = [_instance(), _instance(pid=124), _instance("stopping", pid=99)]
    assert _shown(_process("worker", *three), _process("clock", _instance())) == [
        "worker: 2 running (pids 123, 124) for 3 min, 1 stopping (pid 99)",
        "clock: running (pid 123) for 3 min",
    ]


def test_a_process_that_keeps_failing_is_shown_with_its_problem() -> None:
    failing = _process("worker", _instance("restarting", deaths=4), restarts=7)
    assert _shown(failing) == ["worker: restarting, restarted 7 times, ended 4 times in a row"]


def test_a_schedule_is_shown_with_its_last_and_its_next_run() -> None:
    following, at = (datetime.now(UTC) + timedelta(hours=1)).isoformat(), ago(3600)
    last = {"at": at, "seconds": 3.21, "outcome": "failed", "reason": "ended with exit status 1"}
    job = _process("job", _instance("waiting"), schedule="0 3 * * *", next_run=following)
    next_run = f"next run {moments.local_time(following)}"
    assert _shown(job) == [f"job: {next_run}"]
    assert _shown({**job, "last_run": {**last, "outcome": "ok"}}) == [
        f"job: {next_run}, last run {moments.local_time(at)} took 3.2 s"
    ]
    assert _shown({**job, "last_run": last}) == [
        f"job: {next_run}, last run {moments.local_time(at)} took 3.2 s, "
        "failed: ended with exit status 1"
    ]


def test_a_run_that_goes_on_is_shown_without_an_end() -> None:
    last = {"at": ago(5), "seconds": None, "outcome": None, "reason": ""}
    job = _process("job", _instance(), schedule="0 3 * * *", last_run=last)
    assert _shown(job) == ["job: running (pid 123) for 3 min, no next run"]


def test_many_processes_are_listed_up_to_a_limit() -> None:
    lines = _shown(*[_process(f"p{number}", _instance()) for number in range(30)])
    assert lines[-1] == "and 10 more: see blue-green status --json"
    assert len(lines) == 21


def test_the_list_of_sites_says_what_is_wrong_with_processes() -> None:
    problem = "the last run of process job has failed: ended with exit status 1"
    blog = status(process_problems=[problem])
    result = {"sites": {"blog": blog}, "supervisor": blog["supervisor"]}
    assert any(problem in line for line in site_list.status(result, WIDE))
