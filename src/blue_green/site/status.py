"""How the site stands, as one object: for `blue-green status`, and whoever else shows it."""

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs
import trio

from blue_green import __version__
from blue_green.site.rollback import was_rolled_back
from blue_green.site.slots import Slot
from blue_green.site.state import quarantined

if TYPE_CHECKING:
    from blue_green.site.site import Site

LAST_SWAPS = 5
LAST_LINES = 10
"""Of the output of a candidate that failed."""


class Status:
    """Reads the parts of a site. The keys of its object are kept."""

    def __init__(self, site: "Site") -> None:
        self._site = site
        self._began = datetime.now(UTC)

    def as_dict(self) -> dict[str, Any]:
        """Everything, as an object of the control protocol."""
        site, swaps, swap = self._site, self._site.queue, self._site.queue.current
        targets = [backend.target for backend in site.slots.backends]
        return {
            "name": site.settings.app.name,
            "addresses": site.addresses,
            "phase": self.phase,
            "down": site.gate.why_down,
            "live": _slot(site.slots.live),
            "candidate": _slot(swap.candidate) if swap else None,
            "retiring": self._retiring,
            "wanted": swaps.wanted,
            "head": swaps.head,
            "why": self._why_not_live,
            "subjects": self._subjects,
            "step": swap.phase if swap else None,
            "swap": self._in_hand,
            "requests_per_second": round(self._site.rate.per_second, 1),
            "held": site.gate.held,
            "in_flight": sum(target.in_flight for target in targets),
            "tunnels": sum(target.streams for target in targets),
            "paused_for": self._site.pause.seconds_left,
            "quarantined": self._quarantined,
            "output": self._output,
            "previous": site.state.previous,
            "problem": site.watch.problem,
            "needs_restart": [change.as_dict() for change in site.needs_restart],
            "unremovable": list(site.releases.unremovable),
            "last_swap": swaps.last.as_dict() if swaps.last else None,
            "last_swaps": [
                # The candidates' output is long, and is with the last swap and in `history`.
                attrs.evolve(receipt, output=()).as_dict()
                for receipt in swaps.receipts[:LAST_SWAPS]
            ],
            "supervisor": {
                "pid": os.getpid(),
                "version": __version__,
                "since": self._began.isoformat(timespec="seconds"),
            },
        }

    @property
    def phase(self) -> str:
        """`starting`, `serving`, `swapping`, `paused` or `failing`."""
        gate = self._site.gate
        if self._site.pause.seconds_left is not None:
            return "paused"
        if self._site.queue.current is not None and self._site.slots.live is not None:
            return "swapping"
        if gate.targets:
            return "serving"
        return "failing" if gate.is_refusing else "starting"

    @property
    def _retiring(self) -> dict[str, Any] | None:
        """What the last swap left behind, and how long it may still take."""
        retirement = self._site.retirement
        if (slot := retirement.slot) is None or (shown := _slot(slot)) is None:
            return None
        return {
            **shown,
            "in_flight": sum(target.in_flight for target in slot.targets),
            "streams": sum(target.streams for target in slot.targets),
            "seconds_left": round(retirement.seconds_left, 1),
        }

    @property
    def _in_hand(self) -> dict[str, Any] | None:
        """The swap in hand: its phases so far, and how long it and its phase have taken."""
        swap, now = self._site.queue.current, trio.current_time()
        if swap is None:
            return None
        return {
            "revision": swap.revision,
            "asked_by": swap.receipt.asked_by,
            "phase": swap.phase,
            "phase_seconds": round(now - swap.phase_began, 4),
            "total_seconds": round(now - swap.began, 4),
            "seconds": {phase: round(took, 4) for phase, took in swap.receipt.seconds.items()},
        }

    @property
    def _quarantined(self) -> dict[str, str]:
        """Those in quarantine that matter now: wanted, or tried since what is live went live."""
        swaps, live = self._site.queue, self._live_revision
        relevant = {swaps.wanted, swaps.head}
        for receipt in swaps.receipts:
            if receipt.outcome == "promoted" and receipt.revision == live:
                break
            relevant.add(receipt.revision)
        quarantine = self._site.state.quarantine
        return {revision: why for revision, why in quarantine.items() if revision in relevant}

    @property
    def _output(self) -> dict[str, list[str]]:
        """The last lines of output of each candidate that failed and is named."""
        swaps = self._site.queue
        named = {swaps.wanted, swaps.head, *self._quarantined} - {self._live_revision, None}
        outputs = {name: self._site.state.last_output(name) for name in named if name}
        return {name: list(lines[-LAST_LINES:]) for name, lines in outputs.items() if lines}

    @property
    def _live_revision(self) -> str | None:
        live = self._site.slots.live
        return live.release.revision if live and live.release else None

    @property
    def _why_not_live(self) -> str:
        """Why what is wanted, or else HEAD of the checkout, is not live; nothing if it is."""
        swaps, live = self._site.queue, self._live_revision
        revision = swaps.wanted if swaps.wanted != live else swaps.head
        if revision is None or revision == live:
            return ""
        if swaps.current is not None:
            mine = swaps.current.revision == revision
            return "a swap to it is in hand" if mine else "another swap ends first"
        if (again := swaps.again) is not None and again.revision == revision:
            return f"it is tried again in {again.seconds_left:.0f} s: {again.reason}"
        if was_rolled_back(revision, swaps.receipts):
            return (
                f"not deployed: it was rolled back. `blue-green swap {revision[:7]}` deploys it "
                "again; a newer commit is deployed as usual"
            )
        if reason := self._site.state.quarantine.get(revision):
            return quarantined(reason)
        for receipt in swaps.receipts:
            if receipt.revision == revision and receipt.outcome != "promoted":
                return f"its swap {_ENDINGS[receipt.outcome]}: {receipt.reason}"
            if receipt.revision == live != receipt.previous and receipt.asked_by:
                return f"{live[:7]} was asked for since, by {receipt.asked_by}"
        return "no swap to it is remembered"

    @property
    def _subjects(self) -> dict[str, str]:
        """The subject lines of the revisions that are named, where they are known."""
        swaps = self._site.queue
        in_hand = swaps.current.revision if swaps.current else None
        named = {
            self._live_revision, swaps.wanted, swaps.head, in_hand, self._site.state.previous,
            *self._quarantined,
        }  # fmt: skip
        if (retiring := self._site.retirement.slot) and retiring.release:
            named.add(retiring.release.revision)
        subjects = {revision: swaps.subject_of(revision) for revision in named if revision}
        return {revision: subject for revision, subject in subjects.items() if subject}


_ENDINGS = {
    "failed": "failed",
    "superseded": "was superseded",
    "reverted": "was reverted",
    "unchanged": "changed nothing",
}


def _slot(slot: Slot | None) -> dict[str, Any] | None:
    if slot is None or slot.release is None:
        return None
    return {
        "slot": slot.name,
        "revision": slot.release.revision,
        "ports": list(slot.ports),
        "pids": [backend.process.pid for backend in slot.backends],
        "since": slot.since.isoformat(timespec="seconds") if slot.since else None,
    }
