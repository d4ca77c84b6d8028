"""Pruning: old releases are deleted, unless they hold data that exists nowhere else."""

import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from blue_green.source import build_record, stray_scan, stray_text
from blue_green.source.git_errors import GitError
from blue_green.source.stray_data import StrayData
from blue_green.system import threads, trees

if TYPE_CHECKING:
    from blue_green.source.releases import Releases

logger = logging.getLogger(__name__)


class Pruning:
    """Deletes old releases, and remembers which ones could not be deleted."""

    def __init__(self, releases: "Releases") -> None:
        self._releases = releases
        self.before_deletion: Callable[[Path], None] = lambda path: None
        """Called with a release before any of its files are deleted."""
        self.unremovable: Sequence[str] = ()
        """Releases that could not be deleted, each with the reason and what to do."""
        self._with_data: dict[Path, str] = {}
        """Releases in use that hold data, or may, and why they will not be deleted."""
        self._too_large: dict[Path, StrayData] = {}
        """Releases whose scan did not finish."""

    async def prune(
        self,
        in_use: Collection[str],
        running: Collection[Path] = (),
        *,
        seconds: float = stray_scan.PATIENT_SECONDS,
    ) -> None:
        """Delete incomplete releases, and all but the newest `keep` of those not in use.

        These revisions are in use, and the directories in which something may be `running`.

        Releases are scanned for data first, for at most `seconds` together. Those that cannot be
        deleted are logged and listed in `unremovable`; the others are deleted all the same.
        """
        deadline = trio.current_time() + seconds
        paths = await threads.run(self._paths, abandon_on_cancel=True)
        keep = await threads.run(self._to_keep, paths, in_use, running, abandon_on_cancel=True)
        unremovable = []
        for path in paths:
            if path in keep and path not in self._with_data:
                continue
            data = await self._data_in(path, deadline, seconds / 2)
            self._with_data.pop(path, None)
            if data:
                reason = stray_text.kept(data)
                if path in keep:
                    self._with_data[path] = reason
                if reason not in self.unremovable:
                    logger.warning("release %s is kept: %s", path.name, reason)
                unremovable.append(reason)
            elif path not in keep and (reason := await self._delete(path)):
                unremovable.append(reason)
        # `add` may have added some meanwhile.
        added = [reason for reason in self._with_data.values() if reason not in unremovable]
        self.unremovable = unremovable + added
        await self._forget_worktrees()

    async def clear(self) -> None:
        """Delete all releases, whatever they hold; raise `OSError`."""
        for path in await threads.run(self._paths, abandon_on_cancel=True):
            await self.remove(path)
        await self._forget_worktrees()

    async def remove(self, path: Path) -> None:
        """Delete a release; raise `OSError`."""
        self.before_deletion(path)
        await threads.run(self._releases.builds.forget, path)
        self._too_large.pop(path, None)
        # Not with git, which works on names: the app's user can change what they refer to.
        await trees.remove(path, owners=(self._releases.user.uid,))

    def add(self, data: StrayData) -> None:
        """List a release in `unremovable`, until a scan finds no data in it."""
        self._with_data[data.release] = reason = stray_text.kept(data)
        if reason not in self.unremovable:
            self.unremovable = [*self.unremovable, reason]

    def forget(self, path: Path) -> None:
        """The release is live again, so its data is no problem."""
        self._with_data.pop(path, None)

    def _paths(self) -> list[Path]:
        return [path for path in self._releases.builds.directory.iterdir() if path.is_dir()]

    def _to_keep(
        self, paths: Collection[Path], in_use: Collection[str], running: Collection[Path]
    ) -> set[Path]:
        builds = self._releases.builds
        used = {builds.complete(revision) or builds.first(revision) for revision in in_use}
        used |= set(running)
        complete = [path for path in paths if builds.record_of(path).exists()]
        complete.sort(key=lambda path: builds.record_of(path).stat().st_mtime, reverse=True)
        spare = [path for path in complete if path not in used and self._is_current(path)]
        return used | set(spare[: self._releases.config.keep])

    def _is_current(self, path: Path) -> bool:
        """Whether this is the build of its revision that counts: it was not built again since."""
        builds = self._releases.builds
        return builds.complete(build_record.read(builds.record_of(path)).revision) == path

    async def _delete(self, path: Path) -> str:
        """Delete an old release; why it could not be deleted, if so."""
        try:
            await self.remove(path)
        except OSError as error:
            rest = self._releases.builds.directory / f"{trees.LEFTOVER}*"
            reason = f"{error}; what is left of it: {rest}"
            logger.warning("cannot delete release %s: %s", path.name, reason)
            return reason
        logger.info("deleted release %s", path.name)
        return ""

    async def _data_in(self, path: Path, deadline: float, enough: float) -> StrayData | None:
        """Scan a release, unless a scan of `enough` seconds did not finish before."""
        if path in self._too_large:
            return self._too_large[path]
        seconds = max(0.0, deadline - trio.current_time())
        data = await self._releases.stray_data_in(path, seconds=seconds, before_deleting=True)
        if data and data.is_partial and seconds >= enough:
            self._too_large[path] = data
        return data

    async def _forget_worktrees(self) -> None:
        try:
            await self._releases.git.forget_worktrees(self._releases.builds.directory)
        except GitError as error:
            # If the checkout is gone, the watch reports that, and git's records can wait.
            logger.debug("git cannot forget deleted releases: %s", error)
