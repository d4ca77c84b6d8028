"""Find the state directory in a settings document, whatever else is wrong with it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blue_green.config.process_settings import StateSettings


def state_directory(
    document: Mapping[str, Any], base: Path, environment: Mapping[str, str] = os.environ
) -> Path:
    """`[state] directory`, else systemd's `$STATE_DIRECTORY`, else the default beside the file."""
    # systemd lists several directories with colons; the first is ours (systemd.exec(5)).
    from_systemd = environment.get("STATE_DIRECTORY", "").split(":")[0]
    default = from_systemd or StateSettings().directory
    return Path(os.path.normpath(base)) / (path_in(document, "state", "directory") or default)


def of_site(directory: Path, name: str) -> Path:
    """The part of a site; of the only one of a file, `name` is empty."""
    return directory / "sites" / name if name else directory


def path_in(document: Mapping[str, Any], section: str, key: str) -> Path | None:
    """The path that this key has in the document, or None."""
    table = document.get(section)
    value = table.get(key) if isinstance(table, Mapping) else None
    return Path(value) if isinstance(value, str) else None
