"""Read the settings file, and find the control socket that it names.

Separate from `config.parsing`, so that commands that only need the socket start fast.
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
    "no supervisor uses this file or listens on {path}; if one runs with another state directory, "
    "use --socket DIRECTORY/control.sock"
)

TABLE = re.compile(r"^[ \t]*\[(?:state|control)\][ \t]*(?:#.*)?$", re.MULTILINE)
ANY_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def read(path: Path, hint: str = "`blue-green init` writes one") -> dict[str, Any]:
    """The file as a TOML document; raise `ConfigError`, with the hint if there is no such file."""
    try:
        return tomllib.loads(files.read_text(path, LARGEST))
    except FileNotFoundError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}; {hint}"]) from None
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
    """The control socket of the supervisor that uses this settings file.

    It is found even if the file is broken or gone, or names another socket by now: by the readable
    part of the file, else by the default, else by `find(path)`. Mistakes in the file are passed to
    `warn`. Raises `ConfigError` if there are some and no socket is found.
    """
    problems = []
    try:
        socket = _socket_in(read(path), path)
    except ConfigError as error:
        problems = error.problems
        socket = _socket_in(_readable_part(path), path)
    if not os.path.lexists(socket):
        running = find(path)
        if running is None and problems:
            raise ConfigError([*problems, NOT_FOUND.format(path=socket)])
        socket = running or socket
    if problems:
        warn("\n".join([*problems[:-1], f"{problems[-1]}; looking for the supervisor at {socket}"]))
    return socket


def _socket_in(document: Mapping[str, Any], path: Path) -> Path:
    directory = state_directory(document, path.absolute().parent)
    return directory / (path_in(document, "control", "socket") or ControlSettings().socket)


def _readable_part(path: Path) -> dict[str, Any]:
    """The valid [state] and [control] tables of a broken file."""
    document: dict[str, Any] = {}
    with suppress(OSError):
        text = files.read_bounded(path, LARGEST).decode(errors="replace")
        for table in TABLE.finditer(text):
            following = ANY_TABLE.search(text, table.end())
            end = following.start() if following else len(text)
            with suppress(ValueError, RecursionError):
                document |= tomllib.loads(text[table.start() : end])
    return document
