"""A buffer for the body of one message: first in memory, then in a file.

It is a queue of bytes: the file has the older ones, memory the newer ones. When there are too many
in memory, all of them are written to the file, in a thread.
"""

from collections import deque
from types import TracebackType

import trio

from blue_green.proxy.buffer_file import BufferFile
from blue_green.proxy.buffer_space import BufferSpace, BufferUse

IN_MEMORY = 256 * 1024
"""Bytes of one body in memory, and about the size of a write."""
PIECE = 32 * 1024
"""Bytes of a file that are in memory for a slow reader."""


class BufferLost(Exception):
    """What was written to the file cannot be read."""


class Buffer:
    """A queue of bytes. One task may put, and one may get. Close it with `with`."""

    def __init__(self, space: BufferSpace, use: BufferUse, bound: int) -> None:
        """`bound` is the largest size, in memory and in the file each."""
        self._space = space
        self._use = use
        self._bound = bound
        self.is_awaited = False
        """It is empty, `get` waits, and nothing has been put since."""
        self._has_ended = False
        self._memory: deque[bytes] = deque()
        self._held = 0
        """Bytes in `_memory`, and those that are being written."""
        self._is_writing = False
        self._reserved = 0
        """Bytes of memory that were taken for something else than `_memory`."""
        self._file: BufferFile | None = None
        self._cannot_write = False
        self._read = 0
        self._written = 0
        """Offsets in the file."""
        self._taken = 0
        """Bytes that were taken on disk."""
        self._changed = trio.Event()

    def __enter__(self) -> "Buffer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give everything back. Whatever is in it is lost."""
        self._space.give_memory(self._use, self._held + self._reserved)
        self._held = self._reserved = 0
        self._memory.clear()
        if self._file is not None:
            self._space.close_file(self._file, self._use, self._taken)
        else:  # Whoever opened it may have been cancelled.
            self._space.give_disk(self._use, self._taken)
        self._file = None
        self._read = self._written = self._taken = 0

    @property
    def is_in_memory(self) -> bool:
        """Whether nothing of it is in a file."""
        return self._read == self._written and not self._is_writing

    async def changed(self) -> None:
        """Wait until something was put or taken."""
        await self._changed.wait()

    def reserve(self, count: int) -> bool:
        """Take so much memory for other bytes of the message; whether there is room."""
        if not self._space.take_memory(self._use, count):
            return False
        self._reserved += count
        return True

    def release(self, kept: int) -> None:
        """Give back the reserved memory but for so many bytes."""
        if self._reserved > kept:
            self._space.give_memory(self._use, self._reserved - kept)
            self._reserved = kept

    # --- put ---

    def put_in_memory(self, data: bytes) -> bool:
        """Append it, if there is room for it in memory."""
        size = self._held + len(data)
        # A reader that waits gets it in any case, since nothing else would wake the caller.
        if size > min(IN_MEMORY, self._bound) and not self.is_awaited:
            return False
        if not self._space.take_memory(self._use, len(data), force=self.is_awaited):
            return False
        self._memory.append(data)
        self._held += len(data)
        self._notify()
        return True

    async def put(self, data: bytes) -> bool:
        """Append it, in memory or in the file; False if there is room in neither."""
        if self.put_in_memory(data):
            return True
        if not await self._make_room(self._held + len(data)):
            return False
        return await self._move_to_file(data)

    def end(self) -> None:
        """Nothing more will be put."""
        self._has_ended = True
        self._notify()

    async def _make_room(self, size: int) -> bool:
        """Take disk space for so many more bytes in the file, and open it."""
        end = size + (self._written if self._read < self._written else 0)
        if self._cannot_write or end > self._bound:
            return False
        more = end - self._taken
        if more > 0:
            if not self._space.take_disk(self._use, more, end):
                return False
            self._taken = end
        if self._file is None:
            self._file = await self._space.open_file()
        if self._file is None:
            self._cannot_write = True
            self._space.give_disk(self._use, self._taken)
            self._taken = 0
        return self._file is not None

    async def _move_to_file(self, data: bytes) -> bool:
        """Write what is in memory to the file, and then this."""
        assert self._file is not None
        if self._read == self._written:  # The space of the file can be used again.
            self._read = self._written = 0
        in_memory, pieces = self._held, [*self._memory, data]
        self._memory.clear()
        self._is_writing = True
        self._cannot_write = not await self._space.write(self._file, pieces, self._written)
        self._is_writing = False
        if self._cannot_write:
            self._memory.extend(pieces[:-1])
        else:
            self._written += in_memory + len(data)
            self._held = 0
            self._space.give_memory(self._use, in_memory)
        self._notify()
        return not self._cannot_write

    # --- get ---

    def peek(self) -> bytes:
        """What is in memory."""
        return b"".join(self._memory)

    def take(self) -> bytes:
        """Remove what is in memory, and return it."""
        data = self.peek()
        self._memory.clear()
        self._space.give_memory(self._use, self._held)
        self._held = 0
        return data

    async def get(self, limit: int = PIECE) -> bytes:
        """The next bytes; nothing at the end. Raises `BufferLost`.

        Of those in the file, `limit` at most.
        """
        while True:
            if self._read < self._written:
                return await self._get_from_file(limit)
            if self._memory:
                data = self._memory.popleft()
                self._held -= len(data)
                self._reserved += len(data)
                self._notify()
                return data
            if self._has_ended:
                return b""
            if not self._is_writing:
                self._notify()  # Now there is room for something, whatever the limits are.
                self.is_awaited = True
            await self._changed.wait()

    async def _get_from_file(self, limit: int) -> bytes:
        assert self._file is not None
        count = min(limit, self._written - self._read)
        data = await self._space.read(self._file, count, self._read)
        if not data:
            raise BufferLost
        self._read += len(data)
        self._notify()
        return data

    def _notify(self) -> None:
        self.is_awaited = False
        self._changed.set()
        self._changed = trio.Event()
