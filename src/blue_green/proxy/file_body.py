"""A body that is sent from a file: within the kernel (sendfile(2)), or read for TLS."""

import errno
import os

from blue_green.files.open_file import STRETCH, OpenFile
from blue_green.http.transport import BLOCK, Transport
from blue_green.proxy.client import Client
from blue_green.proxy.relay import BadBody
from blue_green.routing.lease import Outcome

OF_THE_FILE = (errno.EIO, errno.ESTALE, errno.EOVERFLOW, errno.ENOMEM)
"""Failures of sendfile(2) that are not those of the socket."""
LAST = 16 * 1024
"""Bytes that are sent only if the file has not changed while the others were sent."""
DISK_TIMEOUT = 60.0
"""Seconds for a disk to read what is sent next."""


class FileBody:
    """The part of a file that is left to be sent. Raises `BadBody` if it cannot be."""

    def __init__(self, file: OpenFile, offset: int, length: int) -> None:
        self.left = length
        """Bytes."""
        self._file = file
        self._offset = offset
        self._has_begun = False
        self._is_checked = False
        """After some of it was sent, the file was still the same."""

    @property
    def is_ready(self) -> bool:
        """The next bytes can be sent without waiting for a disk."""
        return not self._must_check and self._file.is_in_memory(self._offset, self._count)

    async def get_ready(self) -> None:
        """Wait until they can."""
        try:
            if self._must_check:
                if await self._file.has_changed():
                    raise BadBody("the file was changed meanwhile")
                self._is_checked = True
            if not self._file.is_in_memory(self._offset, self._count):
                await self._file.load(self._offset, self._count)
        except OSError as error:
            raise _unreadable(error) from None

    def send_now(self, sink: Transport) -> int:
        """Send what the socket takes without waiting; how many bytes that is."""
        try:
            sent = os.sendfile(sink.sock.fileno(), self._file.descriptor, self._offset, self._count)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno in OF_THE_FILE:
                raise _unreadable(error) from None
            raise
        self._advance(sent)
        return sent

    def read(self) -> bytes:
        """The next bytes."""
        try:
            data = self._file.read(self._offset, min(self._count, BLOCK))
        except OSError as error:
            raise _unreadable(error) from None
        self._advance(len(data))
        return data

    @property
    def _count(self) -> int:
        """How many bytes come next: up to the next stretch, or up to the last ones."""
        in_stretch = STRETCH - self._offset % STRETCH
        if self._has_begun and not self._is_checked and self.left > LAST:
            return min(in_stretch, self.left - LAST)
        return min(in_stretch, self.left)

    @property
    def _must_check(self) -> bool:
        return self._has_begun and not self._is_checked and self.left <= LAST

    def _advance(self, count: int) -> None:
        if not count:
            raise BadBody("the file was truncated meanwhile")
        self._has_begun = True
        self._offset += count
        self.left -= count


def _unreadable(error: OSError) -> BadBody:
    return BadBody(f"the file cannot be read: {error.strerror}")


async def until_ready(body: FileBody, client: Client) -> None:
    """Wait for the disk if the next bytes are not in memory, but not for ever."""
    if not body.is_ready:
        client.set_timeout(DISK_TIMEOUT, None, Outcome.FAILED)
        await body.get_ready()
        client.clear_timeout()
