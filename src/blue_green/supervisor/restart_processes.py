"""`restart --process`: new instances of single processes of the live release, without a swap."""

from collections.abc import Sequence
from typing import Any

import trio

from blue_green.config.command_line import command_line
from blue_green.control.server import Refusal
from blue_green.site.processes.app_instance import AppInstance
from blue_green.site.processes.generation import Generation
from blue_green.site.site import Site
from blue_green.source import launch
from blue_green.source.failure import StepFailed

INTERVAL = 0.05
"""Seconds between looks whether they have started."""


async def restart_processes(site: Site, names: Sequence[str], *, waits: bool) -> dict[str, Any]:
    """Restart these processes; raise `Refusal` if one of them cannot be restarted.

    With `waits`, return when the new instances have started, which may take `stop_timeout`.
    """
    generation = site.processes.generation
    settings = generation.settings.processes if generation is not None else {}
    for name in names:
        if name not in settings:
            others = ", ".join(settings) or "none"
            raise Refusal(f"the live release has no process {name}; it has: {others}", usage=True)
        if settings[name].schedule is not None:
            raise Refusal(f"{name} runs on a schedule, so there is nothing to start again")
    if site.processes.are_asleep:
        raise Refusal("the site is asleep: its processes start when it wakes")
    if generation is not None:
        await _check_launch(site, generation)
    new = [one for name in dict.fromkeys(names) for one in site.processes.restart(name)]
    while waits and any(map(_is_pending, new)):
        await trio.sleep(INTERVAL)
    if failing := sorted({one.name for one in new if one.deaths}):
        logs = command_line("logs", site.label, failing[0])
        raise Refusal(f"{', '.join(failing)} does not start, and is tried again: see {logs}")
    return {"processes": {name: _pids(new, name) for name in names}}


async def _check_launch(site: Site, generation: Generation) -> None:
    """Raise `Refusal` if nothing of this release can start: the old instances then run on."""
    release, settings = generation.release, generation.settings
    try:
        await launch.prepare(release, settings, owner=site.git.owner, user=site.user)
    except StepFailed as failure:
        raise Refusal(f"{failure}; nothing was restarted") from None


def _is_pending(instance: AppInstance) -> bool:
    """Whether it has neither started, nor failed to, nor been stopped by a swap."""
    return instance.started_at is None and not instance.deaths and not instance.is_stopping


def _pids(instances: Sequence[AppInstance], name: str) -> list[int]:
    processes = [one.process for one in instances if one.name == name]
    return sorted(process.process.pid for process in processes if process is not None)
