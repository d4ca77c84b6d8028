"""Schedules are read strictly: five fields, or a nickname, and a time that comes."""

from pathlib import Path

import pytest

from tests.support.settings import load, problems

JOB = '[processes.job]\ncommand = ["job"]\n'


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("*/5  9-17 * * mon-fri", "*/5 9-17 * * mon-fri"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 L * *", "0 0 L * *"),
        ("@daily", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
    ],
)
def test_a_schedule_is_a_cron_expression_or_a_nickname(
    file: Path, written: str, meant: str
) -> None:
    (site,) = load(file, f'{JOB}schedule = "{written}"').sites
    assert site.processes["job"].schedule == meant


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("0 25 * * *", ": bad hour"),
        ("0 0 30 2 *", ": bad day-of-month"),
        ("0 0 */20 * 1#5", "such a time never comes"),
        ("* * * * * *", "it has five fields"),
        ("daily", "it has five fields"),
        ("@reboot", "possible names are @yearly, @annually"),
        ("1" * 5000 + " * * * *", "must be a schedule"),
        ("", "it has five fields"),
    ],
)
def test_a_schedule_that_never_comes_or_is_malformed_is_an_error(
    file: Path, written: str, why: str
) -> None:
    (problem,) = problems(file, f'{JOB}schedule = "{written}"')
    assert problem.startswith("[processes.job] schedule: must be a schedule such as")
    assert why in problem
