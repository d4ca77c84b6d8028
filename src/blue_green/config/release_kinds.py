"""Kinds of values that are about what is in a release, read as in `kinds`."""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NewType

from blue_green.config.hosts import PathPrefix, path_prefix
from blue_green.config.kinds import BadEntries, of_type, shown

ReleasePath = NewType("ReleasePath", str)
"""A path inside a release, relative to it and normalised; "." is the release itself."""
Schedule = NewType("Schedule", str)
"""A cron expression."""
SCHEDULE_FIELDS = 5
"""A sixth one would be for seconds, which cron does not have."""
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The names of crontab(5), except `@reboot`."""
PROCESS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def release_path(value: Any) -> ReleasePath:
    text = of_type(str, "a path in quotes")(value)
    path = Path(text)
    if path.is_absolute() or ".." in path.parts or not text or "\0" in text:
        raise ValueError(f"{shown(value)} must be a path inside the release, relative to it")
    return ReleasePath(str(path))


def schedule(value: Any) -> Schedule:
    """A cron expression of five fields; nicknames such as `@daily` are written out."""
    # Most sites have none, and every command reads the settings.
    from cronsim import CronSim, CronSimError  # noqa: PLC0415

    text = " ".join(of_type(str, "a schedule in quotes")(value).split())
    text = NICKNAMES.get(text, text)
    wrong = f'must be a schedule such as "0 3 * * *" (at 3:00 each day), not {shown(value)}'
    if text.startswith("@"):
        raise ValueError(f"{wrong}: possible names are {', '.join(NICKNAMES)}")
    if len(text.split()) != SCHEDULE_FIELDS:
        raise ValueError(
            f"{wrong}: it has five fields, the minute, the hour, the day of the month, the month "
            "and the day of the week"
        )
    try:
        comes = next(CronSim(text, datetime(2024, 1, 1)), None)
    except (CronSimError, ValueError) as error:
        why = str(error)
        raise ValueError(f"{wrong}: {why[:1].lower()}{why[1:]}") from None
    if comes is None:
        raise ValueError(f"{wrong}: such a time never comes")
    return Schedule(text)


def directories(value: Any) -> dict[PathPrefix, ReleasePath]:
    """Path prefixes, each with a directory of the release."""
    if not isinstance(value, Mapping):
        raise ValueError(f'must be a table such as {{ "/static" = "public" }}, not {shown(value)}')
    read: dict[PathPrefix, ReleasePath] = {}
    wrong = {}
    for prefix, directory in value.items():
        try:
            path = path_prefix(prefix)
            if path in read:
                raise ValueError("is there twice")
            read[path] = release_path(directory)
        except ValueError as error:
            wrong[prefix] = str(error)
    if wrong:
        raise BadEntries(wrong)
    return read
