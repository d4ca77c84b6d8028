"""When somebody last used a site."""

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from blue_green.site.site import Site


class LastUse:
    """Notices requests, streams and `exec` sessions by looking now and then.

    Requests themselves do no work for it: the gate counts them. Probes do not pass the gate, nor
    do requests that need no backend.
    """

    def __init__(self, site: "Site") -> None:
        self._site = site
        self._at = trio.current_time()
        self._seen = self._counted

    def seconds_ago(self) -> float:
        """How long ago it was, as far as this is noticed: 0 if somebody uses the site now."""
        counted, now = self._counted, trio.current_time()
        if counted != self._seen or self._is_used:
            self._seen, self._at = counted, now
        return now - self._at

    def is_now(self) -> None:
        """Let it count as used now."""
        self._at = trio.current_time()

    def forget(self) -> None:
        """Let it count as not used for any time that `after` may be."""
        self._at = -float("inf")

    @property
    def _counted(self) -> tuple[int, int]:
        gate = self._site.gate
        return gate.leases_given, gate.tally.held

    @property
    def _is_used(self) -> bool:
        return bool(self._site.gate.requests or self._site.exec_sessions.release_paths)
