"""Find the site whose checkout contains a directory."""

import os
from collections.abc import Sequence

from blue_green.site.site import Site


def in_directory(directory: str, sites: Sequence[Site]) -> list[Site]:
    """The sites with the innermost checkout that contains this directory; it may block.

    None for what cannot be the path of a directory: a client may send any text.
    """
    found: dict[int, list[Site]] = {}
    try:
        real = os.path.realpath(directory)
    except ValueError:
        return []
    for site in sites:
        checkout = os.path.realpath(site.settings.git.checkout)
        if real == checkout or real.startswith(checkout.rstrip("/") + "/"):
            found.setdefault(len(checkout), []).append(site)
    return found[max(found)] if found else []
