"""Flow control of what clients send: how much of it may be on its way (RFC 9113 section 6.9)."""

INITIAL_WINDOW = 65_535
"""Bytes: the size of all windows before a setting or a WINDOW_UPDATE frame changes it."""


class ReceiveWindow:
    """The window of one stream, or of the connection.

    Its size is what it has when the receiver has used all that has arrived. Credit is sent when
    half of that has been used, so that a stream takes few WINDOW_UPDATE frames and never stalls.
    """

    def __init__(self) -> None:
        self._size = INITIAL_WINDOW
        self._left = INITIAL_WINDOW
        self._used = 0

    def take(self, count: int) -> bool:
        """Note that so many bytes have arrived; whether the window allowed them."""
        self._left -= count
        return self._left >= 0

    def use(self, count: int) -> int:
        """Note that so many bytes are used; the increment to send now, 0 for none."""
        self._used += count
        if self._used * 2 < self._size:
            return 0
        increment, self._used = self._used, 0
        self._left += increment
        return increment

    def widen(self, size: int) -> int:
        """Make the window larger; the increment to send now, 0 if it is as large already."""
        increment = size - self._size
        if increment <= 0:
            return 0
        self._size = size
        increment += self._used
        self._left += increment
        self._used = 0
        return increment
