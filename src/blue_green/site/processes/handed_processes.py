"""The processes of a site, as an upgrade in place hands them over."""

import signal
from collections.abc import Iterable
from pathlib import Path

import trio

from blue_green.config.settings import SiteSettings
from blue_green.site.processes.app_instance import AppInstance
from blue_green.site.processes.app_process import AppProcess, StopSettings
from blue_green.site.processes.generation import Generation
from blue_green.source.release import Release
from blue_green.system.handover import HandedProcess
from blue_green.system.output import Output
from blue_green.system.process import Process


def hand_over(instances: Iterable[AppInstance]) -> tuple[HandedProcess, ...]:
    """All that run, also those that are being stopped."""
    return tuple(
        _handed(instance, instance.process)
        for instance in instances
        if instance.process is not None and not instance.process.gone.is_set()
    )


def _handed(instance: AppInstance, running: AppProcess) -> HandedProcess:
    release, process = instance.generation.release, running.process
    return HandedProcess(
        name=instance.name,
        number=instance.number,
        always_runs=instance.always_runs,
        slot=instance.generation.slot,
        revision=release.revision,
        path=str(release.path),
        pid=process.pid,
        pidfd=process.pidfd,
        outputs=process.outputs,
        mark=process.env_marker,
        source=running.source,
        stop_signal=running.stopping.signal,
        stop_timeout=running.stopping.timeout,
        stopped_in=instance.stopped_in,
        killed_in=running.time_left,
    )


def take_over(handed: HandedProcess, output: Output) -> AppProcess:
    """The process that was handed over. Its `run` must follow."""
    taken = AppProcess(
        Process(handed.pid, handed.pidfd, handed.outputs, handed.mark),
        handed.source,
        handed.revision,
        StopSettings(signal.Signals(handed.stop_signal), handed.stop_timeout),
        output,
    )
    if handed.killed_in is not None:
        taken.killed_at = trio.current_time() + handed.killed_in
    return taken


def generation_of(handed: HandedProcess, settings: SiteSettings) -> Generation:
    """The generation of a process that is being stopped."""
    release = Release(handed.revision, Path(handed.path))
    return Generation(handed.slot, release, settings)
