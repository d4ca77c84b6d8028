"""The last lines of a program's output, bounded in lines and in bytes.

They go into receipts, the state file, responses and displays, and are bounded in all these places
because they are bounded here. All sizes are bytes in UTF-8.
"""

from collections import deque
from collections.abc import Iterable, Sequence

MAX_LINES = 50
LONGEST_LINE = 1000
ROOM = 8 * 1024
"""The limit for all lines together."""
ELLIPSIS = " ..."


class Tail:
    """Collects lines, and keeps the last ones."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MAX_LINES)

    def extend(self, lines: Sequence[str]) -> None:
        self._lines.extend([shortened(line, LONGEST_LINE) for line in lines[-MAX_LINES:]])

    @property
    def lines(self) -> tuple[str, ...]:
        return last(self._lines)


def last(lines: Iterable[str]) -> tuple[str, ...]:
    """The last lines within the limits, the long ones shortened."""
    kept: list[str] = []
    room = ROOM
    for whole in reversed(deque(lines, MAX_LINES)):
        line = shortened(whole, LONGEST_LINE)
        room -= size(line) + 1
        if room < 0:
            break
        kept.append(line)
    return tuple(reversed(kept))


def shortened(text: str, limit: int) -> str:
    """The text, or its beginning with an ellipsis if it is longer than `limit` bytes."""
    if size(text) <= limit:
        return text
    beginning = text[:limit].encode(errors="backslashreplace")[: limit - len(ELLIPSIS)]
    return beginning.decode(errors="ignore") + ELLIPSIS


def size(text: str) -> int:
    """Bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="backslashreplace"))
