"""The releases of a site: a work tree of a revision with linked paths, built, and kept for later.

A release is complete when there is a record of it in the `built` directory. One without a record is
incomplete, and is made again. A complete release never changes, so going back to it needs neither
the network nor a build.
"""

import logging
import os
import tempfile
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import trio

from blue_green.config.settings import SiteSettings
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
from blue_green.source.builds import Builds
from blue_green.source.failure import DeployRefused, MachineFault, StepFailed
from blue_green.source.git import Git
from blue_green.source.git_errors import BadRevision, GitError
from blue_green.source.links import Links
from blue_green.source.pruning import Pruning
from blue_green.source.release import Release
from blue_green.source.release_commands import ReleaseCommands
from blue_green.source.revision import REVISION
from blue_green.source.stray_data import StrayData
from blue_green.system import threads
from blue_green.system.users import User

logger = logging.getLogger(__name__)

DIRECTORY = "releases"
"""Inside the state directory; it belongs to the checkout's owner."""


class Releases:
    """Makes releases of one checkout, and finds them again."""

    def __init__(
        self,
        config: ReleaseSettings,
        git: Git,
        state_directory: Path,
        commands: ReleaseCommands,
        *,
        keeps_out_others: bool = False,
    ) -> None:
        """With `keeps_out_others`, root keeps users out that have nothing to do with the site."""
        self.config = config
        self.in_place = config.in_place
        self.git = git
        self.builds = Builds(state_directory / DIRECTORY, state_directory / "built")
        self.pruning = Pruning(self)
        self._keeps_out_others = keeps_out_others
        self._commands = commands
        self._links = Links(git, commands.user, self.builds.directory)

    @property
    def user(self) -> User:
        """The user that runs the app."""
        return self._commands.user

    @property
    def written_directories(self) -> Sequence[Path]:
        """Directories to which making and running a release writes, so that they need room."""
        return (self.builds.directory, Path(tempfile.gettempdir()), Path(self.user.home))

    def use(self, settings: SiteSettings) -> None:
        """Make releases with these settings from now on."""
        self.config = settings.release
        self._commands.settings = settings

    def create_directories(self) -> None:
        """Create the directory of the releases, where the checkout's owner can write."""
        self.builds.records.mkdir(parents=True, exist_ok=True)
        self.builds.directory.mkdir(parents=True, exist_ok=True)
        if os.geteuid() != 0:
            return
        group = self.user.gid if self._keeps_out_others else self.git.owner.gid
        os.chown(self.builds.directory, self.git.owner.uid, group)
        if self._keeps_out_others:
            self.builds.directory.chmod(0o750)

    async def find(self, revision: str) -> Release | None:
        """The complete release of this revision, if there is one."""
        if self.in_place:
            return self._release(revision, self.git.checkout)
        path = await threads.run(self.builds.complete, revision, abandon_on_cancel=True)
        return self._release(revision, path) if path else None

    async def lacks_links(self, release: Release) -> bool:
        """Whether `link` has new entries since the release was made, so that it must be made again.

        Not if git tracks one of them in this revision: then a link is impossible.
        """
        names = [name.rstrip("/") for name in self.config.link]
        missing = await threads.run(_not_linked, release.path, names, abandon_on_cancel=True)
        if not missing:
            return False
        try:
            return missing.isdisjoint(await self.git.names(release.revision))
        except GitError as error:
            logger.warning("cannot list the files of %s: %s", release.revision[:7], error)
            return False

    async def stray_data_in(
        self, path: Path, *, seconds: float = stray_scan.MAX_SECONDS, before_deleting: bool = False
    ) -> StrayData | None:
        """Data that was written into a complete release and exists nowhere else, if any.

        Also if the scan did not finish: then the release must not be deleted.
        """
        checkout, links = self.git.checkout, self.config.link

        def find() -> StrayData | None:
            file = self.builds.record_of(path)
            if not file.exists():
                return None
            return stray_data.find(
                path, build_record.read(file), checkout, links,
                seconds=seconds, before_deleting=before_deleting,
            )  # fmt: skip

        if self.in_place:
            return None
        return await threads.run(find, abandon_on_cancel=True) or None

    async def add(self, revision: str, *, beside: bool = False) -> Release:
        """Make a work tree of a revision, with its links; raise `StepFailed` or `DeployRefused`.

        With `beside`, in another directory than a complete release of it.
        """
        try:
            if self.in_place:
                return await self._add_in_place(revision)
            release = await self._check_out(revision, beside=beside)
        except BadRevision as error:
            raise StepFailed(f"cannot check out {revision[:7]}: {error}") from None
        except (GitError, OSError) as error:
            raise MachineFault(f"cannot check out {revision[:7]}: {error}") from None
        await self._links.give_to_user(release.path)
        for name in self.config.link:
            await self._links.create(release.path, name)
        return release

    async def _add_in_place(self, revision: str) -> Release:
        release = self._release(revision, self.git.checkout)
        try:
            head = await self.git.head()
        except GitError as error:
            raise MachineFault(str(error)) from None
        if head != revision:
            raise DeployRefused(
                f"in_place = true runs what is checked out, and that is {head[:7]}: "
                f"git checkout {revision[:12]}"
            )
        await submodules.update_in_place(self.git)
        await lfs.check(self.git, release.path)
        return release

    async def _check_out(self, revision: str, *, beside: bool) -> Release:
        # Somebody may have deleted the state directory.
        await threads.run(self.create_directories)
        find_unused = partial(threads.run, self.builds.unused, revision, abandon_on_cancel=True)
        path = await find_unused() if beside else self.builds.first(revision)
        release = self._release(revision, path)
        if data := await self.stray_data_in(
            path, seconds=stray_scan.PATIENT_SECONDS, before_deleting=True
        ):
            logger.warning(
                "making %s in another directory: %s", revision[:7], stray_text.kept(data)
            )
            release = self._release(revision, await find_unused())
        await self.pruning.remove(release.path)
        await worktree.add(self.git, release.path, revision)
        inner = await submodules.check_out(self.git, release.path, revision)
        for work_tree in (release.path, *inner):
            await lfs.check(self.git, work_tree)
        return release

    async def build(self, release: Release) -> None:
        """Run the build command, if there is one, and record that the release is complete."""
        if self.config.build is not None:
            await self._commands.run("build", self.config.build, release, self.config.build_timeout)
        if not self.in_place:
            scan = partial(stray_scan.scan, release.path)
            found = await threads.run(scan, abandon_on_cancel=True)
            record = build_record.complete(release.revision, found)
            await threads.run(record.write, self.builds.record_of(release.path))

    async def note_promoted(self, release: Release) -> None:
        """Record that this release was promoted, in case the state is lost."""
        if self.in_place:
            return
        self.pruning.forget(release.path)
        try:
            with trio.CancelScope(shield=True):
                await threads.run(self.builds.note_promoted, release.path)
        except OSError as error:
            short = release.revision[:7]
            logger.warning("cannot record that %s was promoted: %s", short, error.strerror)

    async def discard(self, release: Release) -> None:
        """Delete the record of a build, so that an earlier build of the revision counts.

        A release with data keeps its record; an earlier one that was promoted counts anyway.
        """
        if not self.in_place and not await self.stray_data_in(release.path, before_deleting=True):
            await threads.run(self.builds.forget, release.path)

    async def last_promoted(self) -> str | None:
        """The revision of the newest complete release that was promoted."""
        promoted = await threads.run(self.builds.promoted, abandon_on_cancel=True)
        return next(iter(promoted.values()), None)

    async def has_good(self, live: str | None) -> bool:
        """Whether there is a release to serve without the checkout: `live`, or an earlier one."""
        if self.in_place:
            return False
        if live and await self.find(live):
            return True
        return await self.last_promoted() is not None

    async def last_good(self, live: str | None) -> Release | None:
        """The last live release, made again if necessary; else the newest that was promoted."""
        if live is not None:
            try:
                if (release := await self.find(live)) is None:
                    logger.info("%s was live before: making it again", live[:7])
                    release = await self.add(live)
                    await self.build(release)
            except (StepFailed, OSError) as failure:
                logger.error("cannot make the last live release again: %s", failure)
            else:
                return release
        revision = await self.last_promoted()
        return await self.find(revision) if revision else None

    async def needs_migration(self, revision: str, done: Collection[str]) -> bool:
        """Whether `migrate` must run for this revision.

        The data was migrated to the revisions in `done`, and so to their ancestors.
        """
        if self.config.migrate is None or revision in done:
            return False
        try:
            return not await self.git.is_contained(revision, done)
        except GitError as error:
            raise MachineFault(
                f"cannot tell whether {revision[:7]} must migrate: {error}"
            ) from None

    async def migrate(self, release: Release) -> None:
        """Run the migrate command, if there is one; raise `StepFailed`."""
        if self.config.migrate is not None:
            await self._commands.run(
                "migrate", self.config.migrate, release, self.config.build_timeout
            )

    def _release(self, revision: str, path: Path) -> Release:
        if not REVISION.fullmatch(revision):
            raise StepFailed(f'"{revision}" is not a revision')
        return Release(revision, path)


def _not_linked(release: Path, names: Sequence[str]) -> set[str]:
    """Those of the paths in a release that are no links."""
    return {name for name in names if not (release / name).is_symlink()}
