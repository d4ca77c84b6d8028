"""Where wanted revisions come from: HEAD of the checkout moved, or a pull was due or asked
for, and moved it.

HEAD is watched by looking at the few files that move with it; git is run only when one of them is
different. A pull is for its effect on HEAD: what follows is the same as if somebody had typed it.
"""

import logging
import math
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import trio
from attrs import frozen

from blue_green.config.site_settings import GitSettings
from blue_green.source import head
from blue_green.source.git import Git, GitError, GitPaths

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.25
LOOK_AGAIN = 1.0
"""Seconds until we ask again after git failed."""
LONGEST_LOCK = 10.0
"""Seconds for which git may hold its lock before we look at HEAD all the same."""
HALF_DONE = ("rebase-merge", "rebase-apply", "sequencer")
"""In the git directory while a rebase, or a series of picks, takes HEAD from commit to commit."""
JITTER = 0.1
GATHER = 0.25
"""Seconds before a pull that was asked for: one push often makes a forge call several times."""
ASK_AGAIN = 30.0
"""What `pull_every` is at most after a pull that was asked for has failed."""
LONGEST_BACKOFF = 8
"""A pull that fails again and again comes less often, down to every so many intervals."""


def pull_delay(every: float, failures: int, chance: float) -> float:
    """Seconds until the next pull, after so many failures in a row; `chance` is from 0 to 1.

    The jitter is so that machines which start together do not ask together for ever.
    """
    backoff: int = min(2**failures, LONGEST_BACKOFF)
    return every * backoff * (1 + JITTER * (2 * chance - 1))


class Watch:
    """Tells of each new HEAD, once."""

    def __init__(self, settings: GitSettings, git: Git) -> None:
        self._settings = settings
        self._git = git
        self._places: GitPaths | None = None
        """None while the checkout cannot be used: what comes back is looked at anew."""
        self._problems = {"follow": "", "pull": ""}
        self.lock = trio.Lock()
        """Who has it pulls. Others take it to have no pull begin."""
        self._wake = trio.Event()
        """`pull_every` has changed, or a pull is wanted now."""
        self._is_asked = False

    def use(self, settings: GitSettings) -> None:
        """From now on the checkout is followed as these settings say."""
        before, self._settings = self._settings, settings
        self._git.fetch_timeout = settings.fetch_timeout
        if settings.pull_every != before.pull_every:
            self._wake.set()

    def pull_now(self) -> None:
        """Have a pull made soon, also without `pull_every`; asked for often, it is made once.

        If it fails it is tried again, less and less often, until one succeeds.
        """
        self._is_asked = True
        self._wake.set()

    async def find_checkout(self) -> None:
        """Look whether the checkout can be used; raise `GitError` or `OSError` if it cannot."""
        places = await self._git.places()
        await self._git.head()
        self._places = places

    @property
    def problem(self) -> str:
        """What keeps us from following the checkout; nothing if all is well."""
        return "; ".join(filter(None, self._problems.values()))

    async def run(self, first: str | None, on_head: Callable[[str], None]) -> None:
        """Call `on_head` for each HEAD that differs from the one before, which is `first`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_head, first, on_head)
            nursery.start_soon(self._pull)

    async def _watch_head(self, before: str | None, on_head: Callable[[str], None]) -> None:
        seen: object = None
        while True:
            look = await _look(self._places)
            pause = LOOK_EVERY
            is_due = look.signature != seen or look.places is None or bool(self._problems["follow"])
            # The first HEAD is taken as it is: what is half done is better than an empty site.
            if is_due and not look.is_being_written and not (before and self._is_half_done(look)):
                try:
                    if self._places is None:
                        self._places = await self._git.places()
                        look = await _look(self._places)
                    current = await self._git.head()
                except (GitError, OSError) as error:
                    self._places = None
                    self._tell("follow", f"cannot follow {self._git.checkout}: {error}")
                    pause = LOOK_AGAIN
                else:
                    self._tell("follow", "")
                    seen = look.signature
                    if current != before:
                        before = current
                        on_head(current)
            await trio.sleep(pause)

    async def _pull(self) -> None:
        failures, owed = 0, False
        while True:
            with trio.move_on_after(self._until_pull(failures, owed=owed)) as due:
                await self._wake.wait()
            self._wake = trio.Event()
            if not self._is_asked and not due.cancelled_caught:
                failures = 0
                if self._settings.pull_every is None and not owed:
                    self._problems["pull"] = ""  # Nobody wants it any more.
                continue
            if self._is_asked:
                await trio.sleep(GATHER)
                self._wake = trio.Event()
                self._is_asked, owed = False, True
            if self._places is None:
                continue  # That it cannot be used was told, and is seen again soon.
            try:
                async with self.lock:
                    await self._git.pull(self._settings.branch)
            except (GitError, OSError) as error:
                failures = min(failures + 1, LONGEST_BACKOFF)
                self._tell("pull", f"cannot pull: {error}")
            else:
                failures, owed = 0, False
                self._tell("pull", "")

    def _until_pull(self, failures: int, *, owed: bool) -> float:
        """Seconds to the next pull, after so many failures in a row.

        One is owed to whoever asked for it until it has succeeded.
        """
        every = min(self._settings.pull_every or math.inf, ASK_AGAIN if owed else math.inf)
        return pull_delay(every, failures, random.random())

    def _tell(self, what: str, problem: str) -> None:
        """Log a problem when it comes, changes or goes, not each time it is met."""
        before, self._problems[what] = self._problems[what], problem
        if problem and problem != before:
            logger.error("%s", problem)
        elif before and not problem:
            logger.info("can %s again: %s", what, self._git.checkout)

    def _is_half_done(self, look: "_Look") -> bool:
        """HEAD is on its way through several commits. One that got stuck on it is told of."""
        if look.half_done and min(look.half_done) >= LONGEST_LOCK:
            self._tell(
                "follow",
                f"cannot follow {self._git.checkout}: a rebase, cherry-pick or revert is half done "
                f"there: --continue or --abort it (git status says which)",
            )
        return bool(look.half_done)


@frozen
class _Look:
    """What a look at the files of a checkout shows; nothing of it where there is no checkout."""

    places: GitPaths | None
    signature: object = None
    """Something that differs when HEAD may have moved."""
    lock_age: float | None = None
    """Seconds since git took its lock."""
    half_done: Sequence[float] = ()
    """Ages of what stands for a series of commits that has not come to its end, in seconds."""

    @property
    def is_being_written(self) -> bool:
        """A git command is at work in the checkout, and its end will be seen.

        A lock that stays is one that a killed git left behind, and hinders only git itself.
        """
        return self.lock_age is not None and self.lock_age < LONGEST_LOCK


async def _look(places: GitPaths | None) -> _Look:
    """Look in a thread: a file system that hangs must keep nobody waiting but the watch."""
    if places is None:
        return _Look(None)
    return await trio.to_thread.run_sync(_look_now, places, abandon_on_cancel=True)


def _look_now(places: GitPaths) -> _Look:
    ages = (_age(places.git_dir / name) for name in HALF_DONE)
    return _Look(
        places,
        _signature(places),
        lock_age=_age(places.git_dir / "index.lock"),
        half_done=[age for age in ages if age is not None],
    )


def _age(path: Path) -> float | None:
    """Seconds since it was changed; None if it is not there."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return None


def _signature(places: GitPaths) -> object:
    """Something that differs when HEAD may have moved; None if it cannot be read."""
    try:
        branch = head.branch(places.git_dir)
    except (OSError, UnicodeDecodeError):
        return None
    git_dir, common_dir = places.git_dir, places.common_dir
    files = [git_dir / "HEAD", git_dir / "logs" / "HEAD", common_dir / "packed-refs"]
    files.append(common_dir / "reftable" / "tables.list")
    if branch:
        files.append(common_dir / branch)
    return tuple(_stamp(file) for file in files)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
