"""Settings that were renamed: for now, a file with the old name still works."""

import logging
from collections.abc import Mapping
from typing import Any

from blue_green.config.place import Place

logger = logging.getLogger(__name__)

RENAMED = {("swap", "tunnel_timeout"): "stream_timeout"}
"""Section and old key -> new key."""


def with_new_names(document: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
    """The document with the new names; each old one is logged as a warning.

    An old name beside the new one stays, and is then reported as an unknown key.
    """
    for (section, old), new in RENAMED.items():
        table = document.get(section)
        if isinstance(table, Mapping) and old in table and new not in table:
            where = place.key(section, old)
            logger.warning("%s is now called %s: please rename it", where, new)
            renamed = {new if key == old else key: value for key, value in table.items()}
            document = {**document, section: renamed}
    return document
