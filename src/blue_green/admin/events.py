"""The page's data: server-sent events, each with one JSON object.

The first object is complete: the site's status, each of the last seconds, and the last lines of
output. The following ones have the current status, and only new seconds and lines. An event is sent
every second, so a reader that gets none for a while knows that the supervisor does not answer, and
as soon as a swap enters its next phase. An event is made when its reader is ready for it, so a slow
reader delays nothing and buffers nothing.
"""

import json
import time
from typing import Any

import trio

from blue_green.admin.server import Send
from blue_green.site.site import Site
from blue_green.site.slot import Slot

INTERVAL = 1.0
MIN_INTERVAL = 0.05
"""Minimum seconds between two events, even if swaps change their phases faster."""
LINES = 100
"""Maximum number of output lines in one event: the last ones."""
LONGEST_LINE = 2000
"""Maximum number of characters of a line."""


class Events:
    """The event stream of a site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def send_all(self, send: Send) -> None:
        """Send events until cancelled."""
        next_second, next_line = 0, max(0, self._site.output.end - LINES)
        while True:
            sent_at = trio.current_time()
            version = self._site.queue.version
            seconds, next_second = self._site.rate.since(next_second), self._site.rate.end
            lost, lines, next_line = self._lines_since(next_line)
            event = {
                "now": round(time.time(), 3),
                "stopping": self._site.is_stopping,
                **self._site.status.as_dict(),
                "slots": [self._slot(slot) for slot in self._site.slots.both],
                "seconds": [[round(s.at, 1), *s.ended, s.held] for s in seconds],
                "lost": lost,
                "lines": lines,
            }
            text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
            await send(f"data: {text}\n\n".encode(errors="replace"))
            await trio.sleep_until(sent_at + MIN_INTERVAL)
            with trio.move_on_at(sent_at + INTERVAL):
                await self._site.queue.until_changed(version)

    def _lines_since(self, number: int) -> tuple[int, list[list[Any]], int]:
        """The number of skipped lines, the lines to send, and the number of the next line."""
        start = max(number, self._site.output.end - LINES)
        piece = self._site.output.read(start, lambda source, revision: True)
        lines = [
            [round(line.at, 3), line.source, line.revision[:7], line.text[:LONGEST_LINE]]
            for line in piece.lines
        ]
        return start - number + piece.lost, lines, piece.next_line

    def _slot(self, slot: Slot) -> dict[str, Any]:
        revision = slot.release.revision if slot.release else None
        state = self._site.queue.state_of(slot)
        return {
            "name": slot.name,
            "state": state,
            "revision": revision,
            "subject": self._site.queue.subject_of(revision) if revision else "",
            "since": slot.since.timestamp() if slot.since and state == "live" else None,
            "restarts": slot.restarts,
            "backends": [
                {
                    "port": backend.target.address.port,
                    "pid": backend.process.pid,
                    "in_flight": backend.target.in_flight,
                    "tunnels": backend.target.streams,
                }
                for backend in slot.backends
            ],
        }
