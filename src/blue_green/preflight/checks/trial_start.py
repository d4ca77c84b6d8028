"""A trial start: make HEAD a release, build it, start it on a free port, and probe it.

It uses a directory and a process mark of its own, so a running supervisor neither sees nor ends it,
and the supervisor's state and releases stay as they are. `migrate` is not run, since it changes
data. The trial always ends its processes, and removes its directory and git's record of the work
tree.
"""

import socket
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from blue_green.config.hosts import ANY_PATH
from blue_green.config.kinds import Argv, Count, Endpoint
from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import HealthSettings
from blue_green.preflight.checks import network, probe_advice, served_files
from blue_green.preflight.checks.context import CheckContext
from blue_green.preflight.checks.finding import Finding, Report, failed, passed, warned
from blue_green.preflight.checks.machine import memory_of
from blue_green.routing.lease import Target
from blue_green.site import app_sockets, files_check, probation
from blue_green.site.backend import HOST, Backend
from blue_green.source import launch, stray_text
from blue_green.source.failure import StepFailed
from blue_green.source.git_errors import GitError
from blue_green.source.release import Release
from blue_green.source.release_commands import ReleaseCommands
from blue_green.source.releases import Releases
from blue_green.system import supervisor_marker, trees
from blue_green.system.output import Output

ABOUT = "start"
CLEANUP_TIMEOUT = 120.0
"""Seconds to remove the work tree and the directory."""


async def start(context: CheckContext, report: Report) -> int:
    """Start HEAD as a release, and report the result of each step.

    Returns how many bytes of memory the release uses; 0 if it did not work.
    """
    settings = context.site
    if context.may_run and settings.swap.strategy == "exclusive":
        report(
            warned(
                ABOUT,
                'skipped: with strategy = "exclusive" only one copy may run, and one may be '
                "running",
                "deploy it: if the new release does not start, the old one is started again",
            )
        )
        return 0
    async with _directory(report) as directory:
        git = attrs.evolve(context.git, env=supervisor_marker.variable(directory))
        config = attrs.evolve(settings.release, keep=Count(0), build=_build(context, report))
        trial = attrs.evolve(settings, state_directory=directory, release=config)
        commands = ReleaseCommands(context.owner, context.user, trial, Output())
        releases = Releases(config, git, directory, commands)
        try:
            releases.create_directories()
            release = await _release(releases, await git.head(), report)
            await files_check.check(release.path, settings, context.user)
            used = 0
            if settings.is_static:
                await _report_files(settings, release, report)
            else:
                used = await _run(context, trial, release, report)
            await _report_data(releases, release, report)
            return used
        except StepFailed as failure:
            report(failed(ABOUT, str(failure), output=failure.output))
        except (GitError, OSError) as error:
            report(failed(ABOUT, str(error)))
        finally:
            with trio.move_on_after(CLEANUP_TIMEOUT, shield=True):
                await _clean_up(releases, report)
    return 0


async def _report_files(settings: SiteSettings, release: Release, report: Report) -> None:
    """Report that a static site could be served, or that its first page is missing."""
    report(passed(ABOUT, f"{release.revision[:7]} has all directories of [files]"))
    top = settings.files.directories.get(ANY_PATH)
    is_built = settings.release.build is not None  # Otherwise git knows, without a trial.
    if top and is_built and not await trio.Path(release.path, top, served_files.INDEX).exists():
        for finding in served_files.index_missing(settings, top):
            report(finding)


async def _report_data(releases: Releases, release: Release, report: Report) -> None:
    """Report data that the app has written into its own release."""
    found = await releases.stray_data_in(release.path)
    if found and found.names:
        report(
            warned(
                "[release] link",
                f"the app wrote {found.names} into its release, where no other release sees it",
                "; ".join(stray_text.changes(found)),
            )
        )


@asynccontextmanager
async def _directory(report: Report) -> AsyncIterator[Path]:
    """A temporary directory for the release, which its owner can enter."""
    directory = Path(tempfile.mkdtemp(prefix="blue-green-check-"))
    try:
        directory.chmod(0o711)
        yield directory
    finally:
        try:
            with trio.move_on_after(CLEANUP_TIMEOUT, shield=True):
                for made in {directory, app_sockets.directory_for(directory)}:
                    if made.exists():
                        await trees.remove(made)
        except OSError as error:
            rest = directory.parent / f"{trees.LEFTOVER}*"
            report(
                warned(
                    ABOUT, f"the trial's directory could not be removed: {error}", f"rm -rf {rest}"
                )
            )


async def _clean_up(releases: Releases, report: Report) -> None:
    try:
        await releases.pruning.clear()
    except (GitError, OSError) as error:
        report(
            warned(
                ABOUT, f"the trial's release could not be removed: {error}", "git worktree prune"
            )
        )


def _build(context: CheckContext, report: Report) -> Argv | None:
    release = context.site.release
    if release.migrate is not None:
        report(passed("[release] migrate", "not run in a trial, since it changes data"))
    if release.build is not None and release.in_place:
        report(passed("[release] build", "not run in a trial, since in_place = true"))
        return None
    return release.build


async def _release(releases: Releases, revision: str, report: Report) -> Release:
    release = await releases.add(revision)
    began = trio.current_time()
    await releases.build(release)
    if releases.config.build is not None:
        took = trio.current_time() - began
        report(passed("[release] build", f"built {revision[:7]} in {took:.1f} s"))
    return release


async def _run(
    context: CheckContext, settings: SiteSettings, release: Release, report: Report
) -> int:
    """Start a backend and probe it; return its memory."""
    directory, began = settings.state_directory, trio.current_time()
    how = await launch.prepare(release, settings, owner=context.owner, user=context.user)
    address = _address(context, directory)
    target = Target(address, "blue", release.revision, owner=context.user.uid)
    backend = Backend.start(settings.app, release, target, how, Output())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backend.run)
        finding = await _probe(backend, settings.health)
        used = await trio.to_thread.run_sync(memory_of, supervisor_marker.entry(directory))
        listening = await backend.listening_sockets()
        for one in [*network.exposed(listening), *network.open_sockets(listening, context.site)]:
            report(one)
        await backend.stop()
    if finding is None:
        took = trio.current_time() - began
        asked = f"GET {settings.health.path} on {backend.target.address.short}"
        report(passed(ABOUT, f"{release.revision[:7]} answered {asked} after {took:.1f} s"))
        return used
    report(finding)
    return 0


async def _probe(backend: Backend, settings: HealthSettings) -> Finding | None:
    """Probe it until it is healthy, fails, or keeps giving a response that will not change."""
    why = ""
    output: Sequence[str] = ()
    is_healthy = False
    async with trio.open_nursery() as nursery:

        async def give_up_early() -> None:
            await probe_advice.until_lasting(backend.target, settings)
            nursery.cancel_scope.cancel()

        nursery.start_soon(give_up_early)
        try:
            await probation.until_healthy(backend, settings)
            await probation.warm_up(backend, settings)
            is_healthy = True
        except StepFailed as failure:
            why, output = str(failure), failure.output
        nursery.cancel_scope.cancel()
    if is_healthy:
        return None
    what, then = await probe_advice.explanation(backend.target, settings) or (why, "")
    return failed(ABOUT, what, then, output or backend.output)


def _address(context: CheckContext, directory: Path) -> Endpoint:
    """A free port, or a Unix socket in the trial's directory."""
    if context.site.app.uses_socket:
        return app_sockets.addresses(directory, "blue", 1)[0]
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return Endpoint(*sock.getsockname())
