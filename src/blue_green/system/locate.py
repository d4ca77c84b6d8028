"""Read the settings file, and find the control socket that it names.

Apart from `config.parsing`, so that the commands that only want to find the supervisor start fast.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from blue_green.config.error import ConfigError
from blue_green.config.process_settings import ControlSettings
from blue_green.config.state_directory import path_in, state_directory
from blue_green.system import files

LARGEST = 1024 * 1024
"""Bytes of a settings file."""

NOT_FOUND = (
    "no supervisor that runs with this file was found, nor one at {place}; if one runs, name its "
    "socket: --socket DIRECTORY/control.sock, with the DIRECTORY of its [state]"
)

TABLE = re.compile(r"^[ \t]*\[(?:state|control)\][ \t]*(?:#.*)?$", re.MULTILINE)
ANY_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def read(path: Path) -> dict[str, Any]:
    """The file as a TOML document; raise `ConfigError`."""
    try:
        return tomllib.loads(files.read_text(path, LARGEST))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 text: {error.reason}"]) from None
    except (ValueError, RecursionError) as error:
        # tomllib lets those of int() and of deep nesting through.
        raise ConfigError([f"{path}: is not TOML: {error}"]) from None


def control_socket(
    path: Path, warn: Callable[[str], None], find: Callable[[Path], Path | None]
) -> Path:
    """Where the supervisor of this file listens; no other setting is looked at.

    A file that is broken or gone, or names another place by now, does not hide a supervisor that
    runs: what can still be read of it counts, else the default, else what `find` finds for it. What
    is wrong with the file is the matter of `warn`; raises `ConfigError` if nothing is there.
    """
    problems = []
    try:
        place = _place(read(path), path)
    except ConfigError as error:
        problems = error.problems
        place = _place(_rest_of(path), path)
    if not os.path.lexists(place):
        running = find(path)
        if running is None and problems:
            raise ConfigError([*problems, NOT_FOUND.format(place=place)])
        place = running or place
    if problems:
        warn("\n".join([*problems[:-1], f"{problems[-1]}; looking for the supervisor at {place}"]))
    return place


def _place(document: Mapping[str, Any], path: Path) -> Path:
    directory = state_directory(document, path.absolute().parent)
    return directory / (path_in(document, "control", "socket") or ControlSettings().socket)


def _rest_of(path: Path) -> dict[str, Any]:
    """Those tables of a broken file that say where the supervisor is, as far as they are whole."""
    document: dict[str, Any] = {}
    with suppress(OSError):
        text = files.read_bounded(path, LARGEST).decode(errors="replace")
        for table in TABLE.finditer(text):
            following = ANY_TABLE.search(text, table.end())
            end = following.start() if following else len(text)
            with suppress(ValueError, RecursionError):
                document |= tomllib.loads(text[table.start() : end])
    return document
