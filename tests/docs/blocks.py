"""What the documents show between fences, and the commands in it."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from attrs import frozen

TOP = Path(__file__).parent.parent.parent
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").rglob("*.md"))]
FENCED = re.compile(r"(?ms)^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$")
ENDS = {";", "&&", "||", "|", "&", "(", ")"}
BEFORE_A_COMMAND = {*ENDS, "sudo", "--"}


@frozen
class Block:
    """The text between two fences."""

    page: str
    """Relative to the top of the repository."""
    line: int
    """Of its first line."""
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str = "") -> list[Block]:
    """All that there are, or those of one language."""
    return [
        block
        for path in PAGES
        for block in _blocks(str(path.relative_to(TOP)), path.read_text())
        if language in ("", block.language)
    ]


def _blocks(page: str, text: str) -> Iterator[Block]:
    for found in FENCED.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, line, found["language"], textwrap.dedent(found["text"]))


def mentioned(path: Path) -> list[list[str]]:
    """The words of each `blue-green ...` in running text, with what may be left out left in."""
    prose = FENCED.sub("", path.read_text())
    found = re.findall(r"`(?:sudo )?(blue-green [^`]+)`", prose)
    return [words for text in found for words in commands(re.sub(r"[\[\]\n]", " ", text))]


def commands(script: str) -> Iterator[list[str]]:
    """The words of each `blue-green` command of a script, also of one that another one is given."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        for before, (place, word) in zip([";", *words], enumerate(words), strict=False):
            if word.startswith("blue-green "):
                yield from commands(word)
            elif word.rpartition("/")[2] == "blue-green" and before in BEFORE_A_COMMAND:
                yield list(takewhile(lambda word: word not in ENDS, words[place + 1 :]))
