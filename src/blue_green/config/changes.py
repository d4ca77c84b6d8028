"""What is different between two readings of the settings, and when each difference takes effect.

- Now: parts read these settings each time they use them. What has begun (a probe, a request, a
  fetch) is carried through as it began.
- At the next swap: these belong to a release. What runs is started again, drained and stopped in
  the way in which it was started; the next release is made, started and stopped in the new way.
  A swap in hand goes on with the settings with which it began.
- At the next build: these say how a release is made. One that is complete stays as it is, also what
  is live, until `swap --rebuild` makes it anew.
- After a restart: these say where the supervisor itself lives, and as whom. Until then the old
  values stay in force.
"""

import signal
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Literal

import attrs
from attrs import frozen

from blue_green.config.kinds import Period, Seconds, Size
from blue_green.config.process_settings import TlsSettings
from blue_green.config.settings import Settings


class Effect(Enum):
    """When a changed setting takes effect."""

    NOW = "now"
    NEXT_SWAP = "next swap"
    REBUILD = "next build"
    RESTART = "restart"


NOW, NEXT_SWAP, REBUILD, RESTART = Effect

EFFECTS = {
    "app": {
        "command": NEXT_SWAP,
        "ports": NEXT_SWAP,
        "name": RESTART,
        "env": NEXT_SWAP,
        "user": RESTART,
        "group": RESTART,
        "port_opened_by": NEXT_SWAP,
        "stop_signal": NEXT_SWAP,
        "stop_timeout": NEXT_SWAP,
    },
    "git": {
        "checkout": RESTART,
        "branch": NOW,
        "pull_every": NOW,
        "fetch_timeout": NOW,
    },
    "release": {
        "build": REBUILD,
        "build_timeout": REBUILD,
        "migrate": NEXT_SWAP,
        "link": REBUILD,
        "keep": NEXT_SWAP,
        "in_place": RESTART,
    },
    "health": {
        "path": NOW,
        "host": NOW,
        "https": NOW,
        "status": NOW,
        "interval": NOW,
        "timeout": NOW,
        "start_timeout": NOW,
        "rise": NOW,
        "fall": NOW,
        "warmup": NEXT_SWAP,
    },
    "swap": {
        "strategy": NEXT_SWAP,
        "drain_timeout": NEXT_SWAP,
        "overdue": NEXT_SWAP,
        "stream_timeout": NEXT_SWAP,
        "soak": NEXT_SWAP,
        "low_memory": NEXT_SWAP,
        "stray_data": NEXT_SWAP,
    },
    "hold": {
        "timeout": NOW,
        "limit": NOW,
        "ramp": NOW,
        "per_client": NOW,
    },
    "proxy": {
        "listen": RESTART,
        "trusted_proxies": NOW,
        "header_timeout": NOW,
        "idle_timeout": NOW,
        "response_timeout": NOW,
        "backend_keepalive": NOW,
        "max_head": NOW,
        "max_body": NOW,
        "max_connections": NOW,
        "access_log": NOW,
        "log_format": NOW,
        "error_pages": NOW,
        "tls": RESTART,
    },
    "admin": {
        "listen": RESTART,
        "drain_delay": NOW,
    },
    "webhook": {
        "path": RESTART,
        "secret_file": RESTART,
    },
    "notify": {
        "command": NOW,
        "timeout": NOW,
    },
    "control": {"socket": RESTART},
    "state": {"directory": RESTART},
}
"""Section -> key -> effect, for every setting that there is."""

UNITS: Mapping[tuple[str, str], Literal["", "s", "B"]] = {
    (section.name, key.name): "B" if key.type is Size else "s"
    for section in attrs.fields(Settings)
    if section.type is not None
    for key in attrs.fields(section.type)
    if key.type in (Size, Seconds, Period, Period | None)
}
"""By section and key: what the numbers count, seconds or bytes, of each setting that has a unit."""
HIDDEN = "(hidden)"
"""Stands for a value of `[app] env`: these are often secrets."""


@frozen
class Change:
    """One setting with another value than before. The fields are the keys of its JSON object."""

    section: str
    key: str
    old: Any
    """As JSON has it; None if it was not set."""
    new: Any
    effect: Effect
    unit: Literal["", "s", "B"] = ""
    """Of both values: seconds or bytes."""

    def as_dict(self) -> dict[str, Any]:
        return {**attrs.asdict(self), "effect": self.effect.value}


def changes(old: Settings, new: Settings) -> list[Change]:
    """Every setting that differs, in the order of the settings."""
    return [
        change
        for section, effects in EFFECTS.items()
        for key, effect in effects.items()
        for change in _compare(old, new, section, key, effect)
    ]


def in_force(old: Settings, new: Settings) -> Settings:
    """The new settings, but the old values of what only a restart changes."""
    sections = {}
    for section, effects in EFFECTS.items():
        kept = {
            key: _value(old, section, key) for key, effect in effects.items() if effect is RESTART
        }
        sections[section] = attrs.evolve(getattr(new, section), **kept)
    return attrs.evolve(new, **sections)


def _value(settings: Settings, section: str, key: str) -> Any:
    return getattr(getattr(settings, section), key)


def _compare(
    old: Settings, new: Settings, section: str, key: str, effect: Effect
) -> Iterator[Change]:
    was, is_now = _value(old, section, key), _value(new, section, key)
    if was == is_now:
        return
    tables = _table(was), _table(is_now)
    if tables == ({}, {}):
        unit = UNITS.get((section, key), "")
        yield Change(section, key, _plain(was), _plain(is_now), effect, unit)
    for name in sorted({*tables[0], *tables[1]}):
        before, after = (table.get(name) for table in tables)
        if before != after:
            shown = [_plain(v) if key != "env" or v is None else HIDDEN for v in (before, after)]
            yield Change(section, f"{key}.{name}", shown[0], shown[1], effect)


def _table(value: Any) -> Mapping[str, Any]:
    """What is a section or a table of its own; nothing for a plain value."""
    if isinstance(value, TlsSettings):
        return attrs.asdict(value, recurse=False)
    return value if isinstance(value, Mapping) else {}


def _plain(value: Any) -> Any:
    """As JSON has it, and as a person would write it."""
    if isinstance(value, signal.Signals):
        return value.name
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value if isinstance(value, str | int | float | None) else str(value)
