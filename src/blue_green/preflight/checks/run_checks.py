"""All checks, in the order in which their findings are told."""

import signal
from functools import partial
from pathlib import Path

import trio

from blue_green.config.settings import Settings
from blue_green.preflight.checks import files, hold_timeout, machine
from blue_green.preflight.checks.checkout import checkout
from blue_green.preflight.checks.context import (
    CannotTell,
    CheckContext,
    RunningSupervisor,
    find_running,
)
from blue_green.preflight.checks.finding import Findings, Tell, failed, passed, warned
from blue_green.preflight.checks.network import network
from blue_green.preflight.checks.systemd_unit import unit
from blue_green.preflight.checks.trial_start import start as start_it
from blue_green.source.git import Git
from blue_green.supervisor import startup
from blue_green.system import supervisor_marker

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TO_TELL = 5.0
"""Seconds that a running supervisor may take to tell of itself."""


def run(file: Path, settings: Settings, tell: Tell, *, start: bool) -> bool:
    """Tell of everything that can be known; with `start`, of a trial start, too.

    A signal makes it end early; then it clears away what it has made, and the answer is False.
    """

    async def until_signal() -> bool:
        has_ended = False
        with trio.open_signal_receiver(*SIGNALS) as signals:
            async with trio.open_nursery() as nursery:

                async def listen() -> None:
                    async for _ in signals:
                        nursery.cancel_scope.cancel()

                nursery.start_soon(listen)
                await _survey(file, settings, tell, start=start)
                has_ended = True
                nursery.cancel_scope.cancel()
        return has_ended

    return trio.run(until_signal)


async def _survey(file: Path, settings: Settings, tell: Tell, *, start: bool) -> None:
    tell(passed("settings", f"{file} can be read, and nothing in it is wrong"))
    running, may_run = await _running(settings, tell)
    _all(network(file, settings, running), tell)
    _all(machine.open_files(settings), tell)
    _all(hold_timeout.hold(settings), tell)
    _all(files.error_pages(settings), tell)
    _all(files.certificate(settings), tell)
    _all(files.webhook(settings), tell)
    _all(unit(file, settings), tell)
    try:
        owner, user = startup.whom_to_run_as(settings)
    except startup.CannotRun as error:
        tell(failed("whom to run as", str(error)))
        return
    git = Git(settings.git.checkout, owner, {}, settings.git.fetch_timeout)
    subject = CheckContext(file, settings, owner, user, git, running, may_run)
    await _of_the_app(subject, tell, start=start)


async def _of_the_app(subject: CheckContext, tell: Tell, *, start: bool) -> None:
    settings = subject.settings
    _all(files.trust(subject), tell)
    _all(files.state(subject), tell)
    _all(files.notify(subject), tell)
    tracked = await checkout(subject, tell)
    if tracked is None:
        return
    _all(files.links(subject, tracked), tell)
    _all(files.commands(subject, tracked), tell)
    _all(machine.sqlite(settings), tell)
    if subject.running:
        marker = supervisor_marker.entry(settings.state.directory)
        used = await trio.to_thread.run_sync(machine.memory_of, marker)
        tell(machine.memory_for_two(settings, used))
    if start:
        await start_it(subject, tell)


async def _running(settings: Settings, tell: Tell) -> tuple[RunningSupervisor | None, bool]:
    """The supervisor that runs with these settings already, if one does; and whether one may."""
    look = partial(find_running, settings)
    try:
        with trio.fail_after(TO_TELL):
            running = await trio.to_thread.run_sync(look, abandon_on_cancel=True)
    except (CannotTell, trio.TooSlowError) as error:
        why = str(error) or f"no answer within {TO_TELL:g} s"
        advice = "run this check as whom the supervisor runs as"
        tell(warned("supervisor", f"whether one runs already cannot be seen: {why}", advice))
        return None, True
    if running is not None:
        tell(passed("supervisor", f"one runs already with these settings, pid {running.pid}"))
    return running, running is not None


def _all(findings: Findings, tell: Tell) -> None:
    for finding in findings:
        tell(finding)
