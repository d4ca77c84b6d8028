"""The capabilities of an output stream, and text styled for it.

Only capable terminals get colours and redrawn lines, and no colours where `$NO_COLOR` is set
(no-color.org). Control characters in text from elsewhere (commit messages, output) are escaped,
since a terminal would obey them.
"""

import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from typing import TextIO

from attrs import frozen

from blue_green.system.printable import printable

COLOURS = {
    "bold": "1", "dim": "2",
    "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36",
}  # fmt: skip
MIN_WIDTH = 20

Piece = str | tuple[str, str]
"""Text, or text and the name of its colour."""


@frozen
class Style:
    """The capabilities of a stream, and text that uses no others."""

    colour: bool = False
    can_redraw: bool = False
    """It is a terminal, and not a dumb one."""
    unicode: bool = False
    width: int | None = None
    """In columns. None: not a terminal, so lines may be of any length."""

    @classmethod
    def of(cls, stream: TextIO) -> "Style":
        """What this stream supports now: a terminal may be resized at any time."""
        is_terminal = stream.isatty()
        can_redraw = is_terminal and os.environ.get("TERM", "dumb") != "dumb"
        return cls(
            colour=can_redraw and not os.environ.get("NO_COLOR"),
            can_redraw=can_redraw,
            unicode="utf" in (stream.encoding or "").lower(),
            width=max(shutil.get_terminal_size().columns, MIN_WIDTH) if is_terminal else None,
        )

    @property
    def dot(self) -> str:
        """A sign in front of a state, in its colour."""
        return "●" if self.unicode else "*"

    def line(self, *pieces: Piece) -> str:
        """Join pieces to a line, truncated to the terminal's width."""
        left = self.width
        shown = []
        for piece in pieces:
            text, colour = piece if isinstance(piece, tuple) else (piece, "")
            text = _cell_text(text)
            if left is not None:
                text = self._truncate(text, left)
                left -= columns(text)
            shown.append(self._paint(text, colour))
        return "".join(shown).rstrip()

    def wrapped(self, indent: int, text: str, colour: str = "") -> list[str]:
        """Wrap a text to the terminal's width, with each line indented."""
        width = None if self.width is None else max(self.width - indent, MIN_WIDTH)
        return [self.line(" " * indent, (part, colour)) for part in _parts(_cell_text(text), width)]

    def with_steps(self, indent: int, text: str, colour: str = "") -> list[str]:
        """Wrap a text whose further lines are steps to take."""
        return [line for part in text.split("\n") for line in self.wrapped(indent, part, colour)]

    def _truncate(self, text: str, width: int) -> str:
        if columns(text) <= width:
            return text
        sign = "…" if self.unicode else "~"
        while text and columns(text) > width - 1:
            text = text[:-1]
        return text + sign if width > 0 else ""

    def _paint(self, text: str, colour: str) -> str:
        if not self.colour or not colour or not text:
            return text
        codes = ";".join(COLOURS[name] for name in colour.split())
        return f"\x1b[{codes}m{text}\x1b[0m"


def _cell_text(text: str) -> str:
    """Printable text for a terminal, with spaces for tabs."""
    return printable(text).replace("\t", " ")


def columns(text: str) -> int:
    """The width of a text on a terminal, in columns."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _parts(text: str, width: int | None) -> Iterator[str]:
    """Break a text between words, but not before a unit. A word that is too long stays whole."""
    line = ""
    for word in re.split(r" (?!(?:s|min|h|d)\b)", text):
        longer = f"{line} {word}" if line else word
        if width is not None and line and columns(longer) > width:
            yield line
            line = word
        else:
            line = longer
    yield line
