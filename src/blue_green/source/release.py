"""A revision made runnable: a work tree of its own, linked paths, built. Old ones are pruned.

A release is complete when a file of its name is in the `built` directory. What is without one was
left half made, and is made anew. A complete release is never changed again, so going back to it
needs neither the network nor a build.

We may be root, and the release belongs to whom the app runs as, who may have put symbolic links
anywhere in it. So nothing is written into a release but by programs that run as its owner.
"""

import logging
import os
import tempfile
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import trio
from attrs import evolve, frozen

from blue_green.config.kinds import Argv
from blue_green.config.site_settings import ReleaseSettings
from blue_green.source import (
    build_record,
    lfs,
    stray_data,
    stray_scan,
    stray_text,
    submodules,
    worktree,
)
from blue_green.source.build_record import PROMOTED
from blue_green.source.builds import Builds
from blue_green.source.failure import DeployRefused, MachineFault, StepFailed, from_errno
from blue_green.source.git import BadRevision, Git, GitError, trusting
from blue_green.source.revision import REVISION
from blue_green.source.stray_data import StrayData
from blue_green.system import command, trees, users
from blue_green.system.output import Output
from blue_green.system.process import CannotStart, ending
from blue_green.system.users import User

logger = logging.getLogger(__name__)

DIRECTORY = "releases"
"""Inside the state directory; it belongs to the checkout's owner."""
SMALL_TIMEOUT = 120.0
"""Seconds for the little programs that prepare a work tree."""


@frozen
class Release:
    """A revision and the directory in which it runs."""

    revision: str
    path: Path
    env: Mapping[str, str] = {}
    """What programs that run in it find in their environment besides."""


class Releases:
    """All releases of one checkout, in a directory of their own."""

    def __init__(
        self,
        config: ReleaseSettings,
        git: Git,
        state_directory: Path,
        user: User,
        env: Mapping[str, str],
        *,
        output: Output,
    ) -> None:
        self.in_place = config.in_place
        self.config = config
        self._git = git
        self._directory = state_directory / DIRECTORY
        self._built = state_directory / "built"
        self._builds = Builds(self._directory, self._built)
        self._user = user
        self._env = env
        self._output = output
        self.unremovable: Sequence[str] = ()
        """What pruning could not delete the last time, each with the reason and what to do."""
        self._holding: dict[Path, str] = {}
        """What went out of view with data in it, or maybe so, as `stray_text.kept` says."""
        self._too_large: dict[Path, StrayData] = {}
        """What pruning could not look through to its end."""

    @property
    def written_directories(self) -> Sequence[Path]:
        """Where what makes and runs a release writes: where there must be room."""
        return (self._directory, Path(tempfile.gettempdir()), Path(self._user.home))

    def use(self, config: ReleaseSettings, env: Mapping[str, str]) -> None:
        """From now on releases are made as these settings say."""
        self.config = config
        self._env = env

    def create_directories(self) -> None:
        """Make the place for the releases, where the checkout's owner can write."""
        self._built.mkdir(parents=True, exist_ok=True)
        self._directory.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self._directory, self._git.owner.uid, self._git.owner.gid)

    def find(self, revision: str) -> Release | None:
        """The complete release of this revision, if there is one."""
        if self.in_place:
            return self._release(revision, self._git.checkout)
        path = self._builds.complete(revision)
        return self._release(revision, path) if path else None

    async def lacks_links(self, release: Release) -> bool:
        """Whether `link` names more by now than when it was made, so that it is to be made again.

        Where git has such a path in its revision, it cannot be had with a link.
        """
        missing = {
            name.rstrip("/") for name in self.config.link if not (release.path / name).is_symlink()
        }
        if not missing:
            return False
        try:
            return missing.isdisjoint(await self._git.names(release.revision))
        except GitError as error:
            logger.warning("it is not known what %s has: %s", release.revision[:7], error)
            return False

    async def stray_data_in(
        self, path: Path, *, seconds: float = stray_scan.MAX_SECONDS, before_deleting: bool = False
    ) -> StrayData | None:
        """What was written into a release since it was complete, if anything is nowhere else.

        If that is not known for all of it, that is said, too: it must not be deleted.
        """
        file = self._mark(path)
        if self.in_place or not file.exists():
            return None
        found = await trio.to_thread.run_sync(
            partial(
                stray_data.find,
                path,
                build_record.read(file),
                self._git.checkout,
                self.config.link,
                seconds=seconds,
                before_deleting=before_deleting,
            ),
            abandon_on_cancel=True,
        )
        return found or None

    async def add(self, revision: str, *, beside: bool = False) -> Release:
        """A work tree of this revision, with its links; raise `StepFailed`, or `DeployRefused`.

        `beside` the complete one that there may be, which is left alone.
        """
        builds = self._builds
        path = builds.another(revision) if beside else builds.usual(revision)
        release = self._release(revision, self._git.checkout if self.in_place else path)
        try:
            if self.in_place:
                await self._check_is_checked_out(revision)
                await submodules.update_in_place(self._git)
                await lfs.check(self._git, release.path)
                return release
            if there := await self.stray_data_in(
                release.path, seconds=stray_scan.PATIENT_SECONDS, before_deleting=True
            ):
                logger.warning(
                    "%s is made again beside the old one: %s", revision[:7], stray_text.kept(there)
                )
                release = self._release(revision, builds.another(revision))
            await self._remove(release.path)
            await worktree.add(self._git, release.path, revision)
            inner = await submodules.check_out(self._git, release.path, revision)
            for work_tree in (release.path, *inner):
                await lfs.check(self._git, work_tree)
        except BadRevision as error:
            raise StepFailed(f"cannot check out {revision[:7]}: {error}") from None
        except (GitError, OSError) as error:
            raise MachineFault(f"cannot check out {revision[:7]}: {error}") from None
        await self._hand_over(release.path)
        for name in self.config.link:
            await self._link(release.path, name)
        return release

    async def build(self, release: Release) -> None:
        """Run the build command, if there is one, and declare the release complete."""
        if self.config.build is not None:
            await self._command("build", self.config.build, release)
        if not self.in_place:
            look = partial(stray_scan.scan, release.path)
            found = await trio.to_thread.run_sync(look, abandon_on_cancel=True)
            noted = build_record.complete(release.revision, found)
            await trio.to_thread.run_sync(noted.write, self._mark(release.path))

    async def note_promoted(self, release: Release) -> None:
        """Remember that this release was good, also if the state should be lost."""
        if self.in_place:
            return
        self._holding.pop(release.path, None)  # What it holds is in view.
        try:
            file = self._mark(release.path)
            noted = evolve(build_record.read(file), what=PROMOTED)
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(noted.write, file)
        except OSError as error:
            logger.warning("cannot mark %s as good: %s", release.revision[:7], error.strerror)

    async def discard(self, release: Release) -> None:
        """Take back that a build is complete, so that one from before counts.

        One that holds data stays: what was found good counts before it all the same.
        """
        if not self.in_place and not await self.stray_data_in(release.path, before_deleting=True):
            self._mark(release.path).unlink(missing_ok=True)

    def last_promoted(self) -> str | None:
        """The revision of the newest complete release that was found good."""
        if not self._built.is_dir():
            return None
        marks = [file for file in self._built.iterdir() if (self._directory / file.name).is_dir()]
        for file in sorted(marks, key=lambda file: file.stat().st_mtime, reverse=True):
            found = build_record.read(file)
            if found.what == PROMOTED and REVISION.fullmatch(found.revision):
                return found.revision
        return None

    def has_good(self, live: str | None) -> bool:
        """Whether something can be served without the checkout: `live`, or what was good before."""
        if self.in_place:
            return False
        return bool(live and self.find(live)) or self.last_promoted() is not None

    async def last_good(self, live: str | None) -> Release | None:
        """What was live last, made again if need be; else the newest that was ever found good."""
        if live is not None:
            try:
                if (release := self.find(live)) is None:
                    logger.info("%s was live before, and is made again", live[:7])
                    release = await self.add(live)
                    await self.build(release)
            except (StepFailed, OSError) as failure:
                logger.error("the last good release cannot be made again: %s", failure)
            else:
                return release
        revision = self.last_promoted()
        return self.find(revision) if revision else None

    async def needs_migration(self, revision: str, done: Collection[str]) -> bool:
        """Whether `migrate` is to run for it: the data is not there yet.

        `done` are revisions whose migrations the data has. It has those of their ancestors, too.
        """
        if self.config.migrate is None or revision in done:
            return False
        try:
            return not await self._git.is_contained(revision, done)
        except GitError as error:
            raise MachineFault(
                f"whether {revision[:7]} is to migrate is not known: {error}"
            ) from None

    async def migrate(self, release: Release) -> None:
        """Run the migrate command, if there is one; raise `StepFailed`."""
        if self.config.migrate is not None:
            await self._command("migrate", self.config.migrate, release)

    async def prune(
        self,
        in_use: Collection[str],
        running: Collection[Path] = (),
        *,
        seconds: float = stray_scan.PATIENT_SECONDS,
    ) -> None:
        """Delete what was left half made, and all but the newest `keep` of those not in use.

        In use are these revisions, and the directories in which something may be running.

        They are looked through for data first, which takes these seconds at most for all of them.
        What cannot be deleted is logged, and named in `unremovable`; the others go all the same.
        """
        until = trio.current_time() + seconds
        paths = [path for path in self._directory.iterdir() if path.is_dir()]
        builds = self._builds
        used = {builds.complete(revision) or builds.usual(revision) for revision in in_use}
        used |= set(running)
        complete = [path for path in paths if self._mark(path).exists()]
        complete.sort(key=lambda path: self._mark(path).stat().st_mtime, reverse=True)
        spare = [path for path in complete if path not in used and self._counts(path)]
        kept = used | set(spare[: self.config.keep])
        unremovable = []
        for path in paths:
            if path in kept and path not in self._holding:
                continue
            there = await self._left_in_old(path, until, seconds / 2)
            self._holding.pop(path, None)
            if there:
                if path in kept:
                    self._holding[path] = stray_text.kept(there)
                unremovable.append(stray_text.kept(there))
                if unremovable[-1] not in self.unremovable:
                    logger.warning("release %s is kept: %s", path.name, unremovable[-1])
                continue
            if path in kept:
                continue
            try:
                await self._remove(path)
            except OSError as error:
                unremovable.append(f"{error}; what is left of it: {self._leftovers}")
                logger.warning("release %s cannot be removed: %s", path.name, unremovable[-1])
            else:
                logger.info("release %s was removed", path.name)
        # Some may have been noted meanwhile.
        more = [why for why in self._holding.values() if why not in unremovable]
        self.unremovable = unremovable + more
        await self._forget_removed()

    async def clear(self) -> None:
        """Delete all releases, whatever they hold; raise `OSError`."""
        for path in [path for path in self._directory.iterdir() if path.is_dir()]:
            await self._remove(path)
        await self._forget_removed()

    def note_stray_data(self, there: StrayData) -> None:
        """`status` is to name it from now on, until a look finds it empty."""
        self._holding[there.release] = why = stray_text.kept(there)
        if why not in self.unremovable:
            self.unremovable = [*self.unremovable, why]

    async def _left_in_old(self, path: Path, until: float, much: float) -> StrayData | None:
        """As `stray_data_in`. What had much time and was too large for it does not get it again."""
        if path in self._too_large:
            return self._too_large[path]
        seconds = max(0.0, until - trio.current_time())
        there = await self.stray_data_in(path, seconds=seconds, before_deleting=True)
        if there and there.is_partial and seconds >= much:
            self._too_large[path] = there
        return there

    def _counts(self, path: Path) -> bool:
        """It is the complete build of its revision, and was not built again since."""
        return self._builds.complete(build_record.read(self._mark(path)).revision) == path

    @property
    def _leftovers(self) -> Path:
        return self._directory / f"{trees.LEFTOVER}*"

    async def _forget_removed(self) -> None:
        try:
            await self._git.forget_worktrees(self._directory)
        except GitError as error:
            # The checkout is gone, say: the watch tells of that, and git's records can wait.
            logger.debug("git cannot forget removed releases: %s", error)

    async def _check_is_checked_out(self, revision: str) -> None:
        try:
            head = await self._git.head()
        except GitError as error:
            raise MachineFault(str(error)) from None
        if head != revision:
            raise DeployRefused(
                f"in_place = true runs what is checked out, and that is {head[:7]}: "
                f"git checkout {revision[:12]}"
            )

    async def _command(self, what: str, argv: Argv, release: Release) -> None:
        def take(lines: Sequence[str], is_error: bool) -> None:
            self._output.take(what, release.revision, lines, is_error=is_error)

        try:
            done = await command.run(
                argv,
                cwd=release.path,
                env={**self._env, **release.env, "BLUE_GREEN_REVISION": release.revision},
                user=self._user,
                timeout=self.config.build_timeout,
                on_lines=take,
                inherits=True,
            )
        except CannotStart as error:
            raise from_errno(f"{what}: {error}", error.errno) from None
        if done.timed_out:
            raise StepFailed(
                f"{what} took more than {self.config.build_timeout:g} s and was ended", done.tail
            )
        if not done.ok:
            raise StepFailed(f"{what} {ending(done.code)}", done.tail)

    def _release(self, revision: str, path: Path) -> Release:
        if not REVISION.fullmatch(revision):
            raise StepFailed(f'"{revision}" is not a revision')
        return Release(revision, path, self.env_in(path))

    def env_in(self, path: Path) -> dict[str, str]:
        """What programs in the release there need, if they run as another user than git does."""
        is_ours = self._user.uid == self._git.owner.uid
        return {} if is_ours else trusting(path, self._env)

    async def _link(self, path: Path, name: str) -> None:
        source, link = self._git.checkout / name, path / name
        if os.path.lexists(link):
            raise StepFailed(f"link: {name} is tracked by git, so each release has its own")
        if not link.parent.resolve().is_relative_to(path.resolve()):
            raise StepFailed(f"link: {link.parent} is a symbolic link out of the release")
        if not source.exists():
            await self._make(source, name)
        await self._as_user("mkdir", "-p", "--", str(link.parent))
        await self._as_user("ln", "-s", "-T", "--", str(source), str(link))

    async def _make(self, source: Path, name: str) -> None:
        """Make a directory in the checkout; a file is made there by whoever first writes to it."""
        directory = source if name.endswith("/") else source.parent
        if not directory.exists():
            maker = users.creator_of(directory, self._git.checkout, self._git.owner, self._user)
            await self._run_small("mkdir", "-p", "--", str(directory), user=maker)
            if maker is self._git.owner:
                await self._hand_over(directory)
        if name.endswith("/"):
            logger.info("link: %s was made", source)
        else:
            logger.warning("link: there is no %s yet: it is made by whoever writes to it", source)

    async def _hand_over(self, path: Path) -> None:
        """Give the work tree to whom the app runs as, so that it can be built as them."""
        if self._user.uid == self._git.owner.uid:
            return
        try:
            await trees.give(path, self._git.owner.uid, self._user.uid, self._user.gid)
        except OSError as error:
            raise MachineFault(f"cannot give the release to {self._user.name}: {error}") from None

    async def _as_user(self, *argv: str) -> None:
        await self._run_small(*argv, user=self._user)

    async def _run_small(self, *argv: str, user: User) -> None:
        try:
            done = await command.run(
                argv, cwd=self._directory, env=self._git.env, user=user, timeout=SMALL_TIMEOUT
            )
        except CannotStart as error:
            raise from_errno(str(error), error.errno) from None
        if not done.ok:
            raise StepFailed(f"{done}: {'; '.join(done.tail)}")

    def _mark(self, path: Path) -> Path:
        return self._builds.mark_of(path)

    async def _remove(self, path: Path) -> None:
        self._mark(path).unlink(missing_ok=True)
        self._too_large.pop(path, None)
        # Not by git: it goes by names, and whoever the app runs as can change what these stand for.
        await trees.remove(path, owners=(self._user.uid,))
