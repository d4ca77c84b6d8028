"""What a running app has written into its own release, and would be out of view with the next one.

A release is a work tree that nothing writes to once it is built, but for an app that keeps its data
beside its code. What it keeps there is noticed here: databases of SQLite, and other files that came
after the build and are neither caches nor logs.

The release belongs to whoever the app runs as, and we may be root. So directories are opened in
the one above and never through a link, no file is opened that is not a regular one, and nothing
waits for a file. It may be large, too: what is looked at is bounded in number, depth and time.
"""

import errno
import fnmatch
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from attrs import field, frozen

HEADER = b"SQLite format 3\0"
"""How a database begins (sqlite.org/fileformat.html), and it is as long as some of its pages."""
LEAST_PAGE = 512
LOG = "-wal"
"""What a database has beside it that holds changes which are not in it yet."""
BESIDE = ("-wal", "-shm", "-journal")

MAX_ENTRIES = 1_000_000
DEEPEST = 64
"""Each level has a descriptor open, and a frame of Python's."""
MAX_SECONDS = 10.0
PATIENT_SECONDS = 30.0
"""For all looks before old releases are deleted: the next swap waits for them."""
HELD_SECONDS = 1.0
"""For a look while requests wait."""
MAX_NAMES = 10
PORTION = 128
PAUSE = 0.0005
"""Seconds after each portion of entries, so that the event loop gets to run."""

MADE_FROM_CODE = (".git", "__pycache__", "*cache*")
"""Directories that hold nothing but what can be had again: not even a database there is data."""
ENVIRONMENT = "pyvenv.cfg"
"""A directory with this in it is a virtual environment (PEP 405)."""
OF_ENVIRONMENT = ("bin", "include", "lib", "lib64", "share")
"""What is its own there; an app may keep more beside it."""
INSTALLED = ("node_modules",)
"""Directories in which only a database counts that came after the build."""
PASSING = (
    "tmp", ".tmp", "temp", "log", "logs", "run", "pids", ".next", ".nuxt", ".output", ".svelte-kit",
    "coverage",
)  # fmt: skip
"""Directories in which only a database counts."""
JUNK = (
    "*.pyc", "*.pyo", "*.log", "*.log.*", "*.pid", "*.lock", "*.sock", "*.tmp", "*.swp", "*~",
    ".ds_store", "nohup.out", "celerybeat-schedule*", "core", "core.[0-9]*", ".gitignore",
    "counter_*.db", "gauge_*.db", "histogram_*.db", "summary_*.db",
)  # fmt: skip
"""Files that nobody misses. Those that end in `.db` are prometheus_client's, one a process."""

_MADE_FROM_CODE, _JUNK = (
    re.compile("|".join(map(fnmatch.translate, patterns))) for patterns in (MADE_FROM_CODE, JUNK)
)

Stamp = tuple[int, int]
"""When a database was changed, in nanoseconds since the epoch, and its size."""


@frozen
class Found:
    """What is there: names relative to the release, in order."""

    databases: Mapping[str, Stamp] = field(factory=dict)
    files: Sequence[str] = ()
    is_partial: bool = False
    """There is more than we looked at, and what it is nobody knows."""

    def __bool__(self) -> bool:
        return bool(self.databases or self.files)


def scan(release: Path, since: int | None = None, *, seconds: float = MAX_SECONDS) -> Found:
    """All databases there, and the other files that came after `since` (ns since the epoch).

    With what cannot be read, or takes more than these seconds, the look is a partial one.
    """
    walk = _Walk(since, seconds)
    try:
        with _directory(str(release)) as root:
            walk.look(root, "", 0)
    except OSError as error:
        walk.note_unseen(error)
    except _EnoughError:
        walk.is_partial = True
    return walk.found()


class _EnoughError(Exception):
    """There is too much to look at."""


Counts = Literal["all", "databases", "new databases"]
"""What counts in a directory, and below."""


class _Walk:
    def __init__(self, since: int | None, seconds: float) -> None:
        self._since = since
        self._until = time.monotonic() + seconds
        self._entries = 0
        self.is_partial = False
        self._device: int | None = None
        self._databases: dict[str, Stamp] = {}
        self._files: list[str] = []

    def found(self) -> Found:
        beside = {f"{name}{end}" for name in self._databases for end in BESIDE}
        files = sorted(name for name in self._files if name not in beside)
        return Found(dict(sorted(self._databases.items())), files, self.is_partial)

    def note_unseen(self, error: OSError) -> None:
        """What is not there, or is no directory any more, has nothing in it; the rest may."""
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            self.is_partial = True

    def look(self, directory: int, at: str, depth: int, counts: Counts = "all") -> None:
        """See all that is in this directory, and below."""
        status = os.fstat(directory)
        self._device = self._device or status.st_dev
        if status.st_dev != self._device:
            return  # What is mounted there is not part of the release.
        if depth > DEEPEST:
            self.is_partial = True
            return
        with os.scandir(directory) as entries:
            self._look_at(entries, directory, at, depth, counts)

    def _look_at(
        self,
        entries: "Iterator[os.DirEntry[str]]",
        directory: int,
        at: str,
        depth: int,
        counts: Counts,
    ) -> None:
        is_environment = _is_there(ENVIRONMENT, directory)
        for entry in entries:
            self._entries += 1
            if self._entries > MAX_ENTRIES or time.monotonic() > self._until:
                raise _EnoughError
            if not self._entries % PORTION:
                time.sleep(PAUSE)
            name = f"{at}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if not _MADE_FROM_CODE.fullmatch(entry.name.lower()):
                    below = _below(entry.name, counts, is_environment=is_environment)
                    try:
                        with _directory(entry.name, directory) as inner:
                            self.look(inner, f"{name}/", depth + 1, below)
                    except OSError as error:
                        self.note_unseen(error)
            elif entry.is_file(follow_symlinks=False):
                self._see(entry, directory, name, counts)

    def _see(self, entry: "os.DirEntry[str]", directory: int, name: str, counts: Counts) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return
        may_be_database = status.st_size and not status.st_size % LEAST_PAGE
        is_new = status.st_size and counts == "all" and self._came_after(status)
        if not (may_be_database or is_new) or "cache" in entry.name.lower():
            return  # As nearly all are.
        if may_be_database and _is_database(entry.name, directory):
            written = max(status.st_mtime_ns, _log_time(entry.name, directory))
            if counts != "new databases" or self._came_after(status) or self._is_new(written):
                self._databases[name] = (written, status.st_size)
        elif is_new and not _JUNK.fullmatch(entry.name.lower()):
            self._files.append(name)

    def _came_after(self, status: os.stat_result) -> bool:
        """Since the build. That somebody linked it elsewhere (uv, pnpm) changes its ctime, too."""
        if self._since is None or status.st_ctime_ns <= self._since:
            return False
        return status.st_nlink == 1 or status.st_mtime_ns > self._since

    def _is_new(self, written: int) -> bool:
        return self._since is not None and written > self._since


def _is_there(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def _below(name: str, counts: Counts, *, is_environment: bool) -> Counts:
    """What counts in the directory of this name, in one in which `counts` does."""
    if name in INSTALLED or (is_environment and name in OF_ENVIRONMENT):
        return "new databases"
    return "databases" if counts == "all" and name in PASSING else counts


def _is_database(name: str, directory: int) -> bool:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        handle = os.open(name, flags, dir_fd=directory)
    except OSError:
        return False
    try:
        is_regular = stat.S_ISREG(os.fstat(handle).st_mode)
        return is_regular and os.read(handle, len(HEADER)) == HEADER
    except OSError:
        return False
    finally:
        os.close(handle)


def _log_time(name: str, directory: int) -> int:
    """When what is not yet in the database was written; 0 if there is nothing."""
    try:
        status = os.stat(f"{name}{LOG}", dir_fd=directory, follow_symlinks=False)
    except OSError:
        return 0
    return status.st_mtime_ns if status.st_size else 0


@contextmanager
def _directory(name: str, above: int | None = None) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(name, flags, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
