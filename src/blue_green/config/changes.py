"""The differences between two readings of the settings, and when each takes effect."""

import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import attrs
from attrs import frozen

from blue_green.config.effects import Effect
from blue_green.config.sections import OF_PROCESS, OF_SITE, settings_of
from blue_green.config.settings import Settings, SiteSettings
from blue_green.config.units import Unit

Whole = TypeVar("Whole", Settings, SiteSettings)

HIDDEN = "(hidden)"
"""Stands for values that may be secret."""


@frozen
class Change:
    """A setting whose value has changed. The fields are the keys of its JSON object."""

    section: str
    key: str
    old: Any
    """The value in JSON; None if it was not set."""
    new: Any
    effect: Effect
    unit: Unit = ""
    """The unit of both values."""

    def as_dict(self) -> dict[str, Any]:
        return {**attrs.asdict(self), "effect": self.effect.value}


def changes(old: Settings, new: Settings) -> list[Change]:
    """Every setting that differs, in the order of the settings."""
    [old_site], [new_site] = old.sites, new.sites
    return [
        *_compare_all(OF_SITE, old_site, new_site),
        *_compare_all(OF_PROCESS, old, new),
    ]


def in_force(old: Settings, new: Settings) -> Settings:
    """The new settings, but with the old values where a change needs a restart."""
    [old_site], [new_site] = old.sites, new.sites
    site = _all_in_force(OF_SITE, old_site, new_site)
    return attrs.evolve(_all_in_force(OF_PROCESS, old, new), sites=(site,))


def _all_in_force(sections: Iterable[str], old: Whole, new: Whole) -> Whole:
    top = (section for section in sections if "." not in section)
    kept = {name: _in_force(getattr(old, name), getattr(new, name)) for name in top}
    return attrs.evolve(new, **kept)


def _in_force(old: Any, new: Any) -> Any:
    kept = {}
    for key, setting in settings_of(type(new)).items():
        was, is_now = getattr(old, key), getattr(new, key)
        if setting.is_section and was and is_now:
            kept[key] = _in_force(was, is_now)
        elif setting.effect is Effect.RESTART:
            kept[key] = was
    return attrs.evolve(new, **kept)


def _compare_all(sections: Iterable[str], old: Whole, new: Whole) -> Iterator[Change]:
    for section in sections:
        if "." not in section:
            yield from _compare(section, "", getattr(old, section), getattr(new, section))


def _compare(
    section: str, prefix: str, old: Any, new: Any, outer: Effect | None = None
) -> Iterator[Change]:
    """Compare two instances of a section, of which one may be None: then `outer` is the effect."""
    for key, setting in settings_of(type(new or old)).items():
        was, is_now = (getattr(table, key, None) for table in (old, new))
        name, effect = prefix + key, outer or setting.effect
        if was == is_now:
            continue
        if setting.is_section:
            whole = None if was and is_now else effect
            yield from _compare(section, f"{name}.", was, is_now, whole)
        elif isinstance(was, Mapping) and isinstance(is_now, Mapping):
            for entry in sorted({*was, *is_now}):
                before, after = was.get(entry), is_now.get(entry)
                if before != after:
                    shown = [value and HIDDEN for value in (before, after)]
                    yield Change(section, f"{name}.{entry}", shown[0], shown[1], effect)
        else:
            unit = setting.syntax.unit
            yield Change(section, name, plain(was), plain(is_now), effect, unit)


def plain(value: Any) -> Any:
    """The value in JSON, as a person would write it."""
    if isinstance(value, signal.Signals):
        return value.name
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, tuple):
        return [plain(entry) for entry in value]
    return value if isinstance(value, str | int | float | None) else str(value)
