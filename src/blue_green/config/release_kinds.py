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
PROCESS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def release_path(value: Any) -> ReleasePath:
    text = of_type(str, "a path in quotes")(value)
    path = Path(text)
    if path.is_absolute() or ".." in path.parts or not text or "\0" in text:
        raise ValueError(f"{shown(value)} must be a path inside the release, relative to it")
    return ReleasePath(str(path))


def schedule(value: Any) -> Schedule:
    # Most sites have none, and every command reads the settings.
    from cronsim import CronSim, CronSimError  # noqa: PLC0415

    text = " ".join(of_type(str, "a schedule in quotes")(value).split())
    try:
        CronSim(text, datetime(2024, 1, 1))
    except CronSimError as error:
        why = str(error)
        raise ValueError(
            f'must be a schedule such as "0 3 * * *" (at 3:00 each day), not {shown(value)}: '
            f"{why[:1].lower()}{why[1:]}"
        ) from None
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
