"""The processes of a site as objects of the control protocol."""

import os
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from blue_green.site.processes.app_instance import AppInstance
from blue_green.system.printable import counted

if TYPE_CHECKING:
    from blue_green.site.site import Site

BOOT = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
"""When the machine was booted, in seconds since the epoch."""
TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks in a second, the unit of start times (proc(5))."""
FAILING = 3
"""Deaths in a row from which on a process needs attention."""


class ProcessStatus:
    """What runs beside the backends, in which state, and what is wrong with it."""

    def __init__(self, site: "Site") -> None:
        self._site = site

    def as_dicts(self) -> list[dict[str, Any]]:
        """The processes by name, each with its instances. Older ones may still be stopping."""
        return [self._as_dict(name, instances) for name, instances in self.by_name.items()]

    @property
    def by_name(self) -> dict[str, list[AppInstance]]:
        """The instances of each name, in the order of the settings; those that stop come first."""
        processes = self._site.processes
        live = processes.generation.settings.processes if processes.generation else ()
        named: dict[str, list[AppInstance]] = {name: [] for name in live}
        for instance in processes.instances:
            if _state(instance) != "gone":
                named.setdefault(instance.name, []).append(instance)
        return named

    def problems(self) -> list[str]:
        """What needs attention, in words."""
        return [problem for name, some in self.by_name.items() for problem in self._of(name, some)]

    def _of(self, name: str, instances: Sequence[AppInstance]) -> Iterator[str]:
        for one in instances:
            if one.deaths >= FAILING and not one.is_stopping:
                yield f"process {one.source} has ended {counted(one.deaths, 'time')} in a row"
        last = self._site.schedules.last_run(name)
        if last is not None and last.outcome == "failed" and _is_scheduled(instances):
            yield f"the last run of process {name} has failed: {last.reason}"

    def _as_dict(self, name: str, instances: Sequence[AppInstance]) -> dict[str, Any]:
        current = [one for one in instances if not one.is_stopping]
        settings = current[0].settings if current else None
        schedule = settings.schedule if settings else None
        last = self._site.schedules.last_run(name) if schedule else None
        following = self._site.schedules.next_time(name) if schedule else None
        return {
            "name": name,
            "schedule": schedule,
            "next_run": following.isoformat(timespec="seconds") if following else None,
            "last_run": last.as_dict() if last else None,
            "restarts": sum(one.restarts for one in current),
            "instances": [_instance(one) for one in instances],
        }


def _is_scheduled(instances: Sequence[AppInstance]) -> bool:
    return any(not one.always_runs for one in instances)


def _instance(instance: AppInstance) -> dict[str, Any]:
    process = instance.process.process if instance.process else None
    began = process.began if process else None
    since = None if began is None else datetime.fromtimestamp(BOOT + began / TICKS, UTC)
    return {
        "number": instance.number,
        "state": _state(instance),
        "pid": process.pid if process else None,
        "revision": instance.generation.release.revision,
        "since": since.isoformat(timespec="seconds") if since else None,
        "restarts": instance.restarts,
        "deaths": instance.deaths,
    }


def _state(instance: AppInstance) -> str:
    """`running`, `stopping`, `waiting` for its time, or for an older one to end, or `restarting`.

    `gone`: it has been stopped.
    """
    if instance.process is not None:
        return "stopping" if instance.is_stopping else "running"
    if instance.is_stopping:
        return "gone"
    if instance.always_runs and instance.started_at is not None:
        return "restarting"
    return "waiting"
