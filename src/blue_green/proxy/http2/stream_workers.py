"""Tasks that serve the streams of a connection, one after another.

A task with a cancel scope for each stream would take a sixth of the time of a small request.
"""

from collections import deque
from collections.abc import Callable

import trio

from blue_green.proxy.client import NO_SCOPE
from blue_green.proxy.handler import Handler
from blue_green.proxy.http2 import request_task
from blue_green.proxy.http2.stream import Http2Stream
from blue_green.proxy.shared import Shared

MOST_IDLE = 1000
"""Idle workers of all connections, with about 4 KB each. More are started when they are needed."""


class StreamWorkers:
    """The tasks of one connection."""

    def __init__(
        self,
        nursery: trio.Nursery,
        handler: Handler,
        shared: Shared,
        end: Callable[[Http2Stream], None],
    ) -> None:
        """`end` is called for each stream at its end."""
        self._nursery = nursery
        self._handler = handler
        self._shared = shared
        self._end = end
        self._given: deque[Http2Stream] = deque()
        """Streams that wait for a worker, each of which has been woken or started for one."""
        self._idle = trio.lowlevel.ParkingLot()

    def serve(self, stream: Http2Stream) -> None:
        """Have a worker serve this stream, from the next turn of the event loop on.

        Streams that are given in the same turn begin in that order.
        """
        self._shared.begun_streams += 1
        self._given.append(stream)
        if self._idle:
            self._idle.unpark()
        else:
            self._nursery.start_soon(self._work)

    async def _work(self) -> None:
        """Serve one stream after another, until one is cancelled or this task is not needed."""
        stream: Http2Stream | None = None
        try:
            with trio.CancelScope() as scope:
                while stream := await self._next():
                    self._shared.begun_streams -= 1
                    stream.client.enter(scope)
                    await request_task.serve(stream, self._handler, self._shared)
                    stream.client.scope = NO_SCOPE
                    ended, stream = stream, None
                    self._end(ended)
                    if scope.cancel_called:  # That was meant for the stream that has ended.
                        return
            if stream is not None:
                await request_task.send_final_error(stream, self._shared)
        finally:
            if stream is not None:
                self._end(stream)

    async def _next(self) -> Http2Stream | None:
        """The stream that has waited longest. None: there is none for this task."""
        if not self._given:
            if self._shared.idle_workers >= MOST_IDLE:
                return None
            self._shared.idle_workers += 1
            try:
                await self._idle.park()
            finally:
                self._shared.idle_workers -= 1
        return self._given.popleft() if self._given else None
