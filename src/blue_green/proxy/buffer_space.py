"""The room for buffered bodies: bytes of memory and of disk, for one site and for all together.

Where there is no room, nothing fails: the body is streamed, and a slow client slows the backend.

With several sites, the buffers of one may take as much as all of them leave free, at most half. One
body may take a quarter of the free bytes on disk, so that the first large ones leave room for more.
"""

import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar, TypeVarTuple, Unpack

import trio
from attrs import define

from blue_green.proxy.buffer_file import BufferFile

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

logger = logging.getLogger(__name__)

MOST_FILES = 1024
"""Open files."""
CONNECTIONS_PER_FILE = 4
"""Clients that may be connected for each open file: the open-file limit has room for both."""
MOST_THREADS = 8
CLOSERS = 2 * MOST_THREADS
"""Files that are closed at once. On a busy machine each waits for its thread; and closing a file
waits for a write to it, so with fewer, writes that hang would keep all others open."""
SHARE = 4
"""One body may take at most this fraction of the free bytes on disk."""
KEPT_FREE = 256 * 2**20
"""Bytes that are left free in the file system, for others."""
PATIENCE = 2.0
"""Seconds that it may take to open a file, or to write to it."""
RETRY_AFTER = 10.0
"""Seconds without further attempts after one has taken longer: the file system may hang."""
REMIND = 60.0
"""Seconds between lines in the log about a directory that cannot be used."""


class BufferSettings(Protocol):
    """The limits of all buffers together."""

    @property
    def max_connections(self) -> int: ...

    @property
    def buffer_memory(self) -> int: ...

    @property
    def buffer_disk(self) -> int: ...

    @property
    def buffer_directory(self) -> Path | None: ...


@define(eq=False)
class BufferUse:
    """What one site has buffered."""

    memory: int = 0
    """Bytes in memory now."""
    disk: int = 0
    """Bytes in files now."""
    requests: int = 0
    """Requests whose body was buffered, since the start."""
    responses: int = 0
    """Responses that a slow client did not take at once, since the start."""


class BufferSpace:
    """The buffers of one server. `run` closes files that are not needed any more."""

    def __init__(self, settings: BufferSettings, directory: Path) -> None:
        """`directory` is for files unless the settings have another one."""
        self._settings = settings
        self._default_directory = directory
        self._is_shared = False
        """There are several sites."""
        self.memory = 0
        """Bytes in memory now, of all sites."""
        self.disk = 0
        """Bytes in files now."""
        self.files = 0
        """Files that are open, or about to be."""
        self._threads = trio.CapacityLimiter(MOST_THREADS)
        self._closing_threads = trio.CapacityLimiter(CLOSERS)
        self._to_close: deque[tuple[BufferFile, BufferUse, int]] = deque()
        self._idle_closers = trio.lowlevel.ParkingLot()
        self._reported_at = -REMIND
        self._paused_until = 0.0
        """Nothing is opened or written before this moment, on trio's clock."""

    def use(self, settings: BufferSettings, sites: Sequence[object]) -> None:
        """Apply these limits from now on, to these sites."""
        self._settings = settings
        self._is_shared = len(sites) > 1

    async def run(self) -> None:
        """Close files in threads, since that takes long for large ones, until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(CLOSERS):
                nursery.start_soon(self._close_files)

    async def _close_files(self) -> None:
        """Close one file after another. Each keeps its room until it is closed."""
        while True:
            while not self._to_close:
                await self._idle_closers.park()
            file, use, taken = self._to_close.popleft()
            try:
                await trio.to_thread.run_sync(
                    file.close, limiter=self._closing_threads, abandon_on_cancel=True
                )
            except OSError as error:  # It is closed all the same (close(2)).
                self._report(error)
            self.files -= 1
            self.give_disk(use, taken)

    def take_memory(self, use: BufferUse, count: int, *, force: bool = False) -> bool:
        """Take so many bytes for a body of this site, if there is room; with `force`, always."""
        if not force and not self._has_room(
            count, use.memory, self.memory, self._settings.buffer_memory
        ):
            return False
        self.memory += count
        use.memory += count
        return True

    def give_memory(self, use: BufferUse, count: int) -> None:
        self.memory -= count
        use.memory -= count

    def take_disk(self, use: BufferUse, count: int, size: int) -> bool:
        """Take so many more bytes for a file that will have `size` bytes, if there is room."""
        most = self._settings.buffer_disk
        if size * SHARE > most - self.disk:
            return False
        if not self._has_room(count, use.disk, self.disk, most):
            return False
        self.disk += count
        use.disk += count
        return True

    def give_disk(self, use: BufferUse, count: int) -> None:
        self.disk -= count
        use.disk -= count

    async def open_file(self) -> BufferFile | None:
        """A new file; None if there can be none."""
        if self.files >= min(MOST_FILES, self._settings.max_connections // CONNECTIONS_PER_FILE):
            return None
        self.files += 1  # Already now: many more may want one while this waits for a thread.
        file = None
        try:
            file = await self._in_thread(BufferFile, self._directory, KEPT_FREE)
        except OSError as error:
            self._report(error)
        finally:
            if file is None:
                self.files -= 1
        return file

    def close_file(self, file: BufferFile, use: BufferUse, taken: int) -> None:
        """Close a file, and give back the bytes that were taken for it when it is closed."""
        self._to_close.append((file, use, taken))
        self._idle_closers.unpark()

    async def write(self, file: BufferFile, pieces: Sequence[bytes], offset: int) -> bool:
        """Write to a file; False if that fails, which is logged."""
        try:
            await self._in_thread(file.write, pieces, offset)
        except OSError as error:
            self._report(error)
            return False
        return True

    async def read(self, file: BufferFile, count: int, offset: int) -> bytes:
        """Read from a file; nothing if that fails, which is logged."""
        try:
            data = file.read_cached(count, offset)
            if data is None:
                data = await trio.to_thread.run_sync(
                    file.read, count, offset, limiter=self._threads, abandon_on_cancel=True
                )
        except OSError as error:
            self._report(error)
            return b""
        return data

    async def _in_thread(self, function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
        """Run it in a thread, for as long as we have patience; raise `OSError`."""
        if trio.current_time() >= self._paused_until:
            with trio.move_on_after(PATIENCE):
                return await trio.to_thread.run_sync(
                    function, *arguments, limiter=self._threads, abandon_on_cancel=True
                )
            self._paused_until = trio.current_time() + RETRY_AFTER
        raise OSError(errno.ETIMEDOUT, "the file system does not respond")

    def _report(self, error: OSError) -> None:
        now = trio.current_time()
        if now - self._reported_at >= REMIND:
            self._reported_at = now
            logger.warning(
                "cannot buffer in %s: %s: slow clients now keep their backends busy"
                " ([proxy] buffer_directory)",
                self._directory,
                error.strerror or os.strerror(error.errno or 0),
            )

    @property
    def _directory(self) -> Path:
        return self._settings.buffer_directory or self._default_directory

    def _has_room(self, count: int, own: int, used: int, most: int) -> bool:
        """Whether a site that has `own` of the `used` bytes may have `count` more."""
        left = most - used - count
        return left >= 0 and (not self._is_shared or own + count <= left)
