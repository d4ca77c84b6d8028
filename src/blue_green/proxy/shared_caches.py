"""Responses and shared caches in front of us, such as a CDN (RFC 9111).

Besides Cache-Control and Expires there are fields for such caches alone, which obey them in place
of Cache-Control: those of RFC 9213, its predecessor Surrogate-Control, and one of nginx.
"""

import re

from attrs import evolve

from blue_green.http.response import Response

GENERAL = rb"cache-control|expires"
FOR_SHARED = rb"[\w-]+-cache-control|surrogate-control|edge-control|x-accel-expires"
RULES = re.compile(rb"(?im)^(?:%b):[ \t]*([^\r\n]*)" % GENERAL)
RULES_FOR_SHARED = re.compile(rb"(?im)^(?:%b):[ \t]*([^\r\n]*)" % FOR_SHARED)
LINE = re.compile(rb"(?im)^(?:%b|%b|pragma):[^\r\n]*\r\n" % (GENERAL, FOR_SHARED))
FORBIDDEN = re.compile(rb"(?i)(?:^|[, \t])(?:private|no-store)[ \t]*(?:,|$)")
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
KEEP_NOTHING = b"Cache-Control: private, no-store\r\n"


def are_allowed(response: Response) -> bool | None:
    """Whether a shared cache may store it; None if it says nothing about caching."""
    general, for_shared = RULES.findall(response.lines), RULES_FOR_SHARED.findall(response.lines)
    if not (general or for_shared):
        return None
    is_forbidden = any(map(_forbids, general)) and all(map(_forbids, for_shared))
    return not is_forbidden


def _forbids(rule: bytes) -> bool:
    return FORBIDDEN.search(QUOTED.sub(b'""', rule)) is not None


def rule_out(response: Response) -> Response:
    """The response with other lines about caching: it is for this client alone, and for now."""
    return evolve(response, lines=LINE.sub(b"", response.lines) + KEEP_NOTHING)
