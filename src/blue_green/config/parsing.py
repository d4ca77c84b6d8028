"""Read supervisor.toml into `Settings`, or report all its errors at once.

What may be written is read from the classes of the sections: see `sections`.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from blue_green.config.contradictions import contradictions
from blue_green.config.error import ConfigError
from blue_green.config.kinds import BadEntries, shown
from blue_green.config.process_settings import ControlSettings, StateSettings
from blue_green.config.renamed import with_new_names
from blue_green.config.sections import SECTIONS, settings_of
from blue_green.config.settings import Settings
from blue_green.config.state_directory import state_directory


def parse(document: Mapping[str, Any], path: Path) -> Settings:
    """Settings from a TOML document that `path` held; relative paths are relative to it.

    Raises `ConfigError` with every error in it.
    """
    problems: list[str] = []
    settings = _read_document(with_new_names(document), problems)
    if settings is not None:
        settings = _complete(settings, document, path.absolute().parent)
        problems += contradictions(settings)
    if settings is None or problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return settings


def _read_document(document: Mapping[str, Any], problems: list[str]) -> Settings | None:
    sections = attrs.fields_dict(Settings)
    for name in sorted(document.keys() - sections):
        problems.append(f"[{name}]: {_unknown(name, '')}")
    values = {}
    for name, section in sections.items():
        if name in document:
            values[name] = _read_section(name, document[name], problems)
        elif section.default is attrs.NOTHING:
            problems.append(f"[{name}]: is missing, and has no default")
    return None if problems else Settings(**values)


def _read_section(section: str, table: Any, problems: list[str]) -> Any:
    """An instance of the section's class; None if there are problems, which are added."""
    if not isinstance(table, Mapping):
        problems.append(f"[{section}]: must be a section of settings, not {shown(table)}")
        return None
    known = settings_of(SECTIONS[section])
    wrong = [f"[{section}] {key}: {_unknown(key, section)}" for key in sorted(table.keys() - known)]
    values = {}
    for key, setting in known.items():
        if key not in table:
            if setting.default is attrs.NOTHING:
                wrong.append(f"[{section}] {key}: is missing, and has no default")
        elif setting.is_section:
            values[key] = _read_section(f"{section}.{key}", table[key], wrong)
        else:
            try:
                values[key] = setting.syntax.read(table[key])
            except BadEntries as error:
                wrong += (f"[{section}] {key}.{name}: {why}" for name, why in error.entries.items())
            except ValueError as error:
                wrong.append(f"[{section}] {key}: {error}")
    problems += wrong
    return None if wrong else SECTIONS[section](**values)


def _unknown(key: str, section: str) -> str:
    """What may have been meant by a key, or by the name of a section if `section` is empty."""
    here = list(settings_of(SECTIONS[section]) if section else attrs.fields_dict(Settings))
    if near := difflib.get_close_matches(key, here, 1):
        return f"is unknown; did you mean {near[0]}?"
    for name, kind in SECTIONS.items():
        if key in settings_of(kind):
            return f"does not belong here, but in [{name}]"
    return f"is unknown; known here: {', '.join(here)}"


def _complete(settings: Settings, document: Mapping[str, Any], base: Path) -> Settings:
    """Make paths absolute, and fill in defaults that depend on other settings."""
    absolute: Settings = _absolute(settings, base)
    checkout = Path(os.path.normpath(absolute.git.checkout))
    has_tls = settings.proxy.tls is not None
    https = has_tls if settings.health.https is None else settings.health.https
    directory = state_directory(document, base)
    return attrs.evolve(
        absolute,
        app=attrs.evolve(absolute.app, name=settings.app.name or checkout.name),
        git=attrs.evolve(absolute.git, checkout=checkout),
        health=attrs.evolve(absolute.health, https=https),
        state=StateSettings(directory),
        control=ControlSettings(directory / settings.control.socket),
    )


def _absolute(value: Any, base: Path) -> Any:
    """A value with all paths in it made absolute: a path, an address, a list or a section."""
    if isinstance(value, Path):
        return base / value
    if type(value) is tuple:
        return tuple(_absolute(entry, base) for entry in value)
    if attrs.has(type(value)):
        names = attrs.fields_dict(type(value))
        changed = {name: _absolute(getattr(value, name), base) for name in names}
        return attrs.evolve(value, **changed)
    return value
