"""Events of one site.

The first one is complete: the site's status, each of the last seconds, and the last lines of
output. The following ones have the current status, and only new seconds and lines. Besides one each
second, there is one as soon as a swap enters its next phase.
"""

import json
import time
from typing import Any

import trio

from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.site.slot import Slot
from blue_green.site.status import results_of

LINES = 100
"""Maximum number of output lines in one event: the last ones."""
LONGEST_LINE = 2000
"""Maximum number of characters of a line."""


class SiteEvents:
    """Makes the events of a site for one reader."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._is_first = True
        self._version = site.queue.version
        self._next_second = 0
        self._next_line = max(0, site.output.end - LINES)

    async def next_event(self) -> str:
        site = self.site
        self._version = site.queue.version
        seconds, self._next_second = site.rate.since(self._next_second), site.rate.end
        lost, lines = self._new_lines()
        event = {
            "now": round(time.time(), 3),
            "complete": self._is_first,
            "stopping": site.is_stopping,
            **site.status.as_dict(is_brief=True),
            "slots": [self._slot(slot) for slot in site.slots.both],
            "seconds": [[round(s.at, 1), *s.ended, s.held] for s in seconds],
            "lost": lost,
            "lines": lines,
        }
        self._is_first = False
        return json.dumps(event, ensure_ascii=False, separators=(",", ":"))

    async def until_changed(self) -> None:
        await self.site.queue.until_changed(self._version)

    def _new_lines(self) -> tuple[int, list[list[Any]]]:
        """The number of skipped lines, and the lines to send."""
        start = max(self._next_line, self.site.output.end - LINES)
        batch = self.site.output.read(start, lambda source, revision: True)
        lost = start - self._next_line + batch.lost
        self._next_line = batch.next_line
        return lost, [
            [round(line.at, 3), line.source, line.revision[:7], line.text[:LONGEST_LINE]]
            for line in batch.lines
        ]

    def _slot(self, slot: Slot) -> dict[str, Any]:
        revision = slot.release.revision if slot.release else None
        state = self.site.queue.state_of(slot)
        return {
            "name": slot.name,
            "state": state,
            "revision": revision,
            "subject": self.site.queue.subject_of(revision) if revision else "",
            "since": slot.since.timestamp() if slot.since and state == "live" else None,
            "restarts": slot.restarts,
            "crash": slot.crash.reason if slot.crash else "",
            "is_static": slot.is_static,
            "is_asleep": state == "live" and self.site.sleep.is_asleep,
            "results": results_of(slot),
            "backends": [
                {
                    "port": backend.target.address.port or None,
                    "socket": str(backend.target.address.path or "") or None,
                    "pid": backend.process.pid,
                    "in_flight": backend.target.in_flight,
                    "tunnels": backend.target.streams,
                }
                for backend in slot.backends
            ],
        }


class MissingSite:
    """Says in each event that the site does not run, until it does: a reload may add it."""

    def __init__(self, sites: Sites, name: str) -> None:
        self._sites = sites
        self._name = name

    async def next_event(self) -> str:
        why = self._sites.not_running.get(self._name)
        missing = f"This site does not run: {why}" if why else "There is no such site."
        return json.dumps({"site": self._name, "missing": missing}, ensure_ascii=False)

    async def until_changed(self) -> None:
        await trio.sleep_forever()
