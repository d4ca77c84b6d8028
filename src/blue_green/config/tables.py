"""Read the tables of a settings file into the classes of its sections.

What may be written is read from these classes: see `sections`.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from blue_green.config.kinds import BadEntries, shown
from blue_green.config.release_kinds import PROCESS_NAME
from blue_green.config.scope import Scope
from blue_green.config.sections import NAMED, PATH_KEYS, ROOT, SECTIONS, settings_of

MAX_NAMED = 100
"""Sections in a table of them."""


def read_tables(document: Mapping[str, Any], scope: Scope, problems: list[str]) -> dict[str, Any]:
    """The sections by their names, of those that are written; of `ROOT`, a dictionary of values.

    Adds what is wrong with them to `problems`.
    """
    for name in sorted(document.keys() - scope.names()):
        value = document[name]
        first = value[0] if value and isinstance(value, list) else value
        is_table = isinstance(first, Mapping)
        where = scope.place.key(name) if is_table else scope.place.key("", name)
        problems.append(f"{where}: {scope.unknown(name)}")
    values = {
        name: _read_top(name, document[name], scope, problems)
        for name in scope.top
        if name in document
    }
    if ROOT in scope.sections:
        values[ROOT] = _read_values(ROOT, document, scope, problems)
    if "app" in scope.sections and "files" not in document:
        if "app" not in document:
            problems.append(f"{scope.place.key('app')}: is missing, and has no default")
        elif isinstance(document["app"], Mapping) and "command" not in document["app"]:
            problems.append(f"{scope.place.key('app', 'command')}: is missing, and has no default")
    return values


def _read_top(section: str, table: Any, scope: Scope, problems: list[str]) -> Any:
    """An instance of the section's class, or, of a section in `NAMED`, a dictionary of them."""
    if section not in NAMED:
        return _read_section(section, table, scope, problems)
    if not isinstance(table, Mapping):
        where = scope.place.key(section)
        problems.append(f"{where}: must be a table of sections, not {shown(table)}")
        return None
    if len(table) > MAX_NAMED:
        problems.append(f"{scope.place.key(section)}: must have at most {MAX_NAMED} sections")
        return None
    for name in table:
        if not PROCESS_NAME.fullmatch(name):
            problems.append(
                f"{scope.place.key(section)}: {shown(name)} is not a name: use at most 63 letters, "
                "digits, hyphens and underscores, a letter or a digit first"
            )
    return {
        name: _read_section(section, entry, scope, problems, name) for name, entry in table.items()
    }


def _read_section(
    section: str, table: Any, scope: Scope, problems: list[str], name: str = ""
) -> Any:
    """An instance of the section's class; None if there are problems, which are added.

    `name` is that of a section in `NAMED`.
    """
    title = f"{section}.{name}" if name else section
    if not isinstance(table, Mapping):
        where = scope.place.key(title)
        problems.append(f"{where}: must be a section of settings, not {shown(table)}")
        return None
    given = table
    if section in PATH_KEYS:
        table = _gather_paths(table, PATH_KEYS[section])
    known = settings_of(SECTIONS[section])
    wrong = [
        f"{scope.place.key(title, key)}: {scope.unknown(key, section)}"
        for key in sorted(table.keys() - known)
    ]
    values = _read_values(section, table, scope, wrong, title)
    if section in PATH_KEYS and PATH_KEYS[section] in given:
        where = scope.place.key(title, PATH_KEYS[section])
        wrong.append(f"{where}: is set by keys that begin with a slash")
    problems += wrong
    return None if wrong else SECTIONS[section](**values)


def _gather_paths(table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The table with all its keys that are paths as the entries of `key`."""
    paths = {name: value for name, value in table.items() if name.startswith("/")}
    return {**{name: value for name, value in table.items() if name not in paths}, key: paths}


def _read_values(
    section: str, table: Mapping[str, Any], scope: Scope, problems: list[str], title: str = ""
) -> dict[str, Any]:
    """The values in the table by their keys. Adds what is wrong with them to `problems`.

    `title` is what stands in brackets.
    """
    values = {}
    for key, setting in settings_of(SECTIONS[section]).items():
        where = scope.place.key(title, key)
        if key not in table:
            if setting.default is attrs.NOTHING:
                problems.append(f"{where}: is missing, and has no default")
        elif setting.is_section:
            values[key] = _read_section(f"{title}.{key}", table[key], scope, problems)
        else:
            try:
                values[key] = setting.syntax.read(table[key])
            except BadEntries as error:
                of_entry = f"{scope.place.key(title)} " if section in PATH_KEYS else f"{where}."
                problems += (f"{of_entry}{name}: {why}" for name, why in error.entries.items())
            except ValueError as error:
                problems.append(f"{where}: {error}")
    return values
