"""`docs/settings.md`, made from the code: what is written about a setting stands beside it.

The strings below the classes and the fields of the settings are the prose, `changes.EFFECTS`
says when a new value takes effect, and `settings.toml` beside this file has an example of each
section. A type without a name here, or a section without an example, is an error.
"""

import ast
import inspect
import re
import signal
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import attrs

from blue_green.config import changes, kinds, parsing, process_settings, site_settings
from blue_green.config.kinds import (
    Argv,
    Count,
    Endpoint,
    Link,
    Period,
    Ports,
    Seconds,
    Size,
    TrustedProxy,
    UrlPath,
)

PAGE = Path(__file__).parent.parent.parent / "docs" / "settings.md"
EXAMPLES = Path(__file__).with_name("settings.toml")

INTRODUCTION = """\
# Settings

<!-- Made by `python -m tests.docs` from src/blue_green/config: edit the files there. -->

All settings are in one file, `supervisor.toml`. Only `command` and `ports` must be there. The
examples here are parts of one whole file.

A mistake is told with its key, all mistakes at once, before anything is started. A key that is not
known is a mistake, too.

## What is written how

"""

RELOAD = """
## When a new value takes effect

`blue-green reload`, or SIGHUP, reads the file again while requests are served. If anything is wrong
with it, nothing changes. Otherwise each change is told, and when it takes effect:

- **now**: for what has not begun yet. Requests that wait go on waiting. The live release is asked
  for a new health `path` at once, so it must know that one, too. The error pages are read again.
- **next swap**: what runs is started again after a crash, drained and stopped as it was started,
  on its old ports. `blue-green restart` is a swap to the same revision. A new port that the
  other slot still has is taken once that one has let it go.
- **next build**: for releases that are made from now on. One that is complete stays as it is;
  `blue-green swap --rebuild` makes what is live anew, beside it, and swaps to that.
- **restart**: until the supervisor is restarted, or upgraded with `blue-green upgrade`, the old
  value holds.
"""

KINDS: Mapping[Any, tuple[str, str]] = {
    Seconds: ("duration", ""),
    Period: ("duration, not 0", ""),
    Size: ("size", ""),
    Count: ("count", "counts"),
    Argv: ("command", ""),
    Ports: ("ports", ""),
    UrlPath: ("URL path", "URL paths"),
    Link: ("path", "paths"),
    Endpoint: ("address", "addresses"),
    TrustedProxy: ("peer", "peers"),
    signal.Signals: ("signal", ""),
    dict[str, str]: ("table of strings", ""),
    Path: ("path", "paths"),
    str: ("string", "strings"),
    int: ("number", "numbers"),
    bool: ("true or false", ""),
}
"""Each type in one word, and in the plural for lists of it."""

HOW = [
    ("duration", "Seconds"),
    ("size", "Size"),
    ("count", "Count"),
    ("command", "Argv"),
    ("ports", "Ports"),
    ("URL path", "UrlPath"),
    ("address", "Endpoint"),
    ("peer", "TrustedProxy"),
]
"""Words whose meaning stands below a type in `kinds.py`."""


def page() -> str:
    """The whole document."""
    documented = prose()
    lines = [INTRODUCTION]
    lines += [f"- **{word}**: {_joined(documented[name])}\n" for word, name in HOW]
    lines += ["- **path**: relative ones are relative to the file.\n", RELOAD]
    for section in sorted(parsing.SECTIONS, key=_place):
        lines += _section(section, parsing.SECTIONS[section], documented)
    return "".join(lines)


@cache
def prose() -> Mapping[str, str]:
    """What is written below `Name` and below `Class.field`."""
    modules = (kinds, site_settings, process_settings)
    return dict(
        found for module in modules for found in _prose(ast.parse(inspect.getsource(module)), "")
    )


def _prose(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, str]]:
    for before, after in zip(node.body, node.body[1:], strict=False):
        match before, after:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield prefix + name, inspect.cleandoc(text)
    for child in node.body:
        if isinstance(child, ast.ClassDef):
            yield child.name, inspect.cleandoc(ast.get_docstring(child) or "")
            yield from _prose(child, f"{child.name}.")


def examples() -> Mapping[str, str]:
    """The example of each section, as it is written."""
    parts = re.split(r"(?m)^(?=\[)", EXAMPLES.read_text())
    return {part[1 : part.index("]")]: part.strip() for part in parts if part.startswith("[")}


def _place(section: str) -> tuple[int, int]:
    """A section of a section comes after it."""
    names = list(parsing.SECTIONS)
    return names.index(section.partition(".")[0]), names.index(section)


def _section(section: str, kind: type[Any], documented: Mapping[str, str]) -> Iterator[str]:
    yield f"\n## [{section}]\n\n{documented[kind.__name__]}\n\n"
    yield f"```toml\n{examples()[section]}\n```\n\n"
    yield "| key | type | default | meaning | takes effect |\n| --- | --- | --- | --- | --- |\n"
    for setting in attrs.fields(kind):
        if f"{section}.{setting.name}" in parsing.SECTIONS:
            continue  # It has a section of its own.
        meaning, default = _split(documented[f"{kind.__name__}.{setting.name}"])
        cells = [
            f"`{setting.name}`",
            _word(setting.type),
            default or _default(setting.type, setting.default),
            meaning,
            _effect(section, setting.name).value,
        ]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _effect(section: str, key: str) -> changes.Effect:
    outer, _, inner = section.partition(".")
    return changes.EFFECTS[outer][inner or key]


def _split(text: str) -> tuple[str, str]:
    """What it means, and the default where that is told in words."""
    text = _joined(text)
    told = re.search(r" ?Default: (.+?)\.(?= |$)", text)
    return (text.replace(told[0], "").strip(), told[1]) if told else (text, "")


def _joined(text: str) -> str:
    return " ".join(text.split())


def _word(kind: Any) -> str:
    kind = _given(kind)
    if get_origin(kind) is tuple:
        return f"list of {KINDS[get_args(kind)[0]][1]}"
    if get_origin(kind) is Literal:
        return " or ".join(f'`"{choice}"`' for choice in get_args(kind))
    return KINDS[kind][0]


def _given(kind: Any) -> Any:
    """The type of a value that is given: without the None that stands for no value."""
    if NoneType in get_args(kind):
        [kind] = [one for one in get_args(kind) if one is not NoneType]
    return kind


def _default(kind: Any, value: Any) -> str:
    if value is attrs.NOTHING:
        return "none: must be given"
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        value = value.factory()
    return "none" if value is None else f"`{_toml(_given(kind), value)}`"


def _toml(kind: Any, value: Any) -> str:
    """As it would be written in the file."""
    if kind in (Seconds, Period):
        minutes, rest = divmod(value, 60)
        return f'"{value:g}s"' if rest or minutes < 2 else f'"{minutes:g}m"'
    if kind is Size:
        return f'"{value // 1024}KiB"' if value and value % 1024 == 0 else str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(get_args(kind)[0], one) for one in value)}]"
    if isinstance(value, dict):
        assert not value, "say how a table is written"
        return "{}"
    if isinstance(value, signal.Signals):
        return f'"{value.name}"'
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f'"{value}"'
