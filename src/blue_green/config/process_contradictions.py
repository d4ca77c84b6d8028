"""Find contradictions between the settings of one process."""

from collections.abc import Iterator

from blue_green.config import placeholders
from blue_green.config.app_process_settings import AppProcessSettings
from blue_green.config.place import Place
from blue_green.config.settings import SiteSettings

SOURCES = ("blue", "green", "build", "migrate")
"""The other sources of output, by which `logs` selects lines."""


def in_site(site: SiteSettings) -> Iterator[str]:
    """Every problem of its processes."""
    for name, process in site.processes.items():
        section = f"processes.{name}"
        if name in SOURCES:
            yield f"{site.place.key(section)}: is a name of something else in the log; use another"
        yield from _in_command(process, site.place, section)
        if process.schedule is not None:
            yield from _with_schedule(process, site.place, section)
        elif process.timeout is not None:
            yield f"{site.place.key(section, 'timeout')}: has no effect without schedule"


def _in_command(process: AppProcessSettings, place: Place, section: str) -> Iterator[str]:
    where = place.key(section, "command")
    for name, meant in placeholders.misspelt(process.command):
        yield f"{where}: {{{name}}} is unknown; did you mean {{{meant}}}?"
    for name in ("port", "socket"):
        if placeholders.is_used(process.command, name):
            yield f"{where}: {{{name}}} is for [app] command: a process takes no requests"


def _with_schedule(process: AppProcessSettings, place: Place, section: str) -> Iterator[str]:
    if process.count > 1:
        yield f"{place.key(section, 'count')}: must be 1 with schedule: one runs at a time"
    if process.handover == "overlap":
        yield (
            f'{place.key(section, "handover")}: "overlap" is for processes that always run, and '
            "this one has a schedule"
        )
