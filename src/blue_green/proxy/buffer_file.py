"""A file for what is buffered: without a name, so that nothing is left of it after a crash."""

import errno
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

NOT_NOW = (errno.EAGAIN, errno.EOPNOTSUPP)
"""It is not in the page cache, or the file system cannot tell."""


class BufferFile:
    """An unlinked file that only this process can read.

    All but `read_cached` may block, so they are for threads. A thread may be abandoned: closing
    waits for it, so that it never writes to another file with the same descriptor. One that was
    opened in vain is closed when nobody refers to it.
    """

    _descriptor = -1

    def __init__(self, directory: Path, kept_free: int) -> None:
        """Leave so many bytes of the file system free. Raises `OSError`."""
        # It has O_TMPFILE where that is supported, and mode 0600.
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            self._descriptor = os.dup(file.fileno())
        self._kept_free = kept_free
        self._lock = threading.Lock()

    def write(self, pieces: Sequence[bytes], offset: int) -> None:
        """Write all of these bytes at this offset; raise `OSError`."""
        with self._lock:
            room = os.fstatvfs(self._descriptor)
            if room.f_bavail * room.f_frsize < self._kept_free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            rest = memoryview(b"".join(pieces))
            while rest:
                count = os.pwrite(self._descriptor, rest, offset)
                rest, offset = rest[count:], offset + count

    def read(self, count: int, offset: int) -> bytes:
        """Up to so many bytes; raise `OSError`."""
        with self._lock:
            return os.pread(self._descriptor, count, offset)

    def read_cached(self, count: int, offset: int) -> bytes | None:
        """The same, if it does not block; otherwise None."""
        buffer = bytearray(count)
        try:
            got = os.preadv(self._descriptor, [buffer], offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in NOT_NOW:
                return None
            raise
        return bytes(buffer[:got]) if got else None

    def close(self) -> None:
        """Close it after what is being written or read; raise `OSError`, but never open it again.

        Linux gives the descriptor to the next file whatever close(2) returns.
        """
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
