"""Retirement of the slot that was live before a swap, until its last connection has ended.

A swap is over when the soak is, however long a download or a WebSocket takes: the old release goes
on serving them behind it. When the next swap needs the slot, they are ended soon: a deploy does not
wait for a connection.
"""

import logging
from typing import TYPE_CHECKING

import trio

from blue_green.config.site_settings import SwapSettings
from blue_green.routing.lease import cut
from blue_green.site.draining import close_streams, drain, requests_of, until_only_clients_are_slow
from blue_green.site.receipt import Receipt, short_reason
from blue_green.site.slot import Slot
from blue_green.source import stray_text
from blue_green.source.release import Release
from blue_green.system.printable import counted

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)

HURRY_TIMEOUT = 3.0
"""Seconds over which streams are closed, and that slow clients get, when the slot is needed."""


class Retirement:
    """The slot that is retiring, if there is one."""

    def __init__(self, site: "Site") -> None:
        self.slot: Slot | None = None
        self.requests_until = 0.0
        """When requests that are left are cut, on trio's clock."""
        self.streams_until = 0.0
        """When streams that are left are closed."""
        self._site = site
        self._is_stopping = False
        self._is_over = trio.Event()
        self._scope = trio.CancelScope()
        """Cancelled when the slot is taken back."""
        self._request_time = trio.CancelScope()
        self._stream_time = trio.CancelScope()
        """Cancelled when the slot is needed soon."""

    def begin(
        self, slot: Slot, settings: SwapSettings, receipt: Receipt, *, switched_at: float
    ) -> None:
        """Retire a slot that is no longer live, in the background.

        Its requests may take `drain_timeout` from the switch on, its streams `stream_timeout` from
        now on. How they end is added to the receipt.
        """
        assert self.slot is None
        self.slot = slot
        self.requests_until = switched_at + settings.drain_timeout
        self.streams_until = trio.current_time() + settings.stream_timeout
        self._is_stopping = False
        self._is_over = trio.Event()
        self._scope = trio.CancelScope()
        self._request_time = trio.CancelScope()
        self._stream_time = trio.CancelScope()
        in_flight = len(requests_of(slot.targets))  # Now: some may end before the task begins.
        self._site.slots.start_soon(self._run, slot, receipt, in_flight)

    async def finish(self) -> None:
        """Close the streams soon, and wait until the slot is free. Requests keep all their time."""
        if self.slot is not None:
            self._stream_time.cancel()
            await self._is_over.wait()

    async def hurry(self) -> None:
        """Close streams and cut slow clients soon, and wait until the slot is free.

        Requests that the app is still working on keep all their time.
        """
        self._request_time.cancel()
        await self.finish()

    def take_back(self, revision: str) -> Slot | None:
        """Cancel the retirement and return the slot, if it still runs this revision completely."""
        slot = self.slot
        if slot is None or slot.release is None or slot.release.revision != revision:
            return None
        is_whole = len(slot.backends) == len(slot.addresses)
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
            await self._site.processes.until_none_in(release.path)
            await self._report_data(release, receipt)

    async def _report_data(self, release: Release, receipt: Receipt) -> None:
        """Warn of data that it wrote before it stopped, unless it has gone live again."""
        try:
            found = await self._site.releases.stray_data_in(release.path)
        except OSError as error:
            logger.warning("cannot scan %s for data: %s", release.path, error)
            return
        live = self._site.slots.live
        if not found or (live and live.release and live.release.path == release.path):
            return
        self._site.releases.pruning.add(found)
        warning = stray_text.warning(found, self._site.label)
        if receipt.warning != short_reason(warning):
            receipt.warning = warning
            logger.warning("%s", warning)
        self._site.state_file.change()

    async def _end_requests(self, slot: Slot, receipt: Receipt, in_flight: int) -> None:
        with self._request_time:
            await drain(slot.targets, self._time_left)
        if self._request_time.cancelled_caught:
            await self._hurry_requests(slot)
        left = requests_of(slot.targets)
        lost = cut(left)
        receipt.drained += in_flight - len(left)
        receipt.retried += len(left) - lost
        receipt.cut += lost
        if lost:
            requests = counted(lost, "request")
            logger.warning("cut %s to the old release: drain_timeout was over", requests)

    @property
    def _time_left(self) -> float:
        return max(0.0, self.requests_until - trio.current_time())

    @property
    def seconds_left(self) -> float:
        """Seconds that this may still take, plus those that the app takes to stop."""
        targets = self.slot.targets if self.slot else []
        has_requests = any(target.in_flight for target in targets)
        has_streams = any(target.streams for target in targets)
        until = max(self.requests_until * has_requests, self.streams_until * has_streams)
        return max(0.0, until - trio.current_time())

    async def _hurry_requests(self, slot: Slot) -> None:
        """Cut requests that only wait for their client; the app may finish the others."""
        await drain(slot.targets, min(HURRY_TIMEOUT, self._time_left))
        cut(lease for lease in requests_of(slot.targets) if lease.waits_for_client)
        with trio.move_on_after(self._time_left):
            await until_only_clients_are_slow(slot.targets)
        await drain(slot.targets, HURRY_TIMEOUT)

    async def _end_streams(self, slot: Slot) -> None:
        with self._stream_time:
            await close_streams(slot.targets, self.streams_until - trio.current_time())
            return
        await close_streams(slot.targets, HURRY_TIMEOUT)
