"""Error responses of the proxy: small pages that say what happened."""

import re
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from pathlib import Path

from attrs import evolve, frozen

from blue_green.http import own_pages
from blue_green.http.heads import Framing
from blue_green.http.own_pages import PLACE
from blue_green.http.response import Response

LINGER_TIMEOUT = 2.0
"""Seconds for a client to read the last response on its connection, and to close its side."""

HTML = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{status} {phrase}</title>
<style>body{font:1.1em/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em}
:root{color-scheme:light dark}</style>
<h1>{status} {phrase}</h1><p>{why}</p>
"""
TEXT = "{status} {phrase}\n{why}\n"
MAINTENANCE_HTML = HTML.replace("{status} {phrase}", "In maintenance").replace("{why}", "{message}")
MAINTENANCE_TEXT = "In maintenance\n{message}\n"
UNTIL = "It should be back at {until}."
"""Follows in the built-in pages if the end is known."""


@frozen
class MaintenanceNotice:
    """What visitors of a site in maintenance can read."""

    message: str
    until: str
    """When it should end, for people; empty if that is not known."""


class ErrorPages:
    """Templates of error pages: those in the directory, else the built-in ones.

    `503.html` is for one status, `error.html` for all others; `.txt` is for clients that do not
    accept HTML. `{status}`, `{phrase}` and `{why}` are filled in. `maintenance.html` and `.txt` are
    for sites in maintenance, with `{message}` and `{until}`, too; `{why}` is the message there.

    Raises `BadPages`.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._pages = {"error.html": HTML, "error.txt": TEXT}
        if directory is not None:
            self._pages |= own_pages.read(directory)
        self._notice: MaintenanceNotice | None = None
        self._filled: dict[bool, bytes] = {}
        """The pages of this notice, in HTML or not."""

    @property
    def without_message(self) -> list[str]:
        """The site's own pages for maintenance that have no place for the message."""
        names = ("maintenance.html", "maintenance.txt")
        return [name for name in names if "{message}" not in self._pages.get(name, "{message}")]

    def has_same(self, other: "ErrorPages") -> bool:
        """Whether the pages of the other one are the same."""
        return self._pages == other._pages

    def fill_in(self, status: int, why: str, *, html: bool) -> bytes:
        """The page for this error."""
        kind = "html" if html else "txt"
        page = self._pages.get(f"{status}.{kind}") or self._pages[f"error.{kind}"]
        return _filled(page, _of_status(status, why), html=html)

    def of_maintenance(self, notice: MaintenanceNotice, *, html: bool) -> bytes:
        """The page for a site in maintenance."""
        if notice is not self._notice:  # Only once for all requests.
            self._notice, self._filled = notice, {}
        if html not in self._filled:
            page = self._pages.get("maintenance.html" if html else "maintenance.txt")
            if page is None:
                page = MAINTENANCE_HTML if html else MAINTENANCE_TEXT
                if notice.until:
                    page += f"<p>{UNTIL}</p>\n" if html else f"{UNTIL}\n"
            values = {"message": notice.message, "until": notice.until}
            values |= _of_status(503, notice.message)
            self._filled[html] = _filled(page, values, html=html)
        return self._filled[html]


def _of_status(status: int, why: str) -> dict[str, str]:
    return {"status": str(status), "phrase": HTTPStatus(status).phrase, "why": why}


def _filled(page: str, values: Mapping[str, str], *, html: bool) -> bytes:
    """The page with these values in their places. Braces in a value are text."""

    def value(place: re.Match[str]) -> str:
        text = values.get(place[1], place[0])
        return escape(text) if html else text

    return PLACE.sub(value, page).encode()


@frozen
class ErrorResponse(Exception):
    """A response that is sent instead of a backend's."""

    status: int
    why: str
    retry_after: int | None = None
    """Retry-After, in seconds."""
    location: str | None = None
    """Location: the target of a redirect."""
    allow: str | None = None
    """Allow: the supported methods (RFC 9110 section 10.2.1)."""
    fault: str = ""
    """Details of the cause, for the access log only."""
    notice: MaintenanceNotice | None = None
    """The site is in maintenance: this is on its page."""

    def copy(self) -> "ErrorResponse":
        """A copy to be raised: an exception keeps the frames of all places that have raised it."""
        return evolve(self)

    @property
    def in_full(self) -> str:
        """The reason with the details, for the access log."""
        return f"{self.why.removesuffix('.')}: {self.fault}." if self.fault else self.why

    def render(self, pages: "ErrorPages", *, html: bool) -> tuple[Response, bytes]:
        """The response's head and its body."""
        if self.notice is not None:
            body = pages.of_maintenance(self.notice, html=html)
        else:
            body = pages.fill_in(self.status, self.why, html=html) if self.status >= 300 else b""
        lines = [
            f"Content-Type: text/{'html' if html else 'plain'}; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
        ]
        if self.retry_after is not None:
            lines.append(f"Retry-After: {self.retry_after}")
        if self.location is not None:
            lines.append(f"Location: {self.location}")
        if self.allow is not None:
            lines.append(f"Allow: {self.allow}")
        head = "".join(f"{line}\r\n" for line in lines).encode()
        phrase = HTTPStatus(self.status).phrase.encode()
        return Response(self.status, phrase, head, Framing.LENGTH, len(body)), body
