"""The chunked transfer coding (RFC 9112 section 7.1), parsed strictly.

h11 is not used here: it accepts sizes of more than 16 digits, and trailers whose lines end in LF
alone, which other parsers may read differently. No I/O: bytes in, bytes out.
"""

import re
from enum import Enum

from blue_green.http.heads import MAX_LINES, Fields, trailers

SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
SIMPLE_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
"""It includes white space around the value, since excluding that would need backtracking."""
LONGEST_LINE = 8 * 1024
MOST_AT_ONCE = 128
"""Chunks, and lines between them, that are parsed at once."""


class _Line(Enum):
    """What the next line must be."""

    SIZE = "the size of a chunk"
    END = "the end of a chunk"
    TRAILER = "a trailer, or the end of them"


class ChunkReader:
    """Takes a chunked body as it arrives, and returns the data in it.

    Many small chunks are returned as one piece, but only as many as take no longer than a request.
    """

    def __init__(self) -> None:
        self.has_ended = False
        self.broken = ""
        """Why the body is malformed, if it is."""
        self.trailers: Fields = []
        """The trailers that may be forwarded, once the body has ended."""
        self.rest = b""
        """Bytes that were not used yet; once it has ended, those after it."""
        self.has_more = False
        """There may be more in `rest` than was parsed at once: to go on, feed it nothing."""
        self._next = _Line.SIZE
        self._left = 0
        self._used = 0
        """How much of `rest` was used, while there is more."""

    def feed(self, data: bytes) -> bytes:
        """Take more of the body, and return the data in it, up to where it is malformed."""
        data = self.rest + data if data else self.rest
        at, self._used = self._used, 0
        pieces: list[bytes] = []
        count = 0
        while not (self.has_ended or self.broken or count == MOST_AT_ONCE):
            count += 1
            if self._left:
                piece = data[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif self._next is _Line.SIZE and (end := _whole_chunk(data, at, pieces)):
                at = end
            elif (end := data.find(b"\r\n", at)) < 0:
                self._check_begun_line(data[at:])
                break
            else:
                self._take_line(data[at:end])
                at = end + 2
        self.has_more = count == MOST_AT_ONCE and not (self.has_ended or self.broken)
        if self.has_more:  # It is cut once, and not for every portion.
            self.rest, self._used = data, at
        else:
            self.rest = data[at:]
        return b"".join(pieces)

    def _take_line(self, line: bytes) -> None:
        if len(line) > LONGEST_LINE:
            self.broken = "a line between chunks is too long"
        elif self._next is _Line.SIZE:
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
        """Reject an unfinished line early if it cannot become a valid one."""
        if b"\n" in begun or len(begun) > LONGEST_LINE:
            self.broken = "a line between chunks is too long, or does not end in CR LF"
        if self._next is _Line.END and begun not in (b"", b"\r"):
            self.broken = "a chunk is longer than it says"


def _whole_chunk(data: bytes, at: int, pieces: list[bytes]) -> int:
    """The end of a chunk that is here as a whole, and simple, as most are; otherwise 0."""
    size = SIMPLE_SIZE.match(data, at)
    if size is None:
        return 0
    start = size.end()
    stop = start + int(size[1], 16)
    if stop == start or data[stop : stop + 2] != b"\r\n":
        return 0
    pieces.append(data[start:stop])
    return stop + 2


def chunk(data: bytes) -> bytes:
    """Some bytes as a chunk of their own."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(fields: Fields) -> bytes:
    """The end of a chunked body, with these trailers."""
    lines = [b"%b: %b\r\n" % field for field in fields]
    return b"0\r\n" + b"".join(lines) + b"\r\n"
