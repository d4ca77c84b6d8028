"""The errors that we answer ourselves: small, saying what happened, for a person to read."""

from email.utils import formatdate
from html import escape
from http import HTTPStatus

from attrs import frozen

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{status} {phrase}</title>
<style>body{{font:1.1em/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em}}
:root{{color-scheme:light dark}}</style>
<h1>{status} {phrase}</h1><p>{why}</p>
"""


@frozen
class ErrorAnswer(Exception):
    """What a client gets instead of a backend's answer."""

    status: int
    why: str
    retry_after: int | None = None
    """Seconds, where waiting helps."""

    def write(self, *, html: bool, head_only: bool, connection: str) -> bytes:
        """The whole answer as bytes; `connection` is the field's value, if it is to be there."""
        phrase = HTTPStatus(self.status).phrase
        if html:
            page = PAGE.format(status=self.status, phrase=phrase, why=escape(self.why))
            body, kind = page.encode(), "text/html"
        else:
            body, kind = f"{self.status} {phrase}\n{self.why}\n".encode(), "text/plain"
        lines = [
            f"HTTP/1.1 {self.status} {phrase}",
            f"Date: {formatdate(usegmt=True)}",
            f"Content-Type: {kind}; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
        ]
        if self.retry_after is not None:
            lines.append(f"Retry-After: {self.retry_after}")
        if connection:
            lines.append(f"Connection: {connection}")
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        return head if head_only else head + body
