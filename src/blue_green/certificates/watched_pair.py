"""A certificate and its key in files of the user's, reloaded when they change.

A new pair is only loaded once the files have not changed from one look to the next, since the two
are written, or their symbolic links changed, one after the other. A pair that cannot be used leaves
the current one in use. Open connections keep the one that they began with.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import trio

from blue_green.certificates.pem import BadCertificate, Loaded, load
from blue_green.system import threads

T = TypeVar("T")

logger = logging.getLogger(__name__)

LOOK_EVERY = 2.0
"""Seconds between looks at the files."""

Stamp = tuple[tuple[int, ...] | None, ...]
"""Changes when one of the files does; None for a missing file."""


class WatchedPair:
    """The current pair. New connections use `loaded`."""

    loaded: Loaded | None = None
    """None if the files could never be used."""

    def __init__(
        self, certificate: Path, key: Path, place: str, *, may_be_unusable: bool = False
    ) -> None:
        """`place` is where the settings name the files; it is in front of all messages.

        Raises `BadCertificate`, unless the pair may be unusable: then this is only logged.
        """
        self.certificate = certificate
        self.key = key
        self.problem = ""
        """Why the newest files cannot be used."""
        self._place = place
        self._tried = _stamp(certificate, key)
        try:
            self.loaded = load(certificate, key)
        except BadCertificate as error:
            if not may_be_unusable:
                raise BadCertificate(f"{place} {error}") from None
            self.problem = str(error)
            logger.error("no certificate until the files are corrected: %s %s", place, error)
        else:
            _report(self.loaded)

    async def keep_fresh(
        self, use: Callable[[Loaded], None], slower: Callable[[], float] = lambda: 1.0
    ) -> None:
        """Reload the files when they change, until cancelled; pass each new pair to `use`.

        `slower` returns by what factor to look at them less often.
        """
        seen = self._tried
        while True:
            await trio.sleep(LOOK_EVERY * slower())
            before, seen = seen, await self._in_thread(_stamp)
            if seen == before and seen != self._tried:
                self._tried = seen
                if loaded := await self._reload():
                    use(loaded)

    async def _reload(self) -> Loaded | None:
        """Load the files; None if they cannot be used."""
        try:
            loaded = await self._in_thread(load)
            if _is_worse(loaded, self.loaded):
                raise BadCertificate(f"certificate: {self.certificate} has expired")
        except BadCertificate as error:
            self.problem = str(error)
            what = "the current certificate stays in use" if self.loaded else "still no certificate"
            logger.error("%s: %s %s", what, self._place, error)
            return None
        self.loaded, self.problem = loaded, ""
        _report(loaded)
        return loaded

    async def _in_thread(self, look: Callable[[Path, Path], T]) -> T:
        """Run it in a thread, since a file system that hangs must not block us."""
        return await threads.run(look, self.certificate, self.key, abandon_on_cancel=True)


def _is_worse(new: Loaded, current: Loaded | None) -> bool:
    """Whether the new one has expired and the current one has not."""
    now = datetime.now(UTC)
    if current is None or current.valid_until is None or current.valid_until < now:
        return False
    return new.valid_until is None or new.valid_until < now


def _report(loaded: Loaded) -> None:
    if loaded.valid_until is not None:
        names = ", ".join(loaded.names) or "no name"
        logger.info("the certificate is for %s until %s", names, loaded.valid_until.date())


def _stamp(certificate: Path, key: Path) -> Stamp:
    """Follows symbolic links. The ctime also shows that a mode or an owner was fixed."""

    def look(path: Path) -> tuple[int, ...] | None:
        try:
            seen = path.stat()
        except OSError:
            return None
        return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)

    return look(certificate), look(key)
