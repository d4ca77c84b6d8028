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
from blue_green.config.sections import OF_PROCESS, OF_SITE, SECTIONS, settings_of
from blue_green.config.settings import Settings, SiteSettings
from blue_green.config.site_settings import ServingSettings
from blue_green.config.state_directory import state_directory

TOP = dict.fromkeys(section for section in SECTIONS if "." not in section).keys()
"""The sections of the file."""


def parse(document: Mapping[str, Any], path: Path) -> Settings:
    """Settings from a TOML document that `path` held; relative paths are relative to it.

    Raises `ConfigError` with every error in it.
    """
    problems: list[str] = []
    settings = None
    values = _read_document(with_new_names(document), problems)
    if not problems:
        settings = _complete(values, document, path.absolute())
        problems += contradictions(settings)
    if settings is None or problems:
        raise ConfigError([f"{path}: {problem}" for problem in problems])
    return settings


def _read_document(document: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """The sections by their names."""
    for name in sorted(document.keys() - TOP):
        problems.append(f"[{name}]: {_unknown(name, '')}")
    values = {
        name: _read_section(name, document[name], problems) for name in TOP if name in document
    }
    if "app" not in document:
        problems.append("[app]: is missing, and has no default")
    return values


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
    here = list(settings_of(SECTIONS[section]) if section else TOP)
    if near := difflib.get_close_matches(key, here, 1):
        return f"is unknown; did you mean {near[0]}?"
    for name, kind in SECTIONS.items():
        if key in settings_of(kind):
            return f"does not belong here, but in [{name}]"
    return f"is unknown; known here: {', '.join(here)}"


def _complete(values: Mapping[str, Any], document: Mapping[str, Any], file: Path) -> Settings:
    """Make paths absolute, and fill in defaults that depend on other settings."""
    sections = {name: _absolute(section, file.parent) for name, section in values.items()}
    of_process = {name: section for name, section in sections.items() if name in OF_PROCESS}
    directory = state_directory(document, file.parent)
    control = values.get("control", ControlSettings())
    settings = attrs.evolve(
        Settings(sites=(), **of_process),
        state=StateSettings(directory),
        control=ControlSettings(directory / control.socket),
    )
    of_site = {name: section for name, section in sections.items() if name in OF_SITE}
    site = SiteSettings(name="", file=file, state_directory=directory, **of_site)
    return attrs.evolve(settings, sites=(_complete_site(site, settings),))


def _complete_site(site: SiteSettings, process: Settings) -> SiteSettings:
    checkout = Path(os.path.normpath(site.file.parent / site.git.checkout))
    has_tls = process.proxy.tls is not None
    https = has_tls if site.health.https is None else site.health.https
    name = site.app.name or checkout.name
    return attrs.evolve(
        site,
        name=name,
        app=attrs.evolve(site.app, name=name),
        serving=ServingSettings(
            response_timeout=process.proxy.response_timeout,
            max_body=process.proxy.max_body,
            backend_keepalive=process.proxy.backend_keepalive,
            error_pages=process.proxy.error_pages,
        ),
        git=attrs.evolve(site.git, checkout=checkout),
        health=attrs.evolve(site.health, https=https),
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
