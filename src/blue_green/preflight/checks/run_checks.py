"""Run all checks, in the order in which their findings are reported."""

import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from blue_green.config.settings import Settings, SiteSettings
from blue_green.preflight.checks import (
    acme_authority,
    acme_hosts,
    certificate_files,
    commands,
    current_certificates,
    files,
    hold_timeout,
    machine,
    maintenance,
    network,
    paths,
    processes,
    served_files,
    shared_users,
    systemd_unit,
)
from blue_green.preflight.checks.certificate_files import CheckedPair
from blue_green.preflight.checks.checkout import checkout
from blue_green.preflight.checks.context import (
    CheckContext,
    RunningSupervisor,
    UnknownSupervisor,
    find_running,
)
from blue_green.preflight.checks.finding import (
    Findings,
    Report,
    failed,
    for_site,
    passed,
    warned,
)
from blue_green.preflight.checks.trial_start import start as start_it
from blue_green.source.git import Git
from blue_green.supervisor import startup
from blue_green.system import other_sites, supervisor_marker

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STATUS_TIMEOUT = 5.0
"""Seconds that a running supervisor may take to answer."""


def run(
    file: Path, settings: Settings, sites: Sequence[SiteSettings], report: Report, *, start: bool
) -> bool:
    """Report all findings about these sites; with `start`, make trial starts, too.

    Returns False if a signal ended it early. It cleans up in either case.
    """

    async def until_signal() -> bool:
        is_complete = False
        with trio.open_signal_receiver(*SIGNALS) as signals:
            async with trio.open_nursery() as nursery:

                async def listen() -> None:
                    async for _ in signals:
                        nursery.cancel_scope.cancel()

                nursery.start_soon(listen)
                await _check_all(file, settings, sites, report, start=start)
                is_complete = True
                nursery.cancel_scope.cancel()
        return is_complete

    return trio.run(until_signal)


async def _check_all(
    file: Path, settings: Settings, sites: Sequence[SiteSettings], report: Report, *, start: bool
) -> None:
    running, may_run = await _running(settings, report)
    may_bind = partial(systemd_unit.may_bind_low_ports, file)
    _all(network.addresses(settings, running, service_may_bind=may_bind), report)
    _all(network.http2(settings), report)
    _all(machine.open_files(settings), report)
    shared = certificate_files.check_pair(settings.proxy.tls, "[proxy.tls]")
    _all(iter(shared.findings), report)
    _all(acme_hosts.ports(settings), report)
    _all(await acme_authority.authority(settings), report)
    _all(systemd_unit.unit(file, settings), report)
    lookups = await acme_hosts.look_up_all(settings, sites)
    others, is_ours = other_sites.of(file), systemd_unit.runs_as_us(file)
    contexts: list[CheckContext] = []
    uses: list[machine.MemoryUse] = []
    for site in sites:
        of_site = report if settings.is_single else for_site(report, site.name)
        _all(network.ports(site, others, running), of_site)
        _all(_of_settings(site, shared), of_site)
        _all(acme_hosts.hosts(site, lookups), of_site)
        _all(current_certificates.current(site, running), of_site)
        label = "" if settings.is_single else site.name
        _all(maintenance.current(site, running, label), of_site)
        try:
            owner, user = startup.users_to_run_as(site)
        except startup.CannotRun as error:
            about, _, why = str(error).partition(": ")
            of_site(failed(about, why))
            continue
        git = Git(site.git.checkout, owner, {}, site.git.fetch_timeout)
        context = CheckContext(file, settings, site, owner, user, git, running, may_run, is_ours)
        contexts.append(context)
        uses += await _check_app(context, of_site, start=start)
    if is_ours:
        _all(files.trust(file, settings), report)
    _all(shared_users.shared_users(contexts), report)
    _all(machine.memory_for_swaps(uses, is_single=settings.is_single), report)


def _of_settings(site: SiteSettings, shared: CheckedPair) -> Findings:
    """What needs neither the checkout nor the users. `shared` is the pair of all sites."""
    own = certificate_files.check_pair(site.tls, "[tls]")
    yield from own.findings
    yield from certificate_files.check_hosts(site, own if site.tls.certificate else shared)
    yield from hold_timeout.hold(site)
    yield from processes.processes(site)
    yield from files.error_pages(site)
    yield from files.webhook(site)


async def _check_app(
    context: CheckContext, report: Report, *, start: bool
) -> Sequence[machine.MemoryUse]:
    """Report findings about an app; return the memory that it uses, if that is known."""
    site, used = context.site, 0
    _all(files.run_as(context), report)
    _all(files.state(context), report)
    _all(files.env_files(context), report)
    _all(commands.notify(context), report)
    tracked = await checkout(context, report)
    if tracked is None:
        return ()
    _all(paths.paths(site, tracked), report)
    _all(files.links(context, tracked), report)
    _all(commands.commands(context, tracked), report)
    _all(served_files.served_files(context, tracked), report)
    _all(machine.sqlite(site), report)
    if context.running:
        marker = supervisor_marker.entry(site.state_directory)
        used = await trio.to_thread.run_sync(machine.memory_of, marker)
    is_running = used > 0
    if start:
        used = max(used, await start_it(context, report))
    return [machine.MemoryUse(site, used, is_running)] if used else ()


async def _running(settings: Settings, report: Report) -> tuple[RunningSupervisor | None, bool]:
    """A supervisor that already runs with these settings, and whether one might."""
    look = partial(find_running, settings)
    try:
        with trio.fail_after(STATUS_TIMEOUT):
            running = await trio.to_thread.run_sync(look, abandon_on_cancel=True)
    except (UnknownSupervisor, trio.TooSlowError) as error:
        why = str(error) or f"no answer within {STATUS_TIMEOUT:g} s"
        advice = "run this check as the user that the supervisor runs as"
        report(warned("supervisor", f"cannot find out whether one is running: {why}", advice))
        return None, True
    if running is not None:
        report(passed("supervisor", f"already running with this settings file, pid {running.pid}"))
    return running, running is not None


def _all(findings: Findings, report: Report) -> None:
    for finding in findings:
        report(finding)
