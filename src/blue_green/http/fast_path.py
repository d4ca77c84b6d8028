"""The short way for heads that need no second look.

Nearly all heads are plain, and nearly all of their lines are the same from one to the next. So a
line is judged once, and the verdict kept; a head whose lines are all plain goes on as its own
bytes, less a few lines and plus ours. Whatever is not plain (chunks, an upgrade, a fold, a field
that we rewrite, an odd character or space) takes the long way, through h11, in `heads`.

The fast path may defer to the slow path, but never differ from it: what it calls plain is a strict
part of what h11 and `heads` accept, and it gives the same `Request` or `Response` for it. Tests
hold one against the other.

Only verdicts on short lines that carry no secrets are kept, and only so many. When all lines of a
head were known already, the next verdict is on all of them together: what comes again is not even
split into lines. Since the cookie is what tells one client's requests from another's, the lines
before and after it are such groups of their own. And a short request that comes again, as programs
send it, is known as a whole.
"""

import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from blue_green.http.heads import FORWARDED, HOP_BY_HOP, HOST, MAX_LINES, REWRITTEN, Framing
from blue_green.http.request import Request
from blue_green.http.response import Response

T = TypeVar("T")

REQUEST_LINE = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!-\"$-~]*) HTTP/1\.1")
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) ([!-~](?:[ -~]*[!-~])?)")
VALUE = re.compile(rb"[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?")
LINE = re.compile(rb"([!#$%%&'*+.^`|~0-9A-Za-z-]+): (%b)" % VALUE.pattern)
COOKIE = b"\r\nCookie: "
LENGTH_VALUE = re.compile(rb"[0-9]{1,18}")

FORWARD, DROP, IS_HOST, IS_CHUNKED, CLOSES, SLOW_PATH, IS_DATE = -1, -2, -3, -4, -5, -6, -7
"""Verdicts on a line. One of zero or more: it is a Content-Length, of so many bytes."""

CONNECTION = {b"keep-alive": DROP, b"close": CLOSES}

LONGEST_LINE = 256
LONGEST_HEAD = 1024
MOST_KEPT = 2048
MOST_IN_GROUP = MAX_LINES // 2 - 1
"""Lines: two groups and a cookie are then no more than a head may have."""
SECRETS = {b"cookie", b"authorization", b"set-cookie", b"x-api-key", b"x-csrf-token"}
NOT_PLAIN = HOP_BY_HOP | REWRITTEN | {b"trailer", b"close", b"date", b"max-forwards"}
"""Among them what `Connection: close` names, should there be such a field."""

NOTHING_TOLD: dict[bytes, bytes] = {}

_request_lines: dict[bytes, int] = {}
_response_lines: dict[bytes, int] = {}


class Group(NamedTuple):
    """What some lines of a request come to."""

    host: bytes
    """Nothing if it is not among them."""
    lines: bytes
    """Those that go on."""
    keep_alive: bool
    length: int
    """Of the body; less than nothing if it is not among them."""


_request_groups: dict[bytes, Group] = {}
_requests: dict[bytes, Request] = {}
_responses: dict[bytes, Response] = {}


def read_request(head: bytes) -> Request | None:
    """The request, if its head is plain."""
    return _requests.get(head) or _parse_request(head)


def _parse_request(head: bytes) -> Request | None:
    line, _, fields = head[:-4].partition(b"\r\n")
    first = REQUEST_LINE.fullmatch(line)
    if first is None:
        return None
    before, cookie, after = fields.partition(COOKIE)
    judged = _request_groups.get(before) or _parse_group(before)
    if cookie and judged:
        judged = _with_cookie(judged, after)
    if judged is None:
        return None
    host, forwarded, keep_alive, length = judged
    if not host:
        return None
    framing = Framing.NONE if length < 0 else Framing.LENGTH
    request = Request(
        first[1], first[2], b"1.1", host, forwarded, NOTHING_TOLD, framing, max(length, 0),
        keep_alive=keep_alive,
    )  # fmt: skip
    if fields in _request_groups:
        _cache(_requests, head, request, LONGEST_LINE)
    return request


def _with_cookie(judged: Group, rest: bytes) -> Group | None:
    """The verdict on lines that are followed by a Cookie, of whose value on this is the rest."""
    value, more, after = rest.partition(b"\r\n")
    if not VALUE.fullmatch(value):
        return None
    host, lines, keep_alive, length = judged
    if not more:
        return Group(host, b"%bCookie: %b\r\n" % (lines, value), keep_alive, length)
    others = _request_groups.get(after) or _parse_group(after)
    if others is None or others.host or (length >= 0 and others.length >= 0):
        return None  # The long way is for a Host that comes late, and for what comes twice.
    lines = b"%bCookie: %b\r\n%b" % (lines, value, others.lines)
    return Group(host, lines, keep_alive and others.keep_alive, max(length, others.length))


def _parse_group(group: bytes) -> Group | None:
    """What some of a request's lines come to; None if they are not all plain."""
    lines = group.split(b"\r\n")
    if len(lines) > MOST_IN_GROUP:
        return None
    host, length = b"", -1
    keep_alive = True
    kept = []
    all_known = True
    for line in lines:
        verdict = _request_lines.get(line)
        if verdict is None:
            all_known = False
            verdict = _classify_line(line, _request_lines, _only_in_requests)
        if verdict == FORWARD:
            kept.append(line)
        elif verdict == IS_HOST and not host:
            host = line[6:]
        elif verdict >= 0 > length:
            length = verdict
        elif verdict == CLOSES:
            keep_alive = False
        elif verdict != DROP:
            return None
    if host:
        kept.insert(0, b"Host: %b" % host)
    kept.append(b"")
    judged = Group(host, b"\r\n".join(kept), keep_alive, length)
    if all_known:
        _cache(_request_groups, group, judged, LONGEST_HEAD)
    return judged


def read_response(head: bytes, request: Request) -> Response | None:
    """The answer, if its head is plain."""
    if request.method == b"HEAD":
        return None
    return _responses.get(head) or _parse_response(head)


def _parse_response(head: bytes) -> Response | None:
    """An answer to anything but HEAD; None if its head is not plain."""
    lines = head[:-4].split(b"\r\n")
    first = STATUS_LINE.fullmatch(lines[0])
    if first is None or first[1] in (b"204", b"304"):
        return None
    framing = Framing.CLOSE
    length = 0
    keep_alive = True
    has_date = False
    kept = []
    all_known = True
    for line in lines[1:]:
        verdict = _response_lines.get(line)
        if verdict is None:
            all_known = False
            verdict = _classify_line(line, _response_lines, _only_in_responses)
        if verdict == FORWARD:
            kept.append(line)
        elif verdict >= 0 and framing is Framing.CLOSE:
            framing, length = Framing.LENGTH, verdict
            kept.append(line)
        elif verdict == IS_CHUNKED and framing is Framing.CLOSE:
            framing = Framing.CHUNKED
        elif verdict == IS_DATE:
            has_date = True
            kept.append(line)
        elif verdict == CLOSES:
            keep_alive = False
        elif verdict != DROP:
            return None
    if framing is Framing.CLOSE:
        return None
    kept.append(b"")
    forwarded = b"\r\n".join(kept)
    answer = Response(
        int(first[1]), first[2], forwarded, framing, length,
        keep_alive=keep_alive, has_date=has_date,
    )  # fmt: skip
    if all_known:
        _cache(_responses, head, answer, LONGEST_HEAD)
    return answer


def _classify_line(
    line: bytes, table: dict[bytes, int], only_there: Callable[[bytes, bytes], int]
) -> int:
    """The verdict on a line, kept in the table; `only_there` judges what the other side lacks."""
    match = LINE.fullmatch(line)
    if match is None:
        return SLOW_PATH
    name, value = match[1].lower(), match[2]
    if name not in NOT_PLAIN and not name.startswith(FORWARDED):
        verdict = FORWARD
    elif name == b"content-length" and LENGTH_VALUE.fullmatch(value):
        verdict = int(value)
    elif name == b"connection":
        verdict = CONNECTION.get(value.lower(), SLOW_PATH)
    else:
        verdict = only_there(name, value)
    if name not in SECRETS:
        _cache(table, line, verdict, LONGEST_LINE)
    return verdict


def _only_in_requests(name: bytes, value: bytes) -> int:
    if name == b"date":
        return FORWARD
    return IS_HOST if name == b"host" and HOST.fullmatch(value) else SLOW_PATH


def _only_in_responses(name: bytes, value: bytes) -> int:
    if name == b"transfer-encoding" and value.lower() == b"chunked":
        return IS_CHUNKED
    if name == b"date":
        return IS_DATE
    return DROP if name == b"keep-alive" else SLOW_PATH


def _cache(table: dict[bytes, T], text: bytes, judged: T, longest: int) -> None:
    if len(text) <= longest:
        if len(table) >= MOST_KEPT:
            table.clear()
        table[text] = judged
