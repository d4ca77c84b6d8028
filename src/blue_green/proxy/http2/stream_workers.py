"""Tasks that serve the streams of a connection, one after another.

A task with a cancel scope for each stream would take a sixth of the time of a small request.
"""

from collections import deque
from collections.abc import Callable, Sized

import trio

from blue_green.proxy.client import NO_SCOPE
from blue_green.proxy.handler import Handler
from blue_green.proxy.http2 import request_task
from blue_green.proxy.http2.stream import Http2Stream
from blue_green.proxy.shared import Shared


class StreamWorkers:
    """The tasks of one connection. While it has no streams, there is one at most."""

    def __init__(
        self,
        nursery: trio.Nursery,
        handler: Handler,
        shared: Shared,
        streams: Sized,
        end: Callable[[Http2Stream], None],
    ) -> None:
        """`streams` are those that have begun, until `end` is called for each."""
        self._nursery = nursery
        self._handler = handler
        self._shared = shared
        self._streams = streams
        self._end = end
        self._given: deque[Http2Stream] = deque()
        """Streams for the workers that have been woken."""
        self._idle = trio.lowlevel.ParkingLot()

    def serve(self, stream: Http2Stream) -> None:
        """Have a worker serve this stream, from the next turn of the event loop on."""
        self._shared.begun_streams += 1
        if self._idle:
            self._given.append(stream)
            self._idle.unpark()
        else:
            self._nursery.start_soon(self._work, stream)

    async def _work(self, stream: Http2Stream | None) -> None:
        """Serve this stream and then others, until one is cancelled or this is not needed."""
        try:
            with trio.CancelScope() as scope:
                while stream is not None:
                    self._shared.begun_streams -= 1
                    stream.client.enter(scope)
                    await request_task.serve(stream, self._handler, self._shared)
                    stream.client.scope = NO_SCOPE
                    ended, stream = stream, None
                    self._end(ended)
                    if not scope.cancel_called:  # That was meant for the stream that has ended.
                        stream = await self._next()
            if stream is not None:
                await request_task.send_final_error(stream, self._shared)
        finally:
            if stream is not None:
                self._end(stream)

    async def _next(self) -> Http2Stream | None:
        if not self._given:
            if not self._streams:
                self._idle.unpark_all()
            await self._idle.park()
        return self._given.popleft() if self._given else None
