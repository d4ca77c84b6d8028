"""The `link` setting: symbolic links from each release to the checkout, for shared data.

We may be root, and the release belongs to the app's user, who may have put symbolic links anywhere
in it. So only programs that run as that user write into it.
"""

import logging
import os
from collections.abc import Collection
from functools import partial
from itertools import islice
from pathlib import Path

import trio

from blue_green.source.failure import MachineFault, StepFailed, from_errno
from blue_green.source.git import Git
from blue_green.system import command, threads, tree_ownership, users
from blue_green.system.cannot_start import CannotStart
from blue_green.system.users import User

logger = logging.getLogger(__name__)

TIMEOUT = 120.0
"""Seconds for mkdir, rm and ln."""

ANSWER_TIMEOUT = 10.0
"""Seconds for a look at a path in the checkout, which may be on another machine."""

PLACEHOLDERS = frozenset({".keep", ".gitkeep", ".gitignore"})
"""Files that are committed only so that git has their directory."""
MOST_PLACEHOLDERS = 100


def keeps_place(name: str, tracked: Collection[str]) -> bool:
    """Whether all that git tracks in this directory is there only so that git has it."""
    inside = [path for path in tracked if path.startswith(f"{name.rstrip('/')}/")]
    parents = {path.rpartition("/")[0] for path in inside}
    return bool(inside) and all(
        path.rpartition("/")[2] in PLACEHOLDERS or path in parents for path in inside
    )


class Links:
    """Creates the links of releases."""

    def __init__(self, git: Git, user: User, directory: Path) -> None:
        """`user` runs the app, and `directory` contains the releases."""
        self._git = git
        self._user = user
        self._directory = directory

    async def create(self, release: Path, name: str) -> None:
        """Link a path in a release to the checkout; raise `StepFailed`."""
        target, link = self._git.checkout / name, release / name
        if name.endswith("/") and await threads.run(
            _has_only_placeholders, link, abandon_on_cancel=True
        ):
            await self._run("rm", "-r", "--", str(link), user=self._user)
        await threads.run(_check_place, release, name, abandon_on_cancel=True)
        if not await _exists(target):
            await self._create_target(target, is_directory=name.endswith("/"))
        await self._run("mkdir", "-p", "--", str(link.parent), user=self._user)
        await self._run("ln", "-s", "-T", "--", str(target), str(link), user=self._user)

    async def give_to_user(self, path: Path) -> None:
        """Give a tree to the app's user, so that programs of the app can write there."""
        user, owner = self._user, self._git.owner
        if user.uid == owner.uid:
            return
        try:
            await tree_ownership.give(path, owner.uid, user.uid, user.gid)
        except OSError as error:
            raise MachineFault(f"cannot give {path} to {user.name}: {error}") from None

    async def _create_target(self, target: Path, *, is_directory: bool) -> None:
        """Create a directory in the checkout. The first write through a link creates a file."""
        owner = self._git.owner
        directory = target if is_directory else target.parent
        if not await _exists(directory):
            find = partial(users.creator_of, directory, self._git.checkout, owner, self._user)
            creator = await threads.run(find, abandon_on_cancel=True)
            await self._run("mkdir", "-p", "--", str(directory), user=creator)
            if creator is owner:
                await self.give_to_user(directory)
        if is_directory:
            logger.info("link: created %s", target)
        else:
            logger.warning("link: %s does not exist yet: the first write creates it", target)

    async def _run(self, *argv: str, user: User) -> None:
        try:
            done = await command.run(
                argv, cwd=self._directory, env=self._git.env, user=user, timeout=TIMEOUT
            )
        except CannotStart as error:
            raise from_errno(str(error), error.errno) from None
        if not done.ok:
            raise StepFailed(f"{done}: {'; '.join(done.tail)}")


async def _exists(path: Path) -> bool:
    """Whether this path in the checkout exists; raise `MachineFault` if its file system hangs."""
    try:
        with trio.fail_after(ANSWER_TIMEOUT):
            return await threads.run(path.exists, abandon_on_cancel=True)
    except trio.TooSlowError:
        raise MachineFault(f"link: the file system of {path} does not respond") from None


def _check_place(release: Path, name: str) -> None:
    """Raise `StepFailed` if there can be no link at this path of the release."""
    link = release / name
    if os.path.lexists(link):
        raise StepFailed(f"link: git tracks {name}, so each release has its own")
    if not link.parent.resolve().is_relative_to(release.resolve()):
        raise StepFailed(f"link: {link.parent} is a symbolic link out of the release")


def _has_only_placeholders(directory: Path) -> bool:
    """Whether a directory of a release has nothing in it that the app may need."""
    if directory.is_symlink() or not directory.is_dir():
        return False
    walked = list(islice(os.walk(directory), MOST_PLACEHOLDERS + 1))
    names = [name for _, _, files in walked for name in files]
    return len(walked) <= MOST_PLACEHOLDERS and PLACEHOLDERS.issuperset(names)
