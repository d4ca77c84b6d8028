"""A file in one of its encodings, ready to be sent."""

import hashlib
import os
from base64 import urlsafe_b64encode
from email.utils import formatdate
from typing import NamedTuple

from attrs import define, field

from blue_green.files.bases import FileBase
from blue_green.files.conditions import Validators
from blue_green.files.encodings import IDENTITY
from blue_green.http.heads import Framing
from blue_green.http.response import Response

SMALL = 16 * 1024
"""Bytes up to which the content of a file is kept in memory. Larger ones are sent by the kernel."""
HASHED = 8 * 1024 * 1024
"""Bytes up to which the ETag is made from the content."""
BLOCK = 256 * 1024
ATTEMPTS = 3


class Changing(Exception):
    """A file changed each time while it was read."""


class Identity(NamedTuple):
    """Differs if a file was replaced or changed."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def identity_of(status: os.stat_result) -> Identity:
    return Identity(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


@define(eq=False)
class Representation:
    """What is sent for a file, in one encoding."""

    base: FileBase
    names: tuple[bytes, ...]
    identity: Identity
    validators: Validators
    body: bytes | None
    """The content of a small file."""
    lines: bytes
    """The header lines of a response with the content, or part of it, but for its length."""
    short_lines: bytes
    """Those of a response without any content (304)."""
    varies: bool
    """The file has other encodings, too."""
    whole: Response = field(init=False)
    """The response with all of it."""

    @whole.default
    def _(self) -> Response:
        size = self.identity.size
        lines = b"%bContent-Length: %d\r\n" % (self.lines, size)
        return Response(200, b"OK", lines, Framing.LENGTH, size)

    @property
    def size(self) -> int:
        return self.identity.size

    def part(self, wanted: range) -> Response:
        """The response with a range."""
        lines = b"%bContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n" % (
            self.lines, wanted.start, wanted.stop - 1, self.size, len(wanted)
        )  # fmt: skip
        return Response(206, b"Partial Content", lines, Framing.LENGTH, len(wanted))

    def not_modified(self) -> Response:
        return Response(304, b"Not Modified", self.short_lines, Framing.NONE)

    def unsatisfiable(self) -> Response:
        """The response to a range that the file has nothing of."""
        lines = b"Content-Range: bytes */%d\r\nContent-Length: 0\r\nCache-Control: no-store\r\n"
        return Response(416, b"Range Not Satisfiable", lines % self.size, Framing.LENGTH, 0)

    def not_found(self) -> Response:
        """The response whose page this file is, when another one was not found."""
        kind = self.lines.partition(b"\r\n")[0]
        lines = b"%b\r\nContent-Length: %d\r\nCache-Control: no-cache\r\n" % (kind, self.size)
        return Response(404, b"Not Found", lines, Framing.LENGTH, self.size)


def make(
    base: FileBase,
    names: tuple[bytes, ...],
    descriptor: int,
    *,
    kind: bytes,
    cache_control: bytes,
    coding: bytes,
    varies: bool,
) -> Representation:
    """Read an open file, in a thread; raise `OSError` and `Changing`."""
    identity, body, tag = read(descriptor)
    seconds = identity.modified_ns // 10**9
    last_modified = formatdate(seconds, usegmt=True).encode()
    validators = Validators(tag, seconds, last_modified)
    short_lines = b"Cache-Control: %b\r\nETag: %b\r\nLast-Modified: %b\r\n" % (
        cache_control, tag, last_modified
    )  # fmt: skip
    if varies:
        short_lines += b"Vary: Accept-Encoding\r\n"
    lines = b"Content-Type: %b\r\n%bAccept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n" % (
        kind,
        short_lines,
    )
    if coding != IDENTITY:
        lines += b"Content-Encoding: %b\r\n" % coding
    return Representation(base, names, identity, validators, body, lines, short_lines, varies)


def read(descriptor: int) -> tuple[Identity, bytes | None, bytes]:
    """The identity of an open file, its content if it is small, and its ETag."""
    for _ in range(ATTEMPTS):
        before = identity_of(os.fstat(descriptor))
        if before.size > HASHED:
            return before, None, b'"%x-%x-%x"' % (before.inode, before.size, before.modified_ns)
        digest, blocks, length = hashlib.blake2b(digest_size=15), [], 0
        while block := os.pread(descriptor, BLOCK, length):
            digest.update(block)
            length += len(block)
            if before.size <= SMALL:
                blocks.append(block)
            if length > before.size:
                break
        if length == before.size and identity_of(os.fstat(descriptor)) == before:
            body = b"".join(blocks) if before.size <= SMALL else None
            return before, body, b'"%b"' % urlsafe_b64encode(digest.digest())
    raise Changing
