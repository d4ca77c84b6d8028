"""What a swap leaves behind: the slot that was live, until nothing of it goes on any more.

A swap is over when its release has proved itself, however long somebody's download or WebSocket
takes. What the old release still serves goes on behind it. When the next swap needs the slot, what
is left there is ended soon: nobody's fix waits for somebody's connection.
"""

import logging
from typing import TYPE_CHECKING

import trio

from blue_green.config.site_settings import SwapSettings
from blue_green.routing.lease import cut
from blue_green.site.draining import close_streams, drain, requests_of, until_clients_are_waited_for
from blue_green.site.receipt import Receipt, short_reason
from blue_green.site.slots import Slot
from blue_green.source import stray_data
from blue_green.source.release import Release

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)

SOON = 3.0
"""Seconds over which streams are ended, and that a slow client gets, when the slot is needed."""


class Retirement:
    """Of the slot that is not live, if something of it still runs."""

    def __init__(self, site: "Site") -> None:
        self.slot: Slot | None = None
        """The one that retires."""
        self.requests_until = 0.0
        self.streams_until = 0.0
        """When what is left is ended, on trio's clock."""
        self._site = site
        self._is_stopping = False
        self._is_over = trio.Event()
        self._scope = trio.CancelScope()
        """Cancelled when the slot is taken back."""
        self._patience = trio.CancelScope()
        self._patience_with_streams = trio.CancelScope()

    def begin(
        self, slot: Slot, settings: SwapSettings, receipt: Receipt, *, switched_at: float
    ) -> None:
        """Retire a slot that is not live any more, beside whatever comes next.

        Its requests may take until `drain_timeout` after the switch, its streams `stream_timeout`
        from now. What becomes of them is added to the receipt.
        """
        assert self.slot is None
        self.slot = slot
        self.requests_until = switched_at + settings.drain_timeout
        self.streams_until = trio.current_time() + settings.stream_timeout
        self._is_stopping = False
        self._is_over = trio.Event()
        self._scope = trio.CancelScope()
        self._patience = trio.CancelScope()
        self._patience_with_streams = trio.CancelScope()
        in_flight = len(requests_of(slot.targets))  # Now: some may end before the task begins.
        self._site.slots.start_soon(self._run, slot, receipt, in_flight)

    async def finish(self) -> None:
        """End the streams soon, and wait until the slot is free. Requests have all their time."""
        if self.slot is not None:
            self._patience_with_streams.cancel()
            await self._is_over.wait()

    async def hurry(self) -> None:
        """End everything soon that only its client takes time for, and wait until the slot is free.

        Requests that the app still works on have the time that they would have had.
        """
        self._patience.cancel()
        await self.finish()

    def take_back(self, revision: str) -> Slot | None:
        """The slot as it was before it retired, if this is its release and all of it still runs."""
        slot = self.slot
        if slot is None or slot.release is None or slot.release.revision != revision:
            return None
        is_whole = len(slot.backends) == len(slot.ports)
        if self._is_stopping or not is_whole or not all(b.is_alive for b in slot.backends):
            return None
        self._scope.cancel()
        self.slot = None
        self._is_over.set()
        return slot

    async def _run(self, slot: Slot, receipt: Receipt, in_flight: int) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._end_requests, slot, receipt, in_flight)
                nursery.start_soon(self._end_streams, slot)
            self._is_stopping = True
        if self._scope.cancelled_caught:
            return
        release = slot.release
        await slot.stop()
        self.slot = None
        self._is_over.set()
        self._site.state_file.change()
        if release is not None:
            await self._report_data(release, receipt)

    async def _report_data(self, release: Release, receipt: Receipt) -> None:
        """Say what it has written up to its end, after every look that a swap waits for.

        Unless it is what is live again.
        """
        try:
            found = await self._site.releases.stray_data_in(release.path)
        except OSError as error:
            logger.warning("what %s holds is not known: %s", release.path, error)
            return
        live = self._site.slots.live
        if not found or (live and live.release and live.release.path == release.path):
            return
        self._site.releases.note_stray_data(found)
        warning = stray_data.warning(found)
        if receipt.warning != short_reason(warning):
            receipt.warning = warning
            logger.warning("%s", warning)
        self._site.state_file.change()

    async def _end_requests(self, slot: Slot, receipt: Receipt, in_flight: int) -> None:
        with self._patience:
            await drain(slot.targets, self._time_left)
        if self._patience.cancelled_caught:
            await self._hurry_requests(slot)
        left = requests_of(slot.targets)
        lost = cut(left)
        receipt.drained += in_flight - len(left)
        receipt.retried += len(left) - lost
        receipt.cut += lost
        if lost:
            logger.warning("%d requests to the release before were cut: their time was up", lost)

    @property
    def _time_left(self) -> float:
        return max(0.0, self.requests_until - trio.current_time())

    @property
    def seconds_left(self) -> float:
        """How long this may still take, but for the app's own end."""
        targets = self.slot.targets if self.slot else []
        has_requests = any(target.in_flight for target in targets)
        has_streams = any(target.streams for target in targets)
        until = max(self.requests_until * has_requests, self.streams_until * has_streams)
        return max(0.0, until - trio.current_time())

    async def _hurry_requests(self, slot: Slot) -> None:
        """What only its client takes time for gets no more of it; what the app works on does."""
        await drain(slot.targets, min(SOON, self._time_left))
        cut(lease for lease in requests_of(slot.targets) if lease.waits_for_client)
        with trio.move_on_after(self._time_left):
            await until_clients_are_waited_for(slot.targets)
        await drain(slot.targets, SOON)

    async def _end_streams(self, slot: Slot) -> None:
        with self._patience_with_streams:
            await close_streams(slot.targets, self.streams_until - trio.current_time())
            return
        await close_streams(slot.targets, SOON)
