"""Paths of sites that have only a part of a host's paths."""

import re

from blue_green.http.errors import ErrorResponse

DOT_SEGMENT = re.compile(
    rb"(?i)(?:[/\\]|%2f|%5c)"  # Backends differ in what they take for a separator.
    rb"(?:\.|%2e){1,2}"
    rb"(?:[/\\;]|%2f|%5c|%3b|\Z)"  # Java's servers remove what follows a semicolon.
)


def check(target: bytes) -> None:
    """Raise `ErrorResponse` for a path with a dot segment (RFC 3986 section 3.3).

    A backend may resolve it, and serve what is outside of the prefix. Clients resolve such segments
    before they send a request, and URL parsers of browsers also those that are percent-encoded.
    """
    path = target.partition(b"?")[0]
    if DOT_SEGMENT.search(path):
        raise ErrorResponse(400, "The path has a segment of dots, which must be resolved first.")


def strip(target: bytes, prefix: bytes) -> bytes:
    """The target without the prefix that its path begins with.

    It begins with exactly one slash: two would make the next segment a host where an app redirects
    to what it was sent (RFC 3986 section 4.2).
    """
    return b"/" + target[len(prefix) :].lstrip(b"/")
