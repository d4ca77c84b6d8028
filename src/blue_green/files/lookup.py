"""Find the file for a path in the releases of a site: all of this runs in threads."""

import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trio
from attrs import define, field

from blue_green.files import caching, content_types, representation
from blue_green.files.bases import Anchor, FileBase, LinkedPaths
from blue_green.files.encodings import EXTENSIONS, IDENTITY
from blue_green.files.open_file import OpenFile
from blue_green.files.paths import FilePath, Names, ServedDirectories
from blue_green.files.representation import Representation, identity_of
from blue_green.source.release import Release
from blue_green.system.beneath import stat_cached
from blue_green.system.file_systems import is_local
from blue_green.system.other_user import permissions_of
from blue_green.system.users import User

INDEX = b"index.html"
PAGE = b".html"
MOST_NAMES = 10_000
SETTLED_NS = 100_000_000
"""Nanoseconds after a change of a file from which on the next one has another time."""


@define(eq=False)
class FoundFile:
    """A file, in the encodings that are there."""

    revision: str
    encodings: Mapping[bytes, Representation]
    anchor: Anchor | None
    """The top directory of its base, if it is on a disk of this machine."""
    is_settled: bool
    """It did not change just before it was read."""
    is_first: bool
    """It is what is looked for first: no other file can take precedence."""
    size: int = field(init=False)
    """Bytes that it takes in memory, nearly."""
    only: Representation | None = field(init=False)
    """What everybody gets whose request has no condition: there are no other encodings."""

    @size.default
    def _(self) -> int:
        return sum(len(each.body or b"") for each in self.encodings.values()) + 2048

    @only.default
    def _(self) -> Representation | None:
        return self.encodings[IDENTITY] if len(self.encodings) == 1 else None

    @property
    def is_current(self) -> bool:
        """Whether the file is certain to be the same still. For the event loop: does not wait."""
        if self.anchor is None:
            return False
        itself = self.itself
        status = stat_cached(self.anchor.descriptor, (*itself.base.directory, *itself.names))
        return status is not None and identity_of(status) == itself.identity

    @property
    def itself(self) -> Representation:
        """The file as it is."""
        return self.encodings[IDENTITY]


@define(eq=False)
class FoundDirectory:
    """A directory with an index, whose path lacks the slash."""

    size: int = 256


Found = FoundFile | FoundDirectory


class FileLookup:
    """Finds files in the releases, as the user of the app."""

    def __init__(
        self,
        directories: ServedDirectories,
        releases: tuple[Release, ...],
        links: LinkedPaths,
        user: User,
    ) -> None:
        self.directories = directories
        self._releases = releases
        self._links = links
        self._user = user
        self._anchors: dict[Path, Anchor] = {}
        """One for each release, and for each path of `link`."""

    def find(self, path: FilePath, known: Found | None) -> Found | None:
        """The file for a path; what is `known` of it is used again where it is still right.

        Raises `OSError`, and `representation.Changing`.
        """
        match = self.directories.find(path)
        if match is None:
            return None
        directory, rest = match
        with permissions_of(self._user):
            for number, release in enumerate(self._releases):
                search = self._in(release, directory, path.names, known)
                if number == 0:
                    found = search.page_or_file(rest, has_slash=path.has_slash)
                elif path.has_slash or not may_be_earlier(path.names, rest):
                    break
                else:
                    found = search.file(rest)
                if found is not None:
                    return found
        return None

    def find_in_live(self, names: Names, known: Found | None) -> Found | None:
        """A file of the live release, by its path in the release."""
        with permissions_of(self._user):
            for release in self._releases[:1]:
                return self._in(release, names[:-1], names, known).file(names[-1:])
        return None

    def top_names(self) -> frozenset[bytes] | None:
        """What the first segment of a path may be, below `/`; None if there are too many."""
        names: set[bytes] = set()
        directory = self.directories.top
        if directory is None:
            return frozenset()
        with permissions_of(self._user):
            for release in self._releases:
                base, rest = self._links.base(release, directory, ())
                names.update(base.names(rest))
        pages = [name.removesuffix(PAGE) for name in names if name.endswith(PAGE)]
        if INDEX in names:
            pages.append(b"")
        return frozenset((*names, *pages)) if len(names) <= MOST_NAMES else None

    def _in(self, release: Release, directory: Names, url: Names, known: Found | None) -> "_Search":
        return _Search(release, self._links, self._anchors, directory, url, known)

    def open(self, wanted: Representation, limiter: trio.CapacityLimiter) -> OpenFile | None:
        """A file that was found before, open; None if it has changed since then."""
        with permissions_of(self._user):
            descriptor = wanted.base.open(wanted.names)
        if descriptor is None:
            return None
        opened = OpenFile(descriptor, wanted.identity, limiter)
        if identity_of(os.fstat(descriptor)) != wanted.identity:
            opened.close()
            return None
        return opened


def may_be_earlier(url: Names, rest: Names) -> bool:
    """Whether a file may come from an earlier release, for pages that were loaded from that.

    Pages may not. Below `/`, only assets may: a `robots.txt` or a document that a commit removes is
    gone, and an app that answers for it instead gets the request.
    """
    if not rest or content_types.is_page(rest[-1]):
        return False
    is_below_top = len(rest) == len(url)
    return not is_below_top or content_types.is_asset(rest[-1]) or caching.is_hashed(url)


@define
class _Search:
    """One path in one release."""

    release: Release
    links: LinkedPaths
    anchors: dict[Path, Anchor]
    directory: Names
    url: Names
    """The names of the path in the request."""
    known: Found | None

    def page_or_file(self, rest: Names, *, has_slash: bool) -> Found | None:
        """The file at this path, or what else is there for it."""
        if has_slash:
            return self.file((*rest, INDEX), is_first=True)
        if found := self.file(rest, is_first=True):
            return found
        if rest and (found := self.file((*rest[:-1], rest[-1] + PAGE))):
            return found
        with self._opened((*rest, INDEX)) as index:
            return FoundDirectory() if index is not None else None

    def file(self, rest: Names, *, is_first: bool = False) -> FoundFile | None:
        """The regular file at this path, in its encodings."""
        with self._opened(rest) as descriptor:
            if descriptor is None:
                return None
            base, names = self.links.base(self.release, self.directory, rest)
            with self._encoded(rest) as others:
                encodings = {
                    coding: self._representation(base, names, each, coding, bool(others))
                    for coding, each in ((IDENTITY, descriptor), *others.items())
                }
            changed = encodings[IDENTITY].identity.changed_ns
            return FoundFile(
                self.release.revision,
                encodings,
                self._anchor(base, names) if is_local(descriptor) else None,
                is_settled=not 0 <= time.time_ns() - changed < SETTLED_NS,
                is_first=is_first,
            )

    def _anchor(self, base: FileBase, names: Names) -> Anchor | None:
        if base.top not in self.anchors and (base.directory or names):
            self.anchors[base.top] = Anchor(base.top)
        return self.anchors.get(base.top)

    @contextmanager
    def _encoded(self, rest: Names) -> Iterator[dict[bytes, int]]:
        """Descriptors of the compressed files beside a file, by their encodings."""
        if not rest:
            yield {}
            return
        with ExitStack() as stack:
            opened = {
                coding: stack.enter_context(self._opened((*rest[:-1], rest[-1] + extension)))
                for coding, extension in EXTENSIONS.items()
            }
            yield {coding: each for coding, each in opened.items() if each is not None}

    @contextmanager
    def _opened(self, rest: Names) -> Iterator[int | None]:
        """A descriptor of the regular file at this path, if there is one."""
        base, names = self.links.base(self.release, self.directory, rest)
        descriptor = base.open(names)
        if descriptor is None:
            yield None
            return
        try:
            yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
        finally:
            os.close(descriptor)

    def _representation(
        self, base: FileBase, names: Names, descriptor: int, coding: bytes, varies: bool
    ) -> Representation:
        extension = EXTENSIONS.get(coding, b"")
        name = (names or self.url or (b"",))[-1]
        if extension and names:
            names = (*names[:-1], names[-1] + extension)
        known = self.known.encodings.get(coding) if isinstance(self.known, FoundFile) else None
        if (
            known is not None
            and known.identity == identity_of(os.fstat(descriptor))
            and (known.base, known.names, known.varies) == (base, names, varies)
        ):
            return known
        may_change = base.is_linked or content_types.is_page(name)
        return representation.make(
            base,
            names,
            descriptor,
            kind=content_types.content_type(name),
            cache_control=(
                caching.ASK_EACH_TIME if may_change else caching.cache_control(self.url)
            ),
            coding=coding,
            varies=varies,
        )
