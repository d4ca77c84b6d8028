"""A shell's command line as a command of the settings, which no shell interprets.

Most lines need no shell: they are split into words. One that uses what only a shell can do is given
to `sh`, which is replaced by the program itself (`exec`) where that is possible.
"""

import re
import shlex
from collections.abc import Iterator, Sequence

from attrs import frozen

SPECIAL = "|&;<>()*?[]#\n$`"
"""Characters that mean something to a shell outside of quotes."""
BUILTINS = {
    "cd", "source", ".", "eval", "set", "unset", "export", "trap", "ulimit", "umask", "wait",
    "test", "[", "[[", "{", "!", "if", "for", "while", "until", "case", ":", "true", "false",
    "read", "shift",
}  # fmt: skip
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")
"""A variable without a default."""
USUAL = {"HOME", "PATH", "PWD", "USER", "SHELL", "LANG", "TMPDIR", "PORT"}
BASH_ONLY = re.compile(r"\[\[|<\(|<<<|\$'|\bsource |&>")
UNSET = "{} is a variable of its environment: set it in env or env_file, else it is empty"
AT_EACH_START = "what is in $(...) or backquotes runs at each start"
BACKGROUND = (
    "it starts a program in the background with &, which nothing restarts: make it a process"
)


@frozen
class ShellLine:
    """What becomes of a line."""

    command: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What is to be known about it."""
    is_shell: bool = False
    """A shell interprets it."""


def translate(line: str, directory: str = "") -> ShellLine:
    """The command for a line. Programs of a shell are also looked for in this directory.

    Raises `ValueError` if the line is not complete.
    """
    line = line.strip()
    words = shlex.split(line)
    if words[:1] == ["exec"]:
        line, words = line.removeprefix("exec").strip(), words[1:]
    if not words:
        raise ValueError("it is empty")
    if not _needs_shell(line, words):
        has_assignment = ASSIGNMENT.fullmatch(words[0])
        return ShellLine(("env", *words) if has_assignment else tuple(words))
    shell = "bash" if BASH_ONLY.search(line) else "sh"
    path = f'PATH="$PWD/{directory}:$PATH"; ' if directory else ""
    return ShellLine((shell, "-c", path + _with_exec(line)), tuple(_notes(line)), is_shell=True)


def _needs_shell(line: str, words: Sequence[str]) -> bool:
    first = next((word for word in words if not ASSIGNMENT.fullmatch(word)), "")
    return first in BUILTINS or first == "" or any(_special(line))


def _special(line: str) -> Iterator[tuple[int, str]]:
    """The characters of a line, with their places, that only a shell understands."""
    quote, is_escaped = "", False
    for place, character in enumerate(line):
        if is_escaped:
            is_escaped = False
        elif character == "\\" and quote != "'":
            is_escaped = True
        elif quote:
            if character == quote:
                quote = ""
            elif quote == '"' and character in "$`":
                yield place, character
        elif character in "\"'":
            quote = character
        elif character in SPECIAL or (character == "~" and line[:place][-1:] in ("", " ", "=")):
            yield place, character


def _with_exec(line: str) -> str:
    """Let the last program take the place of the shell, so that a signal ends it directly."""
    operators = [(place, one) for place, one in _special(line) if one in "|&;()\n"]
    start = 0
    if operators:
        places = [place for place, _ in operators]
        pairs = zip(places[::2], places[1::2], strict=False)
        only_and = {one for _, one in operators} == {"&"} and len(places) % 2 == 0
        if not only_and or any(second != first + 1 for first, second in pairs):
            return line
        start = places[-1] + 1
    last = line[start:].strip()
    words = shlex.split(last)
    if not words or words[0] in BUILTINS:
        return line
    env = "env " if ASSIGNMENT.fullmatch(words[0]) else ""
    return f"{line[:start]}{' ' if start else ''}exec {env}{last}"


def _notes(line: str) -> Iterator[str]:
    """What may surprise in a line that a shell interprets."""
    found = {one or other for one, other in VARIABLE.findall(line)} - USUAL
    for name in sorted(found):
        yield UNSET.format(f"${name}")
    if "`" in line or "$(" in line:
        yield AT_EACH_START
    places = [place for place, one in _special(line) if one == "&"]
    if any(
        place + 1 not in places and place - 1 not in places and line[place - 1 : place] not in "<>"
        for place in places
        if line[place + 1 : place + 2] != ">"
    ):
        yield BACKGROUND
