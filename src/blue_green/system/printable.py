"""Text that a terminal can be shown: with nothing in it that the terminal would act upon."""


def printable(text: str) -> str:
    """The same, with what a terminal would act upon shown instead: it is for one line.

    All that we log or print goes through here, since hardly anything of it is ours alone: the
    names of branches and files, what git and the app say, what clients ask for.
    """
    return text if text.isprintable() else text.translate(_VISIBLE)


class _Visible(dict[int, str]):
    """What is shown for each character, by its number (str.translate)."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        return character if character.isprintable() else repr(character)[1:-1]


_VISIBLE = _Visible()
_VISIBLE.update({code: _VISIBLE[code] for code in range(0x100)})
_VISIBLE.update({0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)})
_VISIBLE[ord("\t")] = "\t"
"""With what is frequent, so that a line of anything at all is shown within a millisecond or two.
What is not UTF-8 comes as `surrogateescape` has it."""
