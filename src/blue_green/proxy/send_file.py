"""Send stretches of files within the kernel (sendfile(2)), or read them for TLS."""

import errno
import os

from blue_green.files.open_file import OpenFile
from blue_green.http.transport import Transport
from blue_green.proxy.relay import BadBody

OF_THE_FILE = (errno.EIO, errno.ESTALE, errno.EOVERFLOW, errno.ENOMEM)
"""Failures of sendfile(2) that are not those of the socket."""


def send_now(sink: Transport, file: OpenFile, offset: int, length: int) -> int:
    """Send what the socket takes without waiting; how many bytes that is."""
    try:
        sent = os.sendfile(sink.sock.fileno(), file.descriptor, offset, length)
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno in OF_THE_FILE:
            raise _unreadable(error) from None
        raise
    if not sent:
        raise BadBody("the file was truncated meanwhile")
    return sent


def read_now(file: OpenFile, offset: int, length: int) -> bytes:
    """Some bytes of the file, which are in memory."""
    try:
        data = file.read(offset, length)
    except OSError as error:
        raise _unreadable(error) from None
    if not data:
        raise BadBody("the file was truncated meanwhile")
    return data


async def load(file: OpenFile, offset: int, length: int) -> None:
    """Wait until this part of the file is in memory."""
    try:
        await file.load(offset, length)
    except OSError as error:
        raise _unreadable(error) from None


def _unreadable(error: OSError) -> BadBody:
    return BadBody(f"the file cannot be read: {error.strerror}")
