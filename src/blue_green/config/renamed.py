"""Settings that had another name before: a file that still uses it goes on working, for now."""

import logging
from collections.abc import Mapping
from typing import Any

logger = logging.getLogger(__name__)

RENAMED = {("swap", "tunnel_timeout"): "stream_timeout"}
"""Section and old key -> new key."""


def with_new_names(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document with the names of today, and a warning in the log for each old one.

    An old name beside the new one stays, to be reported as the mistake that it is.
    """
    for (section, old), new in RENAMED.items():
        table = document.get(section)
        if isinstance(table, Mapping) and old in table and new not in table:
            logger.warning("[%s] %s is called %s now: please rename it", section, old, new)
            renamed = {new if key == old else key: value for key, value in table.items()}
            document = {**document, section: renamed}
    return document
