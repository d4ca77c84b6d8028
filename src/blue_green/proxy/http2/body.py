"""What the client sends on one stream after the head: a request's body, or its end of a tunnel."""

from collections.abc import Callable

import trio

from blue_green.http.heads import Fields
from blue_green.http.transport import BLOCK
from blue_green.proxy.relay import NO_FIELDS, BadBody, BodyTooLarge

BROKEN_OFF = "it broke off before its end"


class StreamBody:
    """A `Body` (see `relay`), into which the connection puts what arrives.

    The client sends no more than the stream's window allows, which `used` opens again: so what has
    arrived and is not used has a bound. A reader has used a piece when it reads the next one: until
    then, the piece may wait in its hands for a thread, a lease or a slow backend.
    """

    def __init__(self, used: Callable[[int], None], *, length: int = -1, has_ended: bool) -> None:
        """`used` is called with a number of bytes that the reader keeps no longer.

        A body of a known `length` is malformed if more follows, which only its end excludes. So its
        last byte is kept back until then: nobody gets a malformed one as a whole.
        """
        self.trailers: Fields = NO_FIELDS
        self.limit = 0
        """The most bytes; 0: no limit. For a body whose length is not known beforehand."""
        self._used = used
        self._has_ended = has_ended
        """The client will send nothing more."""
        self.is_broken = False
        """The client has broken it off."""
        self._count = 0
        self._length = length
        self._arrived = bytearray()  # Frames may have a single byte, which would cost 50 alone.
        self._in_use = 0
        """Bytes of the piece that was read last."""
        self._more: trio.Event | None = None
        """For the reader, if it waits."""

    # --- from the client ---

    def put(self, data: bytes) -> None:
        self._arrived += data
        self._wake_reader()

    def end(self, trailers: Fields) -> None:
        self.trailers = trailers
        self._has_ended = True
        self._wake_reader()

    def break_off(self) -> None:
        """Nothing more will arrive, and what has arrived is not all."""
        self.is_broken = not self._has_ended
        self._wake_reader()

    def close(self) -> int:
        """Forget what has arrived, since nobody will use it; the number of its bytes.

        It forgets `used`, too, which would be a reference cycle.
        """
        self._used = _forget
        count = len(self._arrived) + self._in_use
        if count:
            self._arrived.clear()
            self._in_use = 0
        return count

    def _wake_reader(self) -> None:
        if self._more is not None:
            self._more.set()

    # --- to the reader ---

    @property
    def is_complete(self) -> bool:
        return self._has_ended and not self._arrived

    @property
    def has_arrived(self) -> bool:
        return self._readable > 0

    def is_whole(self, limit: int) -> bool:
        """Whether all of it has arrived, and is at most so many bytes."""
        return self._has_ended and len(self._arrived) <= limit

    def take(self, limit: int = BLOCK) -> bytes:
        """Up to so many of the bytes that have arrived, which count as used."""
        data = self._remove(limit)
        self._used(len(data))
        return data

    async def read(self) -> bytes:
        if self._in_use:
            self._used(self._in_use)
            self._in_use = 0
        while not (count := min(self._readable, BLOCK)):
            if self._has_ended:
                return b""
            if self.is_broken:
                raise BadBody(BROKEN_OFF)
            more = self._more = trio.Event()
            await more.wait()
        self._count += count
        if 0 < self.limit < self._count:
            raise BodyTooLarge(f"it is larger than {self.limit} bytes")
        self._in_use = count
        return self._remove(count)

    def _remove(self, limit: int) -> bytes:
        data = bytes(self._arrived[:limit])
        del self._arrived[:limit]
        return data

    @property
    def _readable(self) -> int:
        """Bytes that may be read now."""
        count = len(self._arrived)
        is_last = self._count + count == self._length
        return count - 1 if is_last and not self._has_ended else count


def _forget(count: int) -> None:
    """Nobody wants to know any more how many bytes were used."""
