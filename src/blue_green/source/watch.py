"""Watch HEAD of the checkout, and pull when that is due or requested.

The watch polls the few files that change with HEAD, and runs git only when one of them has changed.
A pull just moves HEAD; the watch notices that as if somebody had run `git pull`.
"""

import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import trio
from attrs import frozen

from blue_green.config.site_settings import GitSettings
from blue_green.source import head
from blue_green.source.git import Git, GitPaths
from blue_green.source.git_errors import GitError
from blue_green.system import threads

logger = logging.getLogger(__name__)

POLL_INTERVAL = 0.25
POLLS_PER_SECOND = 100
"""Of all watches of a process: with more than 25, each of them polls less often."""
RELAXATION = 4
"""How many times as long the interval is while nobody uses the site."""
RETRY_INTERVAL = 1.0
"""Seconds until the next attempt after git failed."""
LONGEST_LOCK = 10.0
"""Seconds for which a lock of git delays reading HEAD."""
IN_PROGRESS = ("rebase-merge", "rebase-apply", "sequencer")
"""Entries of the git directory while a rebase or a series of picks moves HEAD several times."""
JITTER = 0.1
DEBOUNCE = 0.25
"""Seconds before a requested pull: forges often call the hook several times for one push."""
REQUEST_RETRY = 30.0
"""The upper limit of `pull_every` after a requested pull has failed."""
LONGEST_BACKOFF = 8
"""The interval between pulls that fail grows up to so many times."""


def pull_delay(every: float, failures: int, chance: float) -> float:
    """Seconds until the next pull, after so many failures in a row; `chance` is from 0 to 1.

    With jitter, so that machines that start together do not always pull together.
    """
    backoff: int = min(2**failures, LONGEST_BACKOFF)
    return every * backoff * (1 + JITTER * (2 * chance - 1))


OnHead = Callable[[str], Awaitable[None]]


class Watch:
    """Reports each new HEAD once."""

    def __init__(self, settings: GitSettings, git: Git) -> None:
        self.poll_interval = POLL_INTERVAL
        """Seconds between two looks at the checkout."""
        self.is_relaxed = False
        """Nobody uses the site: it looks less often."""
        self._settings = settings
        self._git = git
        self._paths: GitPaths | None = None
        """None while the checkout cannot be used: it may be another one afterwards."""
        self._problems = {"follow": "", "pull": ""}
        self.lock = trio.Lock()
        """Held during a pull. Hold it to keep any pull from beginning."""
        self._wake = trio.Event()
        """`pull_every` has changed, or a pull was requested."""
        self._is_requested = False
        self._reports_again = False

    def use(self, settings: GitSettings) -> None:
        """Use these settings from now on."""
        before, self._settings = self._settings, settings
        self._git.fetch_timeout = settings.fetch_timeout
        if settings.pull_every != before.pull_every:
            self._wake.set()

    def pull_now(self) -> None:
        """Request a pull, even without `pull_every`. Several requests may share one pull.

        A pull that fails is retried with growing delays until it succeeds.
        """
        self._is_requested = True
        self._wake.set()

    def report_again(self) -> None:
        """Report HEAD once more, even if it has not moved."""
        self._reports_again = True

    async def find_checkout(self) -> None:
        """Check that the checkout can be used; raise `GitError` or `OSError` if not."""
        paths = await self._git.paths()
        await self._git.head()
        self._paths = paths

    @property
    def problem(self) -> str:
        """Why the checkout cannot be followed; "" if it can."""
        return "; ".join(filter(None, self._problems.values()))

    async def run(self, first: str | None, on_head: OnHead) -> None:
        """Await `on_head` for each HEAD that differs from the one before, which is `first`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_head, first, on_head)
            nursery.start_soon(self._pull)

    async def _watch_head(self, before: str | None, on_head: OnHead) -> None:
        seen: object = None
        while True:
            snapshot = await _take_snapshot(self._paths)
            pause = self.poll_interval * (RELAXATION if self.is_relaxed else 1)
            has_changed = snapshot.signature != seen or snapshot.paths is None
            is_due = has_changed or self._reports_again or bool(self._problems["follow"])
            # At first HEAD is taken as it is: an unfinished rebase is better than an empty site.
            must_wait = snapshot.is_locked or (before and self._is_in_progress(snapshot))
            if is_due and not must_wait:
                try:
                    if self._paths is None:
                        self._paths = await self._git.paths()
                        snapshot = await _take_snapshot(self._paths)
                    current = await self._git.head()
                except (GitError, OSError) as error:
                    self._paths = None
                    self._report("follow", f"cannot follow {self._git.checkout}: {error}")
                    pause = RETRY_INTERVAL
                else:
                    self._report("follow", "")
                    seen = snapshot.signature
                    if current != before or self._reports_again:
                        before, self._reports_again = current, False
                        await on_head(current)
            await trio.sleep(pause)

    async def _pull(self) -> None:
        failures, is_pending = 0, False
        while True:
            delay = self._until_pull(failures, is_pending=is_pending)
            with trio.move_on_after(delay) as due:
                await self._wake.wait()
            self._wake = trio.Event()
            if not self._is_requested and not due.cancelled_caught:
                failures = 0
                if self._settings.pull_every is None and not is_pending:
                    self._problems["pull"] = ""  # A reload has switched pulls off.
                continue
            if self._is_requested:
                await trio.sleep(DEBOUNCE)
                self._wake = trio.Event()
                self._is_requested, is_pending = False, True
            if self._paths is None:
                continue  # The watch has reported that, and retries.
            try:
                async with self.lock:
                    resets = self._settings.follow == "reset"
                    await self._git.pull(self._settings.branch, resets=resets)
            except (GitError, OSError) as error:
                failures = min(failures + 1, LONGEST_BACKOFF)
                self._report("pull", f"cannot pull: {error}")
            else:
                failures, is_pending = 0, False
                self._report("pull", "")

    def _until_pull(self, failures: int, *, is_pending: bool) -> float:
        """Seconds to the next pull, after so many failures in a row.

        A requested pull is pending until it has succeeded.
        """
        every = min(
            self._settings.pull_every or math.inf, REQUEST_RETRY if is_pending else math.inf
        )
        return pull_delay(every, failures, random.random())

    def _report(self, what: str, problem: str) -> None:
        """Log a problem when it begins, changes or ends, not each time that it occurs."""
        before, self._problems[what] = self._problems[what], problem
        if problem and problem != before:
            logger.error("%s", problem)
        elif before and not problem:
            logger.info("can %s again: %s", what, self._git.checkout)

    def _is_in_progress(self, snapshot: "_Snapshot") -> bool:
        """Whether HEAD is moving through several commits. Reports it if that has stopped."""
        if snapshot.in_progress and min(snapshot.in_progress) >= LONGEST_LOCK:
            self._report(
                "follow",
                f"cannot follow {self._git.checkout}: a rebase, cherry-pick or revert is not "
                f"finished there: --continue or --abort it (git status says which)",
            )
        return bool(snapshot.in_progress)


@frozen
class _Snapshot:
    """The state of the files of a checkout; empty if there is no checkout."""

    paths: GitPaths | None
    signature: object = None
    """A value that changes when HEAD may have moved."""
    lock_age: float | None = None
    """Seconds since git took its lock."""
    in_progress: Sequence[float] = ()
    """Ages of the entries for a series of commits that is not finished, in seconds."""

    @property
    def is_locked(self) -> bool:
        """Whether a git command is running in the checkout.

        A lock that is old was left behind by a git that was killed, and blocks only git itself.
        """
        return self.lock_age is not None and self.lock_age < LONGEST_LOCK


async def _take_snapshot(paths: GitPaths | None) -> _Snapshot:
    """Read the files in a thread: a file system that hangs must block only the watch."""
    if paths is None:
        return _Snapshot(None)
    return await threads.run(_read_files, paths, abandon_on_cancel=True)


def _read_files(paths: GitPaths) -> _Snapshot:
    ages = (_age(paths.git_dir / name) for name in IN_PROGRESS)
    return _Snapshot(
        paths,
        _signature(paths),
        lock_age=_age(paths.git_dir / "index.lock"),
        in_progress=[age for age in ages if age is not None],
    )


def _age(path: Path) -> float | None:
    """Seconds since a path was changed; None if it does not exist."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return None


def _signature(paths: GitPaths) -> object:
    """A value that changes when HEAD may have moved; None if the files cannot be read."""
    try:
        branch = head.branch(paths.git_dir)
    except (OSError, UnicodeDecodeError):
        return None
    git_dir, common_dir = paths.git_dir, paths.common_dir
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
