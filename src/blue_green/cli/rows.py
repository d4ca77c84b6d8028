"""The rows of a status: labels in a column of their own, and text beside them."""

from collections.abc import Iterator, Sequence

from blue_green.cli.terminal import Piece, Style

LABEL = 10
"""Columns for the label."""
MARGIN = LABEL + 4
"""Columns before the text."""


def row(style: Style, label: str, *pieces: Piece) -> str:
    """A label, and a text of one line."""
    return style.line((f"  {label:>{LABEL}}  ", "dim"), *pieces)


def block(style: Style, label: str, lines: Sequence[str]) -> Iterator[str]:
    """Lines that have a margin, with a label in that of the first one."""
    if lines:
        yield style.line((f"  {label:>{LABEL}}", "dim")) + lines[0][LABEL + 2 :]
        yield from lines[1:]


def warning(style: Style, label: str, text: str) -> Iterator[str]:
    """A problem, perhaps with steps to take; nothing if the text is empty."""
    if text:
        yield from block(style, label, style.with_steps(MARGIN, text, "yellow"))
