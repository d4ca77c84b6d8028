"""What a stream can show, and text made for it.

Colours and everything else that moves are for terminals, and for those only that can do it and
were not told otherwise (no-color.org). What comes from elsewhere (commit messages, output) is made
printable first: a terminal does what control characters say.
"""

import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from typing import TextIO

from attrs import frozen

from blue_green.system.printable import printable

COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
NARROWEST = 20

Piece = str | tuple[str, str]
"""Text, or text and the name of its colour."""


@frozen
class Look:
    """What may be used to show something."""

    colour: bool = False
    moves: bool = False
    """A line may be drawn again: it is a terminal, and not a dumb one."""
    unicode: bool = False
    width: int | None = None
    """In columns. None: it is no terminal, and lines may be of any length."""

    @classmethod
    def of(cls, stream: TextIO) -> "Look":
        """For this stream, as it is now."""
        is_terminal = stream.isatty()
        moves = is_terminal and os.environ.get("TERM", "dumb") != "dumb"
        return cls(
            colour=moves and not os.environ.get("NO_COLOR"),
            moves=moves,
            unicode="utf" in (stream.encoding or "").lower(),
            width=max(shutil.get_terminal_size().columns, NARROWEST) if is_terminal else None,
        )

    def line(self, *pieces: Piece) -> str:
        """One line of these pieces, cut where the terminal ends."""
        left = self.width
        shown = []
        for piece in pieces:
            text, colour = piece if isinstance(piece, tuple) else (piece, "")
            text = _cell_text(text)
            if left is not None:
                text = self._cut(text, left)
                left -= columns(text)
            shown.append(self._paint(text, colour))
        return "".join(shown).rstrip()

    def wrapped(self, indent: int, text: str, colour: str = "") -> list[str]:
        """A text on as many lines as it takes, each begun so far in."""
        width = None if self.width is None else max(self.width - indent, NARROWEST)
        return [self.line(" " * indent, (part, colour)) for part in _parts(_cell_text(text), width)]

    def _cut(self, text: str, width: int) -> str:
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
    """How many columns of a terminal it takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _parts(text: str, width: int | None) -> Iterator[str]:
    """Broken between words, but not before a unit; a word that is too long is left to be cut."""
    begun = ""
    for word in re.split(r" (?!(?:s|min|h|d)\b)", text):
        longer = f"{begun} {word}" if begun else word
        if width is not None and begun and columns(longer) > width:
            yield begun
            begun = word
        else:
            begun = longer
    yield begun
