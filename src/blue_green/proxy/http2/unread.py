"""Bodies that have arrived over HTTP/2 and that nobody has read yet: a bound for all together.

The window of a stream bounds what it may leave unread, but there can be thousands of streams. Above
the bound, connections with unread bodies are not read from before these have been read. All others
go on. A piece that waits for its way into a buffer or to a backend counts as unread.
"""

import trio

MOST_UNREAD = 64 * 2**20
"""Bytes of all connections."""


class UnreadTotal:
    """The bytes of all connections of one server."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: set[trio.Event] = set()

    def add(self, count: int) -> None:
        self.count += count
        if self._waiting and self.count <= MOST_UNREAD // 2:
            for event in self._waiting:
                event.set()

    async def until_less(self, event: trio.Event) -> None:
        """Wait until half of the bound is free, or until the event."""
        self._waiting.add(event)
        try:
            await event.wait()
        finally:
            self._waiting.remove(event)


class UnreadBytes:
    """The bytes of one connection."""

    def __init__(self, total: UnreadTotal) -> None:
        self.count = 0
        self._total = total
        self._are_read = trio.Event()

    def add(self, count: int) -> None:
        """Note bytes that have arrived or, if negative, that were read or dropped."""
        self.count += count
        self._total.add(count)
        if not self.count:
            self._are_read.set()

    @property
    def are_too_many(self) -> bool:
        return self.count > 0 and self._total.count > MOST_UNREAD

    async def until_fewer(self) -> None:
        """Wait until this connection has none, or all together have few."""
        self._are_read = trio.Event()
        await self._total.until_less(self._are_read)
