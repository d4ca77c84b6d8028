"""Strict-Transport-Security (RFC 6797): it tells browsers to use only https for a host."""

import math
import re

from blue_green.proxy import forwarding
from blue_green.proxy.client import Client

NAME = b"strict-transport-security:"
SENT = re.compile(b"^" + NAME, re.M)


def header_line(seconds: float) -> bytes:
    """The line of a site with this setting; empty for 0."""
    return b"Strict-Transport-Security: max-age=%d\r\n" % math.ceil(seconds) if seconds else b""


def lines_for(client: Client, lines: bytes) -> bytes:
    """What to add to the header lines of a response to the client's current request.

    Nothing if the backend has set the field itself; and nothing unless the client used TLS (section
    7.2): with us, and with a trusted proxy in front that says how it was connected to.
    """
    site, request = client.site, client.request
    if site is None or client.remote.scheme != b"https" or _is_in(lines):
        return b""
    if request is not None and not forwarding.is_secure(client.remote, request):
        return b""
    return site.hsts


def _is_in(lines: bytes) -> bool:
    lower = lines.lower()
    return NAME in lower and SENT.search(lower) is not None
