"""The site's own error pages, from the directory in the setting `error_pages`.

Everybody gets to see them, and the directory is often in the checkout, where other users can make
symbolic links. So a page must be below the directory, and for root the path to the directory must
not contain a link that another user made.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from blue_green.system import files, users

LARGEST_PAGE = 256 * 1024
MOST_PLACES = 50
"""Places to fill in on a page: each may become a few kilobytes."""
PLACE = re.compile(r"\{(status|phrase|why|message|until)\}")
NAME = re.compile(r"(error|maintenance|[3-5][0-9][0-9])\.(?:html|txt)")


class BadPages(Exception):
    """The directory of error pages cannot be used; str() says why."""


def read(directory: Path) -> dict[str, str]:
    """The pages by their names, such as `503.html`; raise `BadPages`."""
    pages: dict[str, str] = {}
    try:
        with _opened(directory) as descriptor:
            real = files.location(descriptor)
            if place := _where_others_lead_out(directory, real):
                raise BadPages(
                    f"{directory} leads to {real}, which is not below {place}, over a link that "
                    f"others than root can change: name {real} itself"
                )
            for name in sorted(path.name for path in real.iterdir() if _is_page(path.name)):
                pages[name] = _read_page(real / name, real)
    except files.UnfitFile as error:
        raise BadPages(f"{error.filename} {error.strerror}") from None
    except OSError as error:
        where = error.filename or directory
        raise BadPages(f"{where} cannot be read: {error.strerror}") from None
    return pages


def _read_page(path: Path, inside: Path) -> str:
    try:
        page = files.read_text(path, LARGEST_PAGE, inside=inside)
    except UnicodeDecodeError as error:
        raise BadPages(f"{path} is not UTF-8: {error.reason}") from None
    if (count := len(PLACE.findall(page))) > MOST_PLACES:
        raise BadPages(f"{path} has {count} places such as {{message}}, and may have {MOST_PLACES}")
    return page


def _is_page(name: str) -> bool:
    found = NAME.fullmatch(name)
    return found is not None and (not found[1].isdigit() or int(found[1]) in _STATUSES)


_STATUSES = frozenset(HTTPStatus)


def _where_others_lead_out(directory: Path, real: Path) -> Path | None:
    """For root: the directory that others can write to and that the path leads out of, if any."""
    if os.geteuid() != 0:
        return None
    place = users.writable_by_others(directory)
    return None if place is None or real.is_relative_to(place.resolve()) else place


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
