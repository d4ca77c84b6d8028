"""`docs/settings.md`, made from the code: everything about a setting is with its field.

The strings below the fields are the prose, and the types say the rest. `settings.toml` beside this
file has an example of each section. A section without an example, or a setting without prose, is an
error.
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import attrs

from blue_green.config import (
    app_process_settings,
    changes,
    effects,
    files_settings,
    idle_settings,
    process_settings,
    site_settings,
)
from blue_green.config.effects import Effect
from blue_green.config.sections import (
    NAMED,
    OF_PROCESS,
    PATH_KEYS,
    ROOT,
    SECTIONS,
    Setting,
    settings_of,
)
from blue_green.config.syntax import SYNTAX
from blue_green.config.units import written

PAGE = Path(__file__).parent.parent.parent / "docs" / "settings.md"
EXAMPLES = Path(__file__).with_name("settings.toml")

INTRODUCTION = """\
# Settings

<!-- Made by `python -m tests.docs` from src/blue_green/config: edit the files there. -->

All settings are in one file, `supervisor.toml`. Only `command` in `[app]` is required, or
`[files]`. The examples on this page are parts of one complete file, except that of several sites.

All mistakes are reported at once, each with its file and its key, before anything is started. An
unknown key is a mistake, too.

## One site or several

A file with `[app]` or `[files]` is one site, and everything on this page is written in it. With
`include` or `[sites.NAME]`, there are several:

```toml
include = ["sites/*.toml"]      # each file is one site: sites/blog.toml is the site `blog`

[proxy]
listen = ["[::]:80"]

[sites.shop]                    # or here
hosts = ["shop.example.com"]
[sites.shop.app]
command = ["venv/bin/gunicorn", "shop.wsgi", "--bind", "127.0.0.1:{port}"]
ports = [3000, 3001]
[sites.shop.git]
checkout = "/srv/shop"
```

- The sections of the process are only in the main file: {PROCESS}.
  The other sections are of a site, and so are the keys before the first section. A section in the
  wrong place is a mistake.
- `include` is a list of paths, relative to the main file. `*`, `?` and `[...]` after the last slash
  are wildcards, which match only names that end in `.toml`, and no hidden files. A path without
  wildcards must exist.
- A site's name has up to 63 letters, digits, hyphens, underscores and dots. Two names that differ
  only in case are a mistake.
- A file of a site is like a file with only one site: relative paths are relative to it. For a site
  in the main file, every section has its name in front: `[sites.shop.app]`.
- Each site needs `hosts`. Its state is in `sites/NAME` below the state directory.
- Two sites with the same host and path are a mistake, and so are two with the same port.
- At a start, a site with mistakes is left out, and the others are served. If the mistake is
  something that two sites have in common, the second one by name is left out; if it is their name,
  both are.
- A file that changes from one site to several needs a restart of the supervisor. The new sites
  begin without the releases and the history of the one before.

## Kinds of values

"""

RELOAD = """
## When a new value takes effect

`blue-green reload`, or SIGHUP, reads the file again while requests are served, and those that it
includes. If anything is wrong in one of them, nothing changes. Otherwise sites are added and
removed at once, and each change is reported, with the moment when it takes effect:

"""


def page() -> str:
    """The whole document."""
    top = [f"`[{section}]`" for section in OF_PROCESS if "." not in section]
    words = f"{', '.join(top[:-1])} and {top[-1]}"
    lines = [INTRODUCTION.replace("{PROCESS}", words)]
    lines += (f"- **{kind.word}**: {kind.doc}\n" for kind in SYNTAX.values() if kind.doc)
    lines.append(RELOAD)
    for effect in Effect:
        lines.append(_wrapped(f"- **{effect.value}**: {prose()[f'Effect.{effect.name}']}"))
    for section in sorted(SECTIONS, key=_place):
        lines += _section(section, SECTIONS[section])
    return "".join(lines)


@cache
def prose() -> Mapping[str, str]:
    """What is written below `Name` and below `Class.field`."""
    modules = (
        effects,
        process_settings,
        site_settings,
        app_process_settings,
        files_settings,
        idle_settings,
    )
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
    root = parts[0].partition("\n\n")[2].strip()
    named: dict[str, str] = {}
    for part in parts:
        if part.startswith("["):
            title = part[1 : part.index("]")]
            section = title if title in SECTIONS else title.rpartition(".")[0]
            named[section] = "\n\n".join([*filter(None, [named.get(section)]), part.strip()])
    return {ROOT: root, **named}


def _place(section: str) -> tuple[int, int]:
    """A section of a section comes after it."""
    names = list(SECTIONS)
    return names.index(section.partition(".")[0]), names.index(section)


def _section(section: str, kind: type[Any]) -> Iterator[str]:
    title = f"[{section}.NAME]" if section in NAMED else f"[{section}]"
    title = "Keys before the first section" if section == ROOT else title
    yield f"\n## {title}\n\n{prose()[kind.__name__]}\n\n"
    yield f"```toml\n{examples()[section]}\n```\n\n"
    yield "| key | type | default | meaning | takes effect |\n| --- | --- | --- | --- | --- |\n"
    for setting in settings_of(kind).values():
        if setting.is_section:
            continue
        meaning, default = _split(prose()[f"{kind.__name__}.{setting.key}"])
        cells = [
            '`"/..."`' if setting.key == PATH_KEYS.get(section) else f"`{setting.key}`",
            _word(setting.syntax.word),
            default or _default(setting),
            meaning,
            setting.effect.value,
        ]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _split(text: str) -> tuple[str, str]:
    """The meaning, and the default if the text describes one."""
    text = " ".join(text.split())
    described = re.search(r" ?Default: (.+?)\.(?= |$)", text)
    return (text.replace(described[0], "").strip(), described[1]) if described else (text, "")


def _word(word: str) -> str:
    """Choices are what one writes in the file."""
    return re.sub(r'"[^"]+"', r"`\g<0>`", word)


def _default(setting: Setting) -> str:
    value = setting.default
    if value is attrs.NOTHING:
        return "none: required"
    if isinstance(value, attrs.Factory):  # type: ignore[arg-type]
        value = value.factory()
    if value is None:
        return "none"
    if value == {}:
        return "`{}`"
    plain, unit = changes.plain(value), setting.syntax.unit
    return f"`{json.dumps(written(plain, unit) if unit else plain)}`"


def _wrapped(text: str) -> str:
    text = " ".join(text.split())
    return textwrap.fill(text, 100, subsequent_indent="  ", break_on_hyphens=False) + "\n"
