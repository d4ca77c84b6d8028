"""Scan a release for files that a running app has written into it.

Nothing writes to a release once it is built, except an app that keeps its data beside its code. The
scan finds SQLite databases, and other files that are newer than the build and are neither caches
nor logs.

The release belongs to the app's user, and we may be root. So directories are opened relative to
their parent and never through a link, only regular files are opened, and nothing waits for a file.
The release may be large: the scan is limited in number of entries, depth and time.
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
"""The beginning of a database (sqlite.org/fileformat.html), whose size is a multiple of a page."""
SMALLEST_PAGE = 512
LOG = "-wal"
"""The suffix of the write-ahead log, which holds changes that are not in the database yet."""
COMPANIONS = ("-wal", "-shm", "-journal")

MAX_ENTRIES = 1_000_000
MAX_DEPTH = 64
"""Each level takes an open descriptor and a stack frame."""
MAX_SECONDS = 10.0
PATIENT_SECONDS = 30.0
"""Seconds for all scans before old releases are deleted, for which the next swap waits."""
HELD_SECONDS = 1.0
"""Seconds for a scan while requests wait."""
MAX_NAMES = 10
PORTION = 128
PAUSE = 0.0005
"""Seconds after each portion of entries, so that the event loop can run."""

DERIVED = (".git", "__pycache__", "*cache*")
"""Directories whose content can be made again: not even a database there is data."""
ENVIRONMENT = "pyvenv.cfg"
"""A directory with this file is a virtual environment (PEP 405)."""
OF_ENVIRONMENT = ("bin", "include", "lib", "lib64", "share")
"""Its own directories; an app may keep data beside them."""
INSTALLED = ("node_modules",)
"""Directories in which only databases count that are newer than the build."""
TEMPORARY = (
    "tmp", ".tmp", "temp", "log", "logs", "run", "pids", ".next", ".nuxt", ".output", ".svelte-kit",
    "coverage",
)  # fmt: skip
"""Directories in which only databases count."""
JUNK = (
    "*.pyc", "*.pyo", "*.log", "*.log.*", "*.pid", "*.lock", "*.sock", "*.tmp", "*.swp", "*~",
    ".ds_store", "nohup.out", "celerybeat-schedule*", "core", "core.[0-9]*", ".gitignore",
    "counter_*.db", "gauge_*.db", "histogram_*.db", "summary_*.db",
)  # fmt: skip
"""Files that are not data. Those that end in `.db` are prometheus_client's, one per process."""

_DERIVED, _JUNK = (
    re.compile("|".join(map(fnmatch.translate, patterns))) for patterns in (DERIVED, JUNK)
)

Stamp = tuple[int, int]
"""When a database was last changed, in nanoseconds since the epoch, and its size."""


@frozen
class Found:
    """The result of a scan: sorted names, relative to the release."""

    databases: Mapping[str, Stamp] = field(factory=dict)
    files: Sequence[str] = ()
    is_partial: bool = False
    """The scan did not finish: there may be more."""

    def __bool__(self) -> bool:
        return bool(self.databases or self.files)


def scan(release: Path, since: int | None = None, *, seconds: float = MAX_SECONDS) -> Found:
    """Find all databases, and the other files that are newer than `since` (ns since the epoch).

    The result is partial if something cannot be read, or after this number of seconds.
    """
    walk = _Walk(since, seconds)
    try:
        with _directory(str(release)) as root:
            walk.scan(root, "", 0)
    except OSError as error:
        walk.note_unreadable(error)
    except _LimitError:
        walk.is_partial = True
    return walk.found()


class _LimitError(Exception):
    """A limit of the scan is reached."""


Counts = Literal["all", "databases", "new databases"]
"""What counts as data in a directory and below."""


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
        companions = {f"{name}{end}" for name in self._databases for end in COMPANIONS}
        files = sorted(name for name in self._files if name not in companions)
        return Found(dict(sorted(self._databases.items())), files, self.is_partial)

    def note_unreadable(self, error: OSError) -> None:
        """Note that a directory may hold more, unless it is gone or no directory any more."""
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            self.is_partial = True

    def scan(self, directory: int, at: str, depth: int, counts: Counts = "all") -> None:
        """Scan this directory, and those below."""
        status = os.fstat(directory)
        self._device = self._device or status.st_dev
        if status.st_dev != self._device:
            return  # A mounted file system is not part of the release.
        if depth > MAX_DEPTH:
            self.is_partial = True
            return
        with os.scandir(directory) as entries:
            self._scan_entries(entries, directory, at, depth, counts)

    def _scan_entries(
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
                raise _LimitError
            if not self._entries % PORTION:
                time.sleep(PAUSE)
            name = f"{at}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if not _DERIVED.fullmatch(entry.name.lower()):
                    below = _below(entry.name, counts, is_environment=is_environment)
                    try:
                        with _directory(entry.name, directory) as inner:
                            self.scan(inner, f"{name}/", depth + 1, below)
                    except OSError as error:
                        self.note_unreadable(error)
            elif entry.is_file(follow_symlinks=False):
                self._check_file(entry, directory, name, counts)

    def _check_file(
        self, entry: "os.DirEntry[str]", directory: int, name: str, counts: Counts
    ) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return
        may_be_database = status.st_size and not status.st_size % SMALLEST_PAGE
        is_new = status.st_size and counts == "all" and self._is_newer(status)
        if not (may_be_database or is_new) or "cache" in entry.name.lower():
            return  # Most files end here.
        if may_be_database and _is_database(entry.name, directory):
            written = max(status.st_mtime_ns, _log_time(entry.name, directory))
            if counts != "new databases" or self._is_newer(status) or self._is_new(written):
                self._databases[name] = (written, status.st_size)
        elif is_new and not _JUNK.fullmatch(entry.name.lower()):
            self._files.append(name)

    def _is_newer(self, status: os.stat_result) -> bool:
        """Whether a file is newer than the build. A hard link (uv, pnpm) changes its ctime, too."""
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
    """What counts in a directory of this name, inside of one in which `counts` does."""
    if name in INSTALLED or (is_environment and name in OF_ENVIRONMENT):
        return "new databases"
    return "databases" if counts == "all" and name in TEMPORARY else counts


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
    """When the write-ahead log was last written; 0 if there is none or it is empty."""
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
