"""The differences between two readings of the settings, and when each takes effect."""

import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import attrs
from attrs import frozen

from blue_green.config.defaults import INHERITED
from blue_green.config.effects import Effect
from blue_green.config.place import SITES, table_of
from blue_green.config.sections import NAMED, OF_PROCESS, OF_SITE, PATH_KEYS, ROOT, settings_of
from blue_green.config.settings import Settings, SiteSettings
from blue_green.config.state_directory import of_site
from blue_green.config.units import Unit

Whole = TypeVar("Whole", Settings, SiteSettings)

HIDDEN = "(hidden)"
"""Stands for values that may be secret."""
ADDED, REMOVED = "added", "removed"
"""The new values of a site as a whole."""
ONE, SEVERAL = "one site", "several sites"


@frozen
class Change:
    """A setting whose value has changed, or a site that was added or removed.

    The fields are the keys of its JSON object.
    """

    section: str
    """As in the settings file; `sites.NAME` and below for one of several sites, also for one with a
    file of its own. Empty for a key before the first section of the only site."""
    key: str
    """Empty for a site as a whole."""
    old: Any
    """The value in JSON; None if it was not set."""
    new: Any
    effect: Effect
    unit: Unit = ""
    """The unit of both values."""
    site: str | None = None
    """The name of one of several sites; None for the process and for the only site of a file."""

    def as_dict(self) -> dict[str, Any]:
        fields = {**attrs.asdict(self), "effect": self.effect.value}
        if self.site is None:
            del fields["site"]
        return fields


def changes(old: Settings, new: Settings) -> list[Change]:
    """Every setting that differs, in the order of the settings, the sites by name.

    If one of the two is for one site and the other for several, that is the only change.
    """
    if old.is_single != new.is_single:
        was, is_now = (ONE if settings.is_single else SEVERAL for settings in (old, new))
        return [Change(SITES, "", was, is_now, Effect.RESTART)]
    sites = [change for name, *pair in _pairs(old, new) for change in _of_site(name, *pair)]
    return [
        *(change for change in sites if not _is_inherited(change, old, new)),
        *_compare_all(OF_PROCESS, old, new),
    ]


def in_force(old: Settings, new: Settings) -> Settings:
    """The new settings, but with the old values where a change needs a restart."""
    if old.is_single != new.is_single:
        return old
    settings = _all_in_force(OF_PROCESS, old, new)
    sites = (_site_in_force(was, now, settings) for _, was, now in _pairs(old, new) if now)
    return attrs.evolve(settings, sites=tuple(sites))


def _pairs(
    old: Settings, new: Settings
) -> Iterator[tuple[str | None, SiteSettings | None, SiteSettings | None]]:
    """Each site with its old and its new settings, and its name if there are several."""
    if old.is_single:
        yield None, old.sites[0], new.sites[0]
        return
    before, after = ({site.name: site for site in settings.sites} for settings in (old, new))
    for name in sorted({*before, *after}):
        yield name, before.get(name), after.get(name)


def _site_in_force(old: SiteSettings | None, new: SiteSettings, settings: Settings) -> SiteSettings:
    name = "" if settings.is_single else new.name
    directory = of_site(settings.state.directory, name)
    if old is None or old == new:
        return attrs.evolve(new, state_directory=directory)
    kept = _all_in_force([ROOT, *OF_SITE], old, new)
    return attrs.evolve(kept, name=old.name, state_directory=directory)


def _of_site(
    name: str | None, old: SiteSettings | None, new: SiteSettings | None
) -> Iterator[Change]:
    """The changes of a site; `name` is None for the only one of a file."""
    table = "" if name is None else table_of(name)
    if old == new:
        return  # As most of many are: comparing each setting takes far longer.
    if old is None or new is None:
        yield Change(table, "", None, ADDED if new else REMOVED, Effect.NOW, site=name)
        return
    for change in _compare_all([ROOT, *OF_SITE], old, new):
        section = "" if change.section == ROOT else change.section
        full = ".".join(part for part in (table, section) if part)
        yield attrs.evolve(change, section=full, site=name)


def _is_inherited(change: Change, old: Settings, new: Settings) -> bool:
    """Whether it is a change of `[proxy]`, whose values are the defaults for the sites."""
    if change.key not in INHERITED or change.section not in ("", table_of(change.site or "")):
        return False
    defaults = [plain(getattr(settings.proxy, change.key)) for settings in (old, new)]
    return [change.old, change.new] == defaults


def _all_in_force(sections: Iterable[str], old: Whole, new: Whole) -> Whole:
    top = (section for section in sections if "." not in section)
    kept = {
        name: _in_force(getattr(old, name), getattr(new, name)) for name in top if name not in NAMED
    }
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
        if section in NAMED:
            yield from _compare_named(section, getattr(old, section), getattr(new, section))
        elif "." not in section:
            yield from _compare(section, "", getattr(old, section), getattr(new, section))


def _compare_named(
    section: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        yield from _compare(f"{section}.{name}", "", old.get(name), new.get(name))


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
                    if section in PATH_KEYS:
                        yield Change(section, entry, before, after, effect)
                        continue
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
