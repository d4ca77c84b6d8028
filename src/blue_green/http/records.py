"""Find where TLS records end, so that OpenSSL gets only a few at once.

One call of OpenSSL processes all the records that it has until one of them carries data. Most of
those that do not, such as key updates, cost a hundred times what their bytes do.
"""

MOST_AT_ONCE = 4
HEADER = 5
"""Bytes. The last two are the length of what follows (RFC 8446 section 5.1)."""


class Records:
    """Bytes that were received and not used yet, in portions."""

    __slots__ = ("_bytes", "_left", "completed")

    def __init__(self) -> None:
        self._bytes = b""
        self._left = 0
        """Bytes missing of the record that the last portion ended in."""
        self.completed = False
        """Whether a record has ended in the last portion."""

    def add(self, data: bytes) -> None:
        self._bytes = self._bytes + data if self._bytes else data

    @property
    def have_more(self) -> bool:
        """Whether there is another portion."""
        return len(self._bytes) >= (1 if self._left else HEADER)

    def portion(self) -> bytes:
        """The next few records, of which the last one may not be whole."""
        data = self._bytes
        end = self._end()
        self._bytes = data[end:]
        return data[:end]

    def _end(self) -> int:
        data, at = self._bytes, self._left
        if not at and HEADER + int.from_bytes(data[3:HEADER]) == len(data):  # Nearly always.
            self.completed = True
            return len(data)
        self.completed = 0 < at <= len(data)
        for _ in range(MOST_AT_ONCE):
            if at >= len(data):
                break
            start = at + HEADER
            if start > len(data):  # Its header is incomplete, so its end is unknown.
                self._left = 0
                return at
            at = start + int.from_bytes(data[start - 2 : start])
            self.completed |= at <= len(data)
        self._left = max(0, at - len(data))
        return min(at, len(data))
