"""The files that a site serves without its app: which directories of which releases.

What was found is kept for a while. A file is looked at again every few milliseconds while it is
requested, so that a change shows at once, and searched anew now and then. Searching opens files,
which may take long: it is done in a thread.
"""

import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack
from weakref import WeakValueDictionary

import trio
from attrs import define, field

from blue_green.config.files_settings import FilesSettings
from blue_green.config.hosts import ANY_PATH
from blue_green.files.bases import linked_paths
from blue_green.files.lookup import FileLookup, Found, FoundFile
from blue_green.files.open_file import OpenFile
from blue_green.files.paths import FilePath, Names, ServedDirectories, file_path
from blue_green.files.representation import Representation
from blue_green.files.top_names import TopNames
from blue_green.source.release import Release
from blue_green.system import threads
from blue_green.system.users import User

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SURE = 0.02
"""Seconds for which what was found is used without looking again."""
SEARCHED = 1.0
"""Seconds after which a file is searched anew: another one may take precedence by then, ..."""
SEARCHED_FIRST = 60.0
"""... or if none can: there may be other encodings of it."""
MOST_PATHS = 4096
LONGEST_PATH = 512
MOST_BYTES = 16 * 1024 * 1024
"""Paths that are kept, bytes of each, and bytes of files that are kept in memory for them."""
NOT_FOUND = b"404.html"
MOST_OPEN = 32
MOST_BYTES_OPEN = 64 * 1024 * 1024
"""Files that are kept open, and bytes of all of them: a deleted file takes up its space until it is
closed, and opening one takes a thread."""


@define(eq=False)
class KnownPath:
    """What was found for a path."""

    found: Found | None
    searched: float
    checked: float
    """When it was found, and when it was looked at (`time.monotonic`)."""


@define(eq=False)
class FileRoots:
    """The releases that files are served from; the site makes a new object at each switch.

    A file that the first release lacks is looked for in the next one, and so on.
    """

    settings: FilesSettings
    releases: tuple[Release, ...]
    """The live release first, then those before it, the newest first. Empty before the first one
    is live: a static site then answers with 503."""
    user: User
    """The user of the app: only files that it may read are served."""
    checkout: Path
    links: tuple[str, ...] = ()
    """The setting `link`: below these paths, a release has links into the checkout, and they are
    the only ones that may lead out of it."""
    has_app: bool = True
    """Requests for which there is no file go to the app; otherwise this is a static site."""
    threads: trio.CapacityLimiter = field(factory=threads.of_site)
    """Limits the threads that a slow file system keeps busy. One for each site, and not that of its
    deploys, which must go on if a file system hangs."""
    lookup: FileLookup = field(init=False)
    _known: dict[bytes, KnownPath] = field(init=False, factory=dict)
    _bytes: int = field(init=False, default=0)
    _open: WeakValueDictionary[Representation, OpenFile] = field(
        init=False, factory=WeakValueDictionary
    )
    """The files that are being sent, and those that are kept open."""
    _kept: deque[tuple[OpenFile, int]] = field(init=False, factory=deque)
    _kept_bytes: int = field(init=False, default=0)
    """Those that are kept open, each with its bytes, and the sum of these."""

    _top_names: TopNames = field(init=False)
    _searching: dict[bytes, trio.Event] = field(init=False, factory=dict)
    """Paths that are being searched: many requests for one wait for the same search."""

    @lookup.default
    def _(self) -> FileLookup:
        directories = ServedDirectories(self.settings.directories)
        links = linked_paths(self.checkout, self.links)
        return FileLookup(directories, self.releases, links, self.user)

    @_top_names.default
    def _(self) -> TopNames:
        directories = self.lookup.directories
        return TopNames(directories.first_names, must_list=directories.top is not None)

    def known(self, path: bytes) -> KnownPath | None:
        """What is known about the path of a request, if that is certain without waiting."""
        known = self._known.get(path)
        return known if known is not None and _is_current(known) else None

    def is_for_app(self, path: bytes) -> bool:
        """Whether there is no file for a path, and an app, if that is certain without waiting."""
        return self.has_app and self._top_names.exclude(path)

    async def find(self, path: bytes) -> Found | None:
        """Search for the path of a request, without its query.

        Raises `OSError`, and `representation.Changing`.
        """
        parsed = file_path(path)
        if parsed is None or self.lookup.directories.find(parsed) is None:
            return None
        if self.has_app and self._top_names.is_due():
            self._top_names.update(await self._in_thread(self.lookup.top_names))
            if self._top_names.exclude(path):
                return None
        return await self._search(path, parsed)

    async def find_named(self, names: Names) -> Found | None:
        """A file of the live release by its path there; raises as `find` does."""
        path = b"/".join(names)  # The path of a request begins with a slash.
        known = self.known(path)
        return known.found if known else await self._search(path, names)

    @property
    def not_found(self) -> Names | None:
        """The page for paths without a file, in the release."""
        if self.settings.not_found is not None:
            return names_of(self.settings.not_found)
        top = self.settings.directories.get(ANY_PATH)
        return None if top is None else (*names_of(top), NOT_FOUND)

    @property
    def fallback(self) -> Names | None:
        """The page for paths of an application in the browser, in the release."""
        return None if self.settings.fallback is None else names_of(self.settings.fallback)

    def opened(self, wanted: Representation) -> OpenFile | None:
        """The file, if it is open already."""
        return self._open.get(wanted)

    async def open(self, wanted: Representation) -> OpenFile | None:
        """The file; None if it has changed meanwhile: find it again. Raises `OSError`."""
        opened = await self._in_thread(self.lookup.open, wanted, self.threads)
        if opened is not None:
            self._open[wanted] = opened
            if wanted.size <= MOST_BYTES_OPEN:
                self._keep_open(opened, wanted.size)
        return opened

    def forget(self) -> None:
        """Search for all files anew."""
        self._known.clear()
        self._open.clear()
        self._kept.clear()
        self._bytes = self._kept_bytes = 0

    async def _search(self, path: bytes, wanted: FilePath | Names) -> Found | None:
        while (running := self._searching.get(path)) is not None:
            await running.wait()
            if known := self.known(path):
                return known.found
        self._searching[path] = done = trio.Event()
        try:
            return await self._search_alone(path, wanted)
        finally:
            del self._searching[path]
            done.set()

    async def _search_alone(self, path: bytes, wanted: FilePath | Names) -> Found | None:
        before = self._known.get(path)
        known = before.found if before else None
        search: Callable[..., Found | None] = self.lookup.find
        if not isinstance(wanted, FilePath):
            search = self.lookup.find_in_live
        began = time.monotonic()
        if before:
            before.searched = began  # Others may use it meanwhile.
        found = await self._in_thread(search, wanted, known)
        self._forget(path)
        is_settled = not isinstance(found, FoundFile) or found.is_settled
        if found is not None and is_settled and len(path) <= LONGEST_PATH:
            self._keep(path, KnownPath(found, began, began))
        return found

    async def _in_thread(self, function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
        with threads.limited_by(self.threads):
            return await threads.run(function, *arguments, abandon_on_cancel=True)

    def _keep(self, path: bytes, known: KnownPath) -> None:
        size = known.found.size if known.found else 0
        if len(self._known) >= MOST_PATHS or self._bytes + size > MOST_BYTES:
            self.forget()
        self._known[path] = known
        self._bytes += size

    def _keep_open(self, opened: OpenFile, size: int) -> None:
        self._kept.append((opened, size))
        self._kept_bytes += size
        while len(self._kept) > MOST_OPEN or self._kept_bytes > MOST_BYTES_OPEN:
            self._kept_bytes -= self._kept.popleft()[1]

    def _forget(self, path: bytes) -> None:
        before = self._known.pop(path, None)
        if before is not None and before.found is not None:
            self._bytes -= before.found.size


def _is_current(known: KnownPath) -> bool:
    """Whether nothing can have changed."""
    now = time.monotonic()
    if now - known.checked < SURE:
        return True
    found = known.found
    if not isinstance(found, FoundFile):
        return False
    if now - known.searched > (SEARCHED_FIRST if found.is_first else SEARCHED):
        return False
    if not found.is_current:
        return False
    known.checked = now
    return True


def names_of(path: str) -> Names:
    """The names in a path of the settings."""
    return tuple(os.fsencode(name) for name in path.split("/") if name not in ("", "."))
