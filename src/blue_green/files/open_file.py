"""An open file whose content is sent in stretches, without waiting for a disk in the event loop.

The kernel sends what it has of a file in memory without waiting, and waits for the disk otherwise.
So a byte of each part of a stretch is read first, in a way that does not wait (RWF_NOWAIT,
preadv2(2)). If one is missing, a thread reads the stretch. What was in memory is taken to stay
there for a while.
"""

import os
import time
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, Unpack

import trio

from blue_green.files.representation import Identity, identity_of
from blue_green.system import threads
from blue_green.system.file_systems import is_local

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

STRETCH = 2 * 1024 * 1024
"""Bytes that are looked for in memory, and are sent, at once."""
PART = 128 * 1024
"""The kernel reads ahead by about so much."""
STAYS = 1.0
"""Seconds for which a stretch is taken to stay in memory."""
MOST_STRETCHES = 16 * 1024


class OpenFile:
    """A regular file, which is closed when nobody refers to it any more.

    Requests for the same file share one, and a thread may open it for one that has been cancelled.
    """

    def __init__(
        self,
        descriptor: int,
        identity: Identity,
        limiter: trio.CapacityLimiter,
    ) -> None:
        self.descriptor = descriptor
        self._identity = identity
        self._warm: dict[int, float] = {}
        """When stretches were last known to be in memory (`time.monotonic`)."""
        self._limiter = limiter
        self._is_local = is_local(descriptor)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def is_in_memory(self, offset: int, length: int) -> bool:
        """Whether this part of a stretch can be sent without waiting for a disk."""
        number, now = offset // STRETCH, time.monotonic()
        if now - self._warm.get(number, 0.0) < STAYS:
            return True
        byte = [bytearray(1)]
        try:
            for position in (*range(offset, offset + length, PART), offset + length - 1):
                os.preadv(self.descriptor, byte, position, os.RWF_NOWAIT)
        except OSError:  # It has to wait (EAGAIN), or the file system cannot tell.
            return False
        self._note_warm(number, now)
        return True

    async def load(self, offset: int, length: int) -> None:
        """Have the kernel read this part of a stretch from the disk; raise `OSError`."""
        twin = os.dup(self.descriptor)  # The thread may outlive this file.
        await self._in_thread(_read_and_close, twin, offset, length)
        self._note_warm(offset // STRETCH, time.monotonic())

    def read(self, offset: int, length: int) -> bytes:
        """Some bytes that are in memory."""
        return os.pread(self.descriptor, length, offset)

    async def has_changed(self) -> bool:
        """Whether it has other content by now. Its name may be gone, or that of another file."""
        if self._is_local:
            status = os.fstat(self.descriptor)
        else:
            twin = os.dup(self.descriptor)
            status = await self._in_thread(_stat_and_close, twin)
        now, before = identity_of(status), self._identity
        return (now.size, now.modified_ns) != (before.size, before.modified_ns)

    async def _in_thread(self, function: Callable[[Unpack[Ts]], T], *arguments: *Ts) -> T:
        with threads.limited_by(self._limiter):
            return await threads.run(function, *arguments, abandon_on_cancel=True)

    def _note_warm(self, number: int, now: float) -> None:
        if len(self._warm) >= MOST_STRETCHES:
            self._warm.clear()
        self._warm[number] = now


def _read_and_close(descriptor: int, offset: int, length: int) -> None:
    try:
        end = offset + length
        while offset < end and (block := os.pread(descriptor, min(PART, end - offset), offset)):
            offset += len(block)
    finally:
        os.close(descriptor)


def _stat_and_close(descriptor: int) -> os.stat_result:
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)
