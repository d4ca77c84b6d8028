"""Where the settings say that the state is kept, without a look at any other setting."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from blue_green.config.process_settings import StateSettings


def state_directory(document: Mapping[str, Any], base: Path) -> Path:
    """The state directory: the one that is set, else systemd's, else beside the file."""
    # systemd lists several directories with colons; the first is ours (systemd.exec(5)).
    from_systemd = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    default = from_systemd or StateSettings().directory
    return Path(os.path.normpath(base)) / (named(document, "state", "directory") or default)


def named(document: Mapping[str, Any], section: str, key: str) -> Path | None:
    """A path of the settings, if one is set."""
    table = document.get(section)
    value = table.get(key) if isinstance(table, Mapping) else None
    return Path(value) if isinstance(value, str) else None
