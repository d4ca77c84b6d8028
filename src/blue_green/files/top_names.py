"""The names at the top of what is served, by which most requests for an app are told from files.

An app whose `public` directory is served at `/` gets nearly all requests itself, for paths that no
two requests have in common. To search for a file each time would take longer than the rest of the
request.
"""

import time
from collections.abc import Iterable

FOR_EVER = float("inf")
STAYS = 1.0
"""Seconds after which the directories are listed again: until then, a new name there is missed."""


class TopNames:
    """First segments of the paths of files."""

    def __init__(self, served: Iterable[bytes], *, must_list: bool) -> None:
        """`served` are the first segments of the paths in the settings.

        Without a directory that is served at `/`, there is nothing else to list.
        """
        self._served = frozenset(served)
        self._names: frozenset[bytes] | None = None if must_list else frozenset()
        self._listed = -STAYS if must_list else FOR_EVER

    def is_due(self) -> bool:
        """Whether the directories should be listed again; true once, for the caller to do it."""
        now = time.monotonic()
        if now - self._listed < STAYS:
            return False
        self._listed = now
        return True

    def update(self, listed: frozenset[bytes] | None) -> None:
        """Use these names; with None there are too many of them."""
        self._names = listed

    def exclude(self, path: bytes) -> bool:
        """Whether there is no file for this path or target, as far as the last list says."""
        names = self._names
        if names is None or time.monotonic() - self._listed > STAYS:
            return False
        first = path[1:].partition(b"?")[0].partition(b"/")[0]
        return first not in names and first not in self._served and b"%" not in first
