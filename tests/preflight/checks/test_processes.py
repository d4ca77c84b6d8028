"""Checks of `[processes]`."""

from typing import Any

import pytest

from tests.support.check_context import CheckedSite, only, troubles

CELERY = ["python3", "-m", "celery", "-A", "shop"]


def _check(subject: CheckedSite, **process: Any) -> list[Any]:
    return subject.check(processes={"worker": {"command": ["true"], **process}})


def test_the_program_of_a_process_must_exist(subject: CheckedSite) -> None:
    found = only(_check(subject, command=["no-such-program"]))
    assert (found.verdict, found.about) == ("failed", "[processes.worker] command")
    assert found.text == "no program no-such-program in $PATH"
    found = only(_check(subject, command=["bin/work"]))
    assert found.text.startswith("no release has bin/work")


def test_a_process_that_can_be_run_passes_and_the_time_for_its_jobs_is_named(
    subject: CheckedSite,
) -> None:
    findings = _check(subject)
    assert troubles(findings) == []
    assert any(one.about == "[processes.worker] stop_timeout" for one in findings)
    findings = _check(subject, stop_timeout="5m")
    assert not any(one.about == "[processes.worker] stop_timeout" for one in findings)


@pytest.mark.parametrize(
    ("settings", "about"),
    [
        ({"command": [*CELERY, "beat"], "handover": "overlap"}, "handover"),
        ({"command": [*CELERY, "beat"], "count": 2}, "count"),
        ({"command": ["python3", "rqscheduler"], "handover": "overlap"}, "handover"),
        ({"command": [*CELERY, "worker", "-B"], "handover": "overlap"}, "handover"),
        ({"command": [*CELERY, "worker"], "count": 2}, "command"),
        ({"command": [*CELERY, "worker"], "handover": "overlap"}, "command"),
    ],
)
def test_what_would_run_a_job_twice_is_warned_about(
    subject: CheckedSite, settings: dict[str, Any], about: str
) -> None:
    warnings = [one for one in _check(subject, **settings) if one.verdict == "warned"]
    assert f"[processes.worker] {about}" in [one.about for one in warnings]


def test_usual_settings_of_celery_are_in_order(subject: CheckedSite) -> None:
    worker = [*CELERY, "worker", "-n", "{slot}{instance}@%h"]
    assert troubles(_check(subject, command=worker, count=2, handover="overlap")) == []
    assert troubles(_check(subject, command=[*CELERY, "beat"])) == []
