"""The sections of the settings file, and what each setting in them is: read from their classes."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import attrs

from blue_green.config.app_process_settings import AppProcessSettings
from blue_green.config.effects import Effect
from blue_green.config.settings import Settings, SiteSettings
from blue_green.config.site_settings import ServingSettings
from blue_green.config.syntax import SYNTAX, Syntax, syntax_of


@attrs.frozen
class Setting:
    """One setting, as its field declares it."""

    key: str
    type: Any
    """The declared type without the `None` that stands for no value."""
    default: Any
    effect: Effect

    @cached_property
    def syntax(self) -> Syntax:
        return syntax_of(self.type)

    @property
    def is_section(self) -> bool:
        """Whether it is a section of its own, such as `[proxy.tls]`."""
        return attrs.has(self.type) and self.type not in SYNTAX


def settings_of(section: type[Any]) -> Mapping[str, Setting]:
    """The settings of a section, by their keys."""
    if section not in _KNOWN:
        _KNOWN[section] = {field.name: _setting(section, field) for field in attrs.fields(section)}
    return _KNOWN[section]


_KNOWN: dict[type[Any], Mapping[str, Setting]] = {}
"""To read a class takes long, and each of many sites needs it."""


def _setting(section: type[Any], field: "attrs.Attribute[Any]") -> Setting:
    effects = [note for note in get_args(field.type)[1:] if isinstance(note, Effect)]
    if get_origin(field.type) is not Annotated or len(effects) != 1:
        raise TypeError(
            f"{section.__name__}.{field.name} does not say when a new value takes effect: its type "
            "should be Now[...], NextSwap[...], NextBuild[...] or Restart[...]"
        )
    kind = get_args(field.type)[0]
    if get_origin(kind) in (Union, UnionType) and NoneType in get_args(kind):
        [kind] = (one for one in get_args(kind) if one is not NoneType)
    return Setting(field.name, kind, field.default, effects[0])


def _sections(prefix: str, kind: type[Any]) -> Iterator[tuple[str, type[Any]]]:
    yield prefix, kind
    for setting in settings_of(kind).values():
        if setting.is_section:
            yield from _sections(f"{prefix}.{setting.key}", setting.type)


def _sections_of(whole: type[Any]) -> Iterator[tuple[str, type[Any]]]:
    for field in attrs.fields(whole):
        if field.type is not None and attrs.has(field.type) and field.name not in NOT_SECTIONS:
            yield from _sections(field.name, field.type)


ROOT = "serving"
"""The section of the keys before the first section of a site."""
NOT_SECTIONS = (ROOT, "place")
NAMED: Mapping[str, type[Any]] = {"processes": AppProcessSettings}
"""Tables of sections with names of the user's, such as `[processes.worker]`."""
PATH_KEYS = {"files": "directories"}
"""Sections in which keys that begin with a slash are the entries of this setting."""
OF_SITE: Mapping[str, type[Any]] = {**dict(_sections_of(SiteSettings)), **NAMED}
"""The sections of a site by the names that stand in brackets. A setting without an effect is an
error right here."""
OF_PROCESS: Mapping[str, type[Any]] = dict(_sections_of(Settings))
"""The sections of the process."""
SECTIONS: Mapping[str, type[Any]] = {ROOT: ServingSettings, **OF_SITE, **OF_PROCESS}
"""All of them."""
