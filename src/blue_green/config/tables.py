"""Read the tables of a settings file into the classes of its sections.

What may be written is read from these classes: see `sections`.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from blue_green.config.kinds import BadEntries, shown
from blue_green.config.scope import Scope
from blue_green.config.sections import ROOT, SECTIONS, settings_of


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
        name: _read_section(name, document[name], scope, problems)
        for name in scope.top
        if name in document
    }
    if ROOT in scope.sections:
        values[ROOT] = _read_values(ROOT, document, scope, problems)
    if "app" in scope.sections and "app" not in document:
        problems.append(f"{scope.place.key('app')}: is missing, and has no default")
    return values


def _read_section(section: str, table: Any, scope: Scope, problems: list[str]) -> Any:
    """An instance of the section's class; None if there are problems, which are added."""
    if not isinstance(table, Mapping):
        where = scope.place.key(section)
        problems.append(f"{where}: must be a section of settings, not {shown(table)}")
        return None
    known = settings_of(SECTIONS[section])
    wrong = [
        f"{scope.place.key(section, key)}: {scope.unknown(key, section)}"
        for key in sorted(table.keys() - known)
    ]
    values = _read_values(section, table, scope, wrong)
    problems += wrong
    return None if wrong else SECTIONS[section](**values)


def _read_values(
    section: str, table: Mapping[str, Any], scope: Scope, problems: list[str]
) -> dict[str, Any]:
    """The values in the table by their keys. Adds what is wrong with them to `problems`."""
    values = {}
    for key, setting in settings_of(SECTIONS[section]).items():
        where = scope.place.key("" if section == ROOT else section, key)
        if key not in table:
            if setting.default is attrs.NOTHING:
                problems.append(f"{where}: is missing, and has no default")
        elif setting.is_section:
            values[key] = _read_section(f"{section}.{key}", table[key], scope, problems)
        else:
            try:
                values[key] = setting.syntax.read(table[key])
            except BadEntries as error:
                problems += (f"{where}.{name}: {why}" for name, why in error.entries.items())
            except ValueError as error:
                problems.append(f"{where}: {error}")
    return values
