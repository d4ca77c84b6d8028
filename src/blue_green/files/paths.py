"""From the path of a request to the names below a directory that is served.

A path is decoded once, segment by segment. What no file of a directory can be named, or what must
not be served whatever it is, has no names: empty segments, `.` and `..`, slashes and NULs in a
name, bytes that are not UTF-8, and hidden files.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote_from_bytes, unquote_to_bytes

from attrs import frozen

from blue_green.config.hosts import PathPrefix
from blue_green.config.release_kinds import ReleasePath

WELL_KNOWN = b".well-known"
"""The only hidden name, and only at the top: RFC 8615."""
NOT_ENCODED = re.compile(rb"%(?![0-9A-Fa-f]{2})")
MOST_SEGMENTS = 64

Names = tuple[bytes, ...]


@frozen
class FilePath:
    """A path that a file may have."""

    names: Names
    has_slash: bool
    """It ends in a slash, and so is that of a directory."""


def file_path(path: bytes) -> FilePath | None:
    """What a path without its query refers to; None if to no file."""
    if not path.startswith(b"/") or NOT_ENCODED.search(path):
        return None
    segments = path[1:].split(b"/")
    has_slash = not segments[-1]
    if has_slash:
        segments.pop()
    if len(segments) > MOST_SEGMENTS:
        return None
    names = tuple(map(unquote_to_bytes, segments))
    if not all(map(_is_name, names)):
        return None
    visible = names[1:] if names[:1] == (WELL_KNOWN,) else names
    if any(name.startswith(b".") for name in visible):
        return None
    return FilePath(names, has_slash)


def _is_name(name: bytes) -> bool:
    if not name or b"/" in name or b"\0" in name:
        return False
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def with_slash(path: bytes) -> str:
    """A relative reference from a path to the same path with a slash (RFC 3986 section 4.2).

    It names no host, whatever the path is, and is also right behind a proxy that strips a prefix.
    """
    last = unquote_to_bytes(path.rpartition(b"/")[2])
    return f"./{quote_from_bytes(last, safe='')}/"


class ServedDirectories:
    """The directories of a release that are served, by the paths in the settings."""

    def __init__(self, directories: Mapping[PathPrefix, ReleasePath]) -> None:
        self._by_names: dict[Names, Names] = {}
        for prefix, directory in directories.items():
            names = tuple(map(unquote_to_bytes, prefix.encode().strip(b"/").split(b"/")))
            inside = tuple(part.encode() for part in directory.split("/") if part != ".")
            self._by_names[() if prefix == "/" else names] = inside
        self._depth = max(map(len, self._by_names), default=0)

    @property
    def top(self) -> Names | None:
        """The directory that is served at `/`, if there is one."""
        return self._by_names.get(())

    @property
    def first_names(self) -> Iterator[bytes]:
        """The first segments of the other paths in the settings."""
        return (names[0] for names in self._by_names if names)

    def find(self, path: FilePath) -> tuple[Names, Names] | None:
        """The directory for this path, and the names below it; None if there is none."""
        for count in range(min(self._depth, len(path.names)), -1, -1):
            directory = self._by_names.get(path.names[:count])
            if directory is not None:
                return directory, path.names[count:]
        return None
