"""The status of a site as one object, for `blue-green status` and the admin page."""

import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs
import trio

from blue_green import __version__
from blue_green.config.command_line import command_line
from blue_green.site.processes.process_status import ProcessStatus
from blue_green.site.receipt import Receipt
from blue_green.site.rollback import was_rolled_back
from blue_green.site.slot import Slot
from blue_green.site.state import quarantined
from blue_green.site.swap_text import triggered_by
from blue_green.site.trigger import Trigger

if TYPE_CHECKING:
    from blue_green.site.site import Site

LAST_SWAPS = 5
LAST_LINES = 10
"""Lines of a failed candidate's output."""


def of_supervisor(began: datetime) -> dict[str, Any]:
    """The part of a status about the process."""
    return {
        "pid": os.getpid(),
        "version": __version__,
        "since": began.isoformat(timespec="seconds"),
    }


class Status:
    """Reads the status from the parts of a site. The keys of its object must not change."""

    def __init__(self, site: "Site") -> None:
        self.processes = ProcessStatus(site)
        self._site = site

    def as_dict(self, *, is_brief: bool = False) -> dict[str, Any]:
        """The whole status, as an object of the control protocol.

        `is_brief` puts a summary in place of the certificates of all hosts, which may be many.
        """
        site, queue, swap = self._site, self._site.queue, self._site.queue.current
        targets = [backend.target for backend in site.slots.backends]
        return {
            "name": site.settings.app.name,
            "site": site.name,
            "addresses": site.addresses,
            "hosts": list(site.settings.serving.hosts),
            "paths": list(site.settings.serving.paths),
            "certificates": (
                site.certificates.summary() if is_brief else site.certificates.as_dicts()
            ),
            "phase": self.phase,
            "down": site.gate.why_down,
            "live": _slot(site.slots.live),
            "current": str(site.current_link.path) if site.current_link.release else None,
            "files": site.files.as_dict(),
            "candidate": _slot(swap.candidate) if swap else None,
            "draining": self._draining,
            "retiring": self._retiring,
            "wanted": queue.desired,
            "head": site.new_commits.head,
            "why": self._why_not_live,
            "subjects": self._subjects,
            "step": swap.phase if swap else None,
            "swap": self._current_swap,
            "trial": queue.trial.as_dict() if queue.trial else None,
            "processes": self.processes.as_dicts(),
            "process_problems": self.processes.problems(),
            "requests_per_second": round(self._site.rate.per_second, 1),
            "held": site.gate.held,
            "in_flight": sum(target.in_flight for target in targets),
            "buffered": attrs.asdict(site.served.buffered),
            "tunnels": sum(target.streams for target in targets),
            "paused_for": self._site.pause.seconds_left,
            "sleep": site.sleep.as_dict(),
            "maintenance": site.maintenance.as_dict(),
            "quarantined": self._quarantined,
            "output": self._output,
            "previous": site.state.previous,
            "problem": site.watch.problem,
            "needs_restart": [change.as_dict() for change in site.needs_restart],
            "unremovable": list(site.releases.pruning.unremovable),
            "last_swap": site.history.last.as_dict() if site.history.last else None,
            "last_swaps": [
                # Output is long; `last_swap` and `history` have it.
                attrs.evolve(receipt, output=()).as_dict()
                for receipt in site.history.receipts[:LAST_SWAPS]
            ],
            "supervisor": of_supervisor(site.supervisor_began),
        }

    @property
    def phase(self) -> str:
        """`starting`, `serving`, `swapping`, `paused`, `failing`, `asleep` or `waking`."""
        gate = self._site.gate
        if self._site.pause.seconds_left is not None:
            return "paused"
        if self._site.queue.current is not None and self._site.slots.live is not None:
            return "swapping"
        if gate.targets:
            return "serving"
        if gate.is_refusing:
            return "failing"
        return "starting" if self._site.sleep.is_awake else self._site.sleep.phase

    @property
    def _draining(self) -> dict[str, Any] | None:
        """The slot with the release that was live before the switch, until the soak is over."""
        slots, state_of = self._site.slots.both, self._site.queue.state_of
        return next((_slot(slot) for slot in slots if state_of(slot) == "draining"), None)

    @property
    def _draining_revision(self) -> str | None:
        return self._draining["revision"] if self._draining else None

    @property
    def _retiring(self) -> dict[str, Any] | None:
        """The slot that is retiring, and how long that may still take."""
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
    def _current_swap(self) -> dict[str, Any] | None:
        """The current swap: its phases so far, and how long it and its phase have taken."""
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
        """Relevant revisions in quarantine: requested, or tried since the live one went live."""
        queue, live = self._site.queue, self._site.slots.live_revision
        relevant = {queue.desired, queue.head, self._site.new_commits.head}
        for receipt in self._site.history.receipts:
            if receipt.outcome == "promoted" and receipt.revision == live:
                break
            relevant.add(receipt.revision)
        quarantine = self._site.state.quarantine
        return {revision: why for revision, why in quarantine.items() if revision in relevant}

    @property
    def _output(self) -> dict[str, list[str]]:
        """The last lines of output of a live release that is down, and of each failed candidate
        in the status."""
        queue = self._site.queue
        others = {queue.desired, self._site.new_commits.head, *self._quarantined}
        named = others - {self._site.slots.live_revision, None}
        outputs = {name: self._site.state.last_output(name) for name in named if name}
        live = self._site.slots.live
        if live is not None and live.release is not None and live.crash is not None:
            outputs[live.release.revision] = live.crash.output
        return {name: list(lines[-LAST_LINES:]) for name, lines in outputs.items() if lines}

    @property
    def _why_not_live(self) -> str:
        """Why the desired revision, or else HEAD of the checkout, is not live; "" if it is."""
        queue, live = self._site.queue, self._site.slots.live_revision
        revision = queue.desired if queue.desired != live else self._site.new_commits.head
        if revision is None or revision == live:
            return ""
        passed_over = self._site.new_commits.passed_over
        if passed_over is None or revision != passed_over.revision:
            return self._why_not(revision)
        if passed_over.since == live:
            return f"{passed_over.reason}, which is live"
        return f"{passed_over.reason}, which is not live: {self._why_not(passed_over.since)}"

    def _why_not(self, revision: str) -> str:
        """Why a revision that was to be deployed is not live."""
        queue, live = self._site.queue, self._site.slots.live_revision
        if queue.current is not None:
            is_current = queue.current.revision == revision
            return "it is being deployed" if is_current else "waiting for another swap to end"
        if (retry := queue.pending_retry) is not None and retry.revision == revision:
            return f"retrying in {retry.seconds_left:.0f} s: {retry.reason}"
        if was_rolled_back(revision, self._site.history.receipts):
            return (
                f"it was rolled back. `{self._swap_to(revision)}` deploys it again; a newer commit "
                "is deployed as usual"
            )
        if reason := self._site.state.quarantine.get(revision):
            return quarantined(reason, self._swap_to(revision, "--retry"))
        for receipt in self._site.history.receipts:
            if receipt.revision == revision and receipt.outcome != "promoted":
                again = f"to deploy it: {self._swap_to(revision)}"
                return f"its swap {_ENDINGS[receipt.outcome]} ({again}): {receipt.reason}"
            if receipt.revision == live != receipt.previous and receipt.asked_by:
                return _replacement(receipt)
        return "there is no record of a swap to it"

    def _swap_to(self, revision: str, *options: str) -> str:
        """The command that deploys a revision."""
        return command_line("swap", self._site.label, *options, revision[:7])

    @property
    def _subjects(self) -> dict[str, str]:
        """The known subject lines of the revisions in the status."""
        queue = self._site.queue
        current = queue.current.revision if queue.current else None
        named = {
            self._site.slots.live_revision, self._site.state.previous,
            queue.desired, self._site.new_commits.head, current, self._draining_revision,
            *self._quarantined,
        }  # fmt: skip
        if (retiring := self._site.retirement.slot) and retiring.release:
            named.add(retiring.release.revision)
        subjects = {revision: queue.subject_of(revision) for revision in named if revision}
        if passed_over := self._site.new_commits.passed_over:
            subjects[passed_over.revision] = passed_over.subject
        return {revision: subject for revision, subject in subjects.items() if subject}


_ENDINGS = {
    "failed": "failed",
    "superseded": "was superseded",
    "reverted": "was reverted",
    "aborted": "was aborted",
    "unchanged": "changed nothing",
}


def _replacement(receipt: Receipt) -> str:
    """The swap that took the place of a revision that is not deployed."""
    short = receipt.revision[:7]
    if receipt.asked_by == Trigger.ROLLBACK:
        return f"rolled back to {short}"
    return f"{short} was deployed since, {triggered_by(receipt.asked_by)}"


def _slot(slot: Slot | None) -> dict[str, Any] | None:
    if slot is None or slot.release is None:
        return None
    return {
        "slot": slot.name,
        "revision": slot.release.revision,
        "ports": slot.ports,
        "sockets": slot.sockets,
        "pids": [backend.process.pid for backend in slot.backends],
        "is_static": slot.is_static,
        "crash": slot.crash.reason if slot.crash else "",
        "since": slot.since.isoformat(timespec="seconds") if slot.since else None,
        "results": results_of(slot),
    }


def results_of(slot: Slot) -> dict[str, Any] | None:
    """The recent results of the release in this slot; None without an app."""
    return None if slot.is_static else slot.recent.recent().summary().as_dict()
