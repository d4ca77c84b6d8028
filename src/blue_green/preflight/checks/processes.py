"""What is known to go wrong with the processes of common queues."""

from pathlib import PurePath

from blue_green.config import placeholders
from blue_green.config.app_process_settings import AppProcessSettings
from blue_green.config.settings import SiteSettings
from blue_green.preflight.checks.finding import Findings, passed, warned

SCHEDULERS = ("celerybeat", "rqscheduler", "clockwork", "huey_scheduler")
"""Programs that put jobs into a queue at certain times."""


def processes(site: SiteSettings) -> Findings:
    """Check how each process is handed over, and how long it may take to stop."""
    for name, process in site.processes.items():
        section = f"[processes.{name}]"
        if _is_scheduler(process):
            yield from _only_one(process, section)
        if process.schedule is None and process.stop_timeout is None:
            yield passed(
                f"{section} stop_timeout",
                f"a job may take {site.app.stop_timeout:g} s to finish when a new release starts, "
                "as stop_timeout of [app] says; then it is killed",
            )
        if "celery" in _programs(process) and "worker" in process.command:
            yield from _node_name(process, section)


def _node_name(process: AppProcessSettings, section: str) -> Findings:
    """Check that Celery workers that run at the same time can be told apart."""
    needed = {"instance": process.count > 1, "slot": process.handover == "overlap"}
    if any(
        is_needed and not placeholders.is_used(process.command, name)
        for name, is_needed in needed.items()
    ):
        yield warned(
            f"{section} command",
            "several Celery workers would have the same node name at once",
            'add "-n", "{slot}{instance}@%h"',
        )


def _only_one(process: AppProcessSettings, section: str) -> Findings:
    advice = (
        "give the scheduler a process of its own, which runs once and with the default handover"
    )
    if process.count > 1:
        yield warned(f"{section} count", f"{process.count} schedulers would add each job", advice)
    if process.handover == "overlap":
        yield warned(
            f"{section} handover", "at each swap, two schedulers would add the same jobs", advice
        )


def _is_scheduler(process: AppProcessSettings) -> bool:
    programs, words = _programs(process), process.command
    if "celery" in programs:
        return "beat" in words or ("worker" in words and not {"-B", "--beat"}.isdisjoint(words))
    if "rq" in programs:
        return "cron" in words
    return any(program in SCHEDULERS for program in programs)


def _programs(process: AppProcessSettings) -> list[str]:
    """The words of a command as names of programs: `python -m celery` has it in the middle."""
    return [PurePath(word).name for word in process.command]
