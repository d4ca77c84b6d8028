"""A trial start: HEAD made a release, built, started on a free port, and asked whether it works.

All of it is in a directory of its own, under a mark of its own, so a supervisor that runs neither
sees nor ends it, and its state and its releases stay as they are. `migrate` is not run, since it
changes data; nor is anything started that could harm what runs. Whatever happens, at the end
nothing runs any more, and the directory and git's record of its work tree are gone.
"""

import socket
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from blue_green.config.kinds import Argv, Count, Port
from blue_green.config.process_settings import StateSettings
from blue_green.config.site_settings import HealthSettings
from blue_green.preflight.checks import network, probe_advice
from blue_green.preflight.checks.context import CheckContext
from blue_green.preflight.checks.finding import Finding, Tell, failed, passed, warned
from blue_green.preflight.checks.machine import memory_for_two, memory_of
from blue_green.routing.lease import Target
from blue_green.site import probation
from blue_green.site.backend import HOST, Backend
from blue_green.source import stray_text
from blue_green.source.failure import StepFailed
from blue_green.source.git import GitError
from blue_green.source.release import Release, Releases
from blue_green.system import supervisor_marker, trees
from blue_green.system.output import Output
from blue_green.system.process import environment

ABOUT = "start"
CLEARING_AWAY = 120.0
"""Seconds that git may take to remove a work tree."""


async def start(subject: CheckContext, tell: Tell) -> None:
    """Start HEAD as a release, and tell how far it came."""
    settings = subject.settings
    if subject.may_run and settings.swap.strategy == "exclusive":
        tell(
            warned(
                ABOUT,
                "it is not tried: the app may run, and exclusive means never twice at once",
                "commit: if the new release does not start, the old one is started again",
            )
        )
        return
    async with _directory(tell) as directory:
        env = environment(attrs.evolve(settings, state=StateSettings(directory)))
        git = attrs.evolve(subject.git, env=supervisor_marker.variable(directory))
        config = attrs.evolve(settings.release, keep=Count(0), build=_build(subject, tell))
        releases = Releases(config, git, directory, subject.user, env, output=Output())
        try:
            releases.create_directories()
            release = await _release(releases, await git.head(), tell)
            tell(await _run(subject, release, env, directory, tell))
            await _tell_of_data(releases, release, tell)
        except StepFailed as failure:
            tell(failed(ABOUT, str(failure), output=failure.output))
        except (GitError, OSError) as error:
            tell(failed(ABOUT, str(error)))
        finally:
            with trio.move_on_after(CLEARING_AWAY, shield=True):
                await _clear_away(releases, tell)


async def _tell_of_data(releases: Releases, release: Release, tell: Tell) -> None:
    """What the app has written where only its own release sees it."""
    found = await releases.stray_data_in(release.path)
    if found and found.names:
        tell(
            warned(
                "[release] link",
                f"the app wrote {found.names} inside its release, where no other release sees it",
                "; ".join(stray_text.changes(found)),
            )
        )


@asynccontextmanager
async def _directory(tell: Tell) -> AsyncIterator[Path]:
    """A place for the release, where its owner can get to it."""
    directory = Path(tempfile.mkdtemp(prefix="blue-green-check-"))
    try:
        directory.chmod(0o711)
        yield directory
    finally:
        try:
            with trio.move_on_after(CLEARING_AWAY, shield=True):
                await trees.remove(directory)
        except OSError as error:
            rest = directory.parent / f"{trees.LEFTOVER}*"
            tell(warned(ABOUT, f"not all of it can be removed: {error}", f"rm -rf {rest}"))


async def _clear_away(releases: Releases, tell: Tell) -> None:
    try:
        await releases.clear()
    except (GitError, OSError) as error:
        tell(warned(ABOUT, f"the release was not cleared away: {error}", "git worktree prune"))


def _build(subject: CheckContext, tell: Tell) -> Argv | None:
    release = subject.settings.release
    if release.migrate is not None:
        tell(passed("[release] migrate", "it is not run in a trial, since it changes data"))
    if release.build is not None and release.in_place:
        tell(passed("[release] build", "it is not run in a trial, since in_place = true"))
        return None
    return release.build


async def _release(releases: Releases, revision: str, tell: Tell) -> Release:
    release = await releases.add(revision)
    began = trio.current_time()
    await releases.build(release)
    if releases.config.build is not None:
        took = trio.current_time() - began
        tell(passed("[release] build", f"it has built {revision[:7]} in {took:.1f} s"))
    return release


async def _run(
    subject: CheckContext, release: Release, env: Mapping[str, str], directory: Path, tell: Tell
) -> Finding:
    """What became of the backend, and what it uses of memory."""
    settings, began = subject.settings, trio.current_time()
    backend = Backend.start(
        settings.app,
        release,
        Target(HOST, _free_port(), "blue", release.revision),
        env=env,
        user=subject.user,
        output=Output(),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backend.run)
        finding = await _judge(backend, settings.health)
        used = await trio.to_thread.run_sync(memory_of, supervisor_marker.entry(directory))
        for one in network.exposed(await backend.listening_sockets()):
            tell(one)
        await backend.stop()
    if finding is None:
        took = trio.current_time() - began
        asked = f"GET {settings.health.path} on port {backend.target.port}"
        tell(passed(ABOUT, f"{release.revision[:7]} answered {asked} after {took:.1f} s"))
        return memory_for_two(settings, used)
    return finding


async def _judge(backend: Backend, settings: HealthSettings) -> Finding | None:
    """What is wrong with it. Nobody waits until the end for an answer that will not change."""
    why = ""
    output: Sequence[str] = ()
    is_healthy = False
    async with trio.open_nursery() as nursery:

        async def doubt() -> None:
            await probe_advice.until_lasting(HOST, backend.target.port, settings)
            nursery.cancel_scope.cancel()

        nursery.start_soon(doubt)
        try:
            await probation.until_healthy(backend, settings)
            await probation.warm_up(backend, settings)
            is_healthy = True
        except StepFailed as failure:
            why, output = str(failure), failure.output
        nursery.cancel_scope.cancel()
    if is_healthy:
        return None
    what, then = await probe_advice.explanation(HOST, backend.target.port, settings) or (why, "")
    return failed(ABOUT, what, then, output or backend.output)


def _free_port() -> Port:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return Port(port)
