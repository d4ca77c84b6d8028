"""Settings of a process that are each well-formed can be wrong together."""

from pathlib import Path

import pytest

from blue_green.config.kinds import Period
from tests.support.settings import load, problems

DAILY = 'schedule = "@daily"'


def _process(more: str, name: str = "job", command: str = "job") -> str:
    return f'[processes.{name}]\ncommand = ["{command}"]\n{more}'


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (_process(f"{DAILY}\ncount = 2"), "[processes.job] count: must be 1 with schedule"),
        (
            _process(f'{DAILY}\nhandover = "overlap"'),
            '[processes.job] handover: "overlap" is for processes that always run',
        ),
        (_process('timeout = "1m"'), "[processes.job] timeout: has no effect without schedule"),
        (_process("", name="green"), "[processes.green]: is a name of something else in the log"),
        (_process("", command="{port}"), "[processes.job] command: {port} is for [app] command"),
        (_process("", command="{socket}"), "[processes.job] command: {socket} is for [app]"),
        (_process("", command="{slott}"), "[processes.job] command: {slott} is unknown; did you"),
    ],
)
def test_contradicting_settings_of_a_process_are_an_error(file: Path, more: str, said: str) -> None:
    (problem,) = problems(file, more)
    assert problem.startswith(said)


def test_a_process_with_a_schedule_may_have_a_timeout(file: Path) -> None:
    (site,) = load(file, _process(f'{DAILY}\ntimeout = "1m"')).sites
    assert site.processes["job"].timeout == Period(60)
