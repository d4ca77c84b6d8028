"""Text that is safe to print: a terminal would act upon nothing in it."""

from collections.abc import Sequence

LONGEST_LINE = 16 * 1024
"""Bytes of a line of output that are printed."""


def printable(text: str) -> str:
    """Escape what a terminal would act upon. The text is for one line.

    All text that we log or print passes through here, since most of it has parts from outside:
    names of branches and files, output of git and the app, requests of clients.
    """
    return text if text.isprintable() else text.translate(_ESCAPES)


def printable_line(line: bytes) -> str:
    """A line of a program's output as printable text, shortened if it is too long."""
    text = printable(line[:LONGEST_LINE].rstrip(b"\r").decode(errors="surrogateescape"))
    return text + " ..." if len(line) > LONGEST_LINE else text


def counted(number: int, noun: str) -> str:
    """`1 request` or `2 requests`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def first_few(names: Sequence[str], most: int = 5) -> str:
    """`a, b and 3 more`, as printable text."""
    more = len(names) - most
    shown = ", ".join(map(printable, names[:most]))
    return shown + (f" and {more} more" if more > 0 else "")


class _Escapes(dict[int, str]):
    """What stands for each character, by its number (str.translate)."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        return character if character.isprintable() else repr(character)[1:-1]


_ESCAPES = _Escapes()
_ESCAPES.update({code: _ESCAPES[code] for code in range(0x100)})
_ESCAPES.update({0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)})
_ESCAPES[ord("\t")] = "\t"
"""Frequent characters are filled in, so that a line of anything takes a millisecond or two. Bytes
that are not UTF-8 come as `surrogateescape` decodes them."""
