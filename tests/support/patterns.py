"""Every regular expression of the program, and the inputs on which each might backtrack most.

They are found in the source, so that a new one needs no entry anywhere: wherever a function of `re`
is called, and wherever a method of a pattern that was compiled at the top of a module.
"""

import ast
import importlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from attrs import frozen

import blue_green

SOURCE = Path(blue_green.__file__).parent
METHODS = ("search", "match", "fullmatch", "split", "findall", "finditer", "sub")
CALL = re.compile(rf"\.({'|'.join(METHODS)})\(")
CHARACTERS = " \ta0-./:=\"'([{#@!<%\n"
PUMPS = (*CHARACTERS, "a ", "a.", "\r\n")
TAILS = ("", "\0", "\n!")


@frozen
class Used:
    """A pattern, and how it is used."""

    where: str
    pattern: "re.Pattern[Any]"
    method: str

    def run(self, text: str) -> None:
        data = text if isinstance(self.pattern.pattern, str) else text.encode("latin-1")
        if self.method == "sub":
            self.pattern.sub(type(data)(), data)
        else:
            getattr(self.pattern, self.method)(data)

    def __str__(self) -> str:
        return f"{self.where}: {self.method} {self.pattern.pattern!r}"


def all_used() -> list[Used]:
    found: dict[tuple[Any, str], Used] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for used in _in_module(path):
            found.setdefault((used.pattern, used.method), used)
    return list(found.values())


def _in_module(path: Path) -> Iterator[Used]:
    dotted = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
    text = path.read_text()
    if dotted.endswith("__main__") or not CALL.search(text):  # Parsing takes far longer.
        return
    module = importlib.import_module(dotted.removesuffix(".__init__"))
    for node in ast.walk(ast.parse(text)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        where, method, of = f"{dotted}:{node.lineno}", node.func.attr, node.func.value
        if method not in METHODS or not isinstance(of, ast.Name):
            continue
        compiled = getattr(module, of.id, None)
        if compiled is re:
            flags = [ast.unparse(more) for more in node.args[2:] if "re." in ast.unparse(more)]
            yield Used(where, re.compile(_sample(node.args[0], where), _flags(flags)), method)
        elif isinstance(compiled, re.Pattern):
            yield Used(where, compiled, method)


def _flags(names: Sequence[str]) -> int:
    return sum(int(getattr(re, name.removeprefix("re."))) for name in names)


def _sample(pattern: ast.expr, where: str) -> str | bytes:
    """The pattern; what is put into it when it runs is some word."""
    if isinstance(pattern, ast.Constant):
        assert isinstance(pattern.value, str | bytes), where
        return pattern.value
    if isinstance(pattern, ast.JoinedStr):
        pieces = [
            piece.value if isinstance(piece, ast.Constant) else 80 for piece in pattern.values
        ]
        return "".join(map(str, pieces))
    assert isinstance(pattern, ast.Name), f"{where}: compile this pattern at the top of its module"
    return ""  # Who calls that function is where the pattern is.


def hard_inputs(used: Used, length: int) -> Iterator[str]:
    """What brings the pattern to one of its repetitions, then much for that, then a surprise."""
    starts = {"", *_ways_to_repetitions(parser.parse(used.pattern.pattern, used.pattern.flags), "")}
    for start in sorted(starts):
        for pump in PUMPS:
            for tail in TAILS:
                yield start + pump * (length // len(pump)) + tail
                if start:
                    yield (start + pump) * (length // (len(start) + len(pump))) + tail


def _ways_to_repetitions(tree: Any, before: str) -> Iterator[str]:
    """What matches up to each repetition in the pattern, and once through it.

    Nothing is tried again in the middle of a word, so its parts are left out.
    """
    for kind, value in tree:
        if kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT):
            yield before
            yield from _ways_to_repetitions(value[2], before)
        elif kind is kinds.SUBPATTERN:
            yield from _ways_to_repetitions(value[-1], before)
        elif kind is kinds.BRANCH:
            for way in value[1]:
                yield from _ways_to_repetitions(way, before)
        before += _example([(kind, value)])
        if kind is not kinds.LITERAL:
            yield before
    yield before


def _example(tree: Any) -> str:
    """Something that matches, as short as it can be, but once through each repetition."""
    text = ""
    for kind, value in tree:
        if kind is kinds.LITERAL:
            text += chr(value)
        elif kind in (kinds.ANY, kinds.NOT_LITERAL):
            text += next(character for character in "ax" if character != value)
        elif kind is kinds.IN:
            text += next((c for c in f"a0 {CHARACTERS}$%&" if _is_in(c, value)), "a")
        elif kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT):
            text += _example(value[2]) * max(1, value[0])
        elif kind is kinds.SUBPATTERN:
            text += _example(value[-1])
        elif kind is kinds.BRANCH:
            text += _example(value[1][0])
    return text


def _is_in(character: str, members: Any) -> bool:
    code, negated, found = ord(character), False, False
    for kind, value in members:
        if kind is kinds.NEGATE:
            negated = True
        elif kind is kinds.LITERAL:
            found |= code == value
        elif kind is kinds.RANGE:
            found |= value[0] <= code <= value[1]
        elif kind is kinds.CATEGORY:
            found |= {
                kinds.CATEGORY_DIGIT: character.isdigit(),
                kinds.CATEGORY_SPACE: character.isspace(),
                kinds.CATEGORY_WORD: character.isalnum() or character == "_",
                kinds.CATEGORY_NOT_SPACE: not character.isspace(),
                kinds.CATEGORY_NOT_WORD: not (character.isalnum() or character == "_"),
            }.get(value, False)
    return found != negated
