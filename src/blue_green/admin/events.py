"""What the page is told: Server-Sent Events, whose data is one JSON object each.

The first object has all that is known: how the site stands, each of the last seconds, the last
lines of output. Those that follow have how it stands then, and what is new of the rest. One comes
each second, so a reader who gets none for a while knows that nobody is there, and one more as soon
as a swap comes to its next phase. Each reader is told what is so when it is ready to hear it:
nothing waits for one who is slow.
"""

import json
import time
from typing import Any

import trio

from blue_green.admin.server import Send
from blue_green.site.site import Site
from blue_green.site.slot import Slot

EVERY = 1.0
AT_LEAST = 0.05
"""Seconds between two events, also if swaps come to their phases faster than that."""
LINES = 100
"""How many lines of output are told at once, the last ones."""
LONGEST_LINE = 2000
"""How many characters of a line are told."""


class Events:
    """Tells each reader how the site stands, until it goes away."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def send_all(self, send: Send) -> None:
        """One event after the other, until cancelled."""
        next_second, next_line = 0, max(0, self._site.output.end - LINES)
        while True:
            told = trio.current_time()
            moves = self._site.queue.version
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
            await trio.sleep_until(told + AT_LEAST)
            with trio.move_on_at(told + EVERY):
                await self._site.queue.until_changed(moves)

    def _lines_since(self, number: int) -> tuple[int, list[list[Any]], int]:
        """How many lines were passed over, those that are told, and the number of the next."""
        start = max(number, self._site.output.end - LINES)
        piece = self._site.output.read(start, lambda source, revision: True)
        lines = [
            [round(line.at, 3), line.source, line.revision[:7], line.text[:LONGEST_LINE]]
            for line in piece.lines
        ]
        return start - number + piece.lost, lines, piece.following

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
                    "port": backend.target.port,
                    "pid": backend.process.pid,
                    "in_flight": backend.target.in_flight,
                    "tunnels": backend.target.streams,
                }
                for backend in slot.backends
            ],
        }
