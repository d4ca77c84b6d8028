"""Chunks, and what is in them (RFC 9112 section 7.1), read strictly.

Here we do not ask h11: it lets through sizes of more than 16 digits, and trailers whose lines end
in LF alone, which others may take for something else. It does no I/O: bytes in, bytes out.
"""

import re
from enum import Enum

from blue_green.proxy.heads import MAX_LINES, Fields, trailers

SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
"""With the space around the value, which a pattern could only leave out by backtracking."""
LONGEST_LINE = 8 * 1024


class _Line(Enum):
    """What the next line must be."""

    SIZE = "the size of a chunk"
    END = "the end of a chunk"
    TRAILER = "a trailer, or the end of them"


class ChunkReader:
    """Takes a body as it comes, and gives what is in its chunks.

    All that is there of it is given at once, so that many small chunks cost little more than one.
    """

    def __init__(self) -> None:
        self.has_ended = False
        self.broken = ""
        """Why what came is not chunks, if it is not."""
        self.trailers: Fields = []
        """Those that may go on, once it has ended."""
        self.rest = b""
        """What was not used yet; once it has ended, what came after it."""
        self._next = _Line.SIZE
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Take more of the body, and give what is in its chunks, up to where it is broken."""
        data = self.rest + data
        at = 0
        pieces = []
        while not self.has_ended and not self.broken:
            if self._left:
                piece = data[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._check_begun_line(data[at:])
                break
            if end - at > LONGEST_LINE:
                self.broken = "a line between chunks is too long"
                break
            self._take_line(data[at:end])
            at = end + 2
        self.rest = data[at:]
        return b"".join(pieces)

    def _take_line(self, line: bytes) -> None:
        if self._next is _Line.SIZE:
            size = SIZE.fullmatch(line)
            if size is None:
                self.broken = "the size of a chunk is not a hexadecimal number"
                return
            self._left = int(size[1], 16)
            self._next = _Line.END if self._left else _Line.TRAILER
        elif self._next is _Line.END:
            if line:
                self.broken = "a chunk is longer than it says"
            self._next = _Line.SIZE
        elif line:
            self._take_trailer(line)
        else:
            self.trailers = trailers(self.trailers)
            self.has_ended = True

    def _take_trailer(self, line: bytes) -> None:
        field = TRAILER.fullmatch(line)
        if field is None or len(self.trailers) == MAX_LINES:
            self.broken = "a trailer is malformed, or there are too many"
            return
        self.trailers.append((field[1], field[2].strip(b" \t")))

    def _check_begun_line(self, begun: bytes) -> None:
        """Nobody need wait for the end of a line that cannot become a good one."""
        if b"\n" in begun or len(begun) > LONGEST_LINE:
            self.broken = "a line between chunks is too long, or does not end in CR LF"
        if self._next is _Line.END and begun not in (b"", b"\r"):
            self.broken = "a chunk is longer than it says"
