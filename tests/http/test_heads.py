"""Parsing of heads: what is accepted is forwarded so that everybody reads it the same way.

The fast path for ordinary heads may defer to the slow path, and never disagrees with it.
"""

import re
from itertools import pairwise

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blue_green.http import fast_path
from blue_green.http.heads import (
    HOP_BY_HOP,
    NOT_IN_TRAILERS,
    ODD,
    OURS_ALONE,
    Framing,
    is_rewritten,
    split_head,
    trailers,
)
from blue_green.http.request import BadRequest, Request, read_request, write_request
from blue_green.http.response import BadResponse, read_response, write_response
from tests.raw.backend import says
from tests.raw.checks import check_is_kept
from tests.raw.proxy import running
from tests.support.h11_request import by_h11

TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
VISIBLE = [*range(0x21, 0x7F), *range(0x80, 0x100)]
ASKED = read_request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")


def is_ordinary(name: bytes) -> bool:
    """Whether the field goes on as it came."""
    meant = ODD.sub(b"-", name.lower())
    return meant not in HOP_BY_HOP and not is_rewritten(meant)


def values() -> st.SearchStrategy[bytes]:
    """Header values: anything visible, with blanks only inside."""
    inner = st.lists(st.sampled_from([*VISIBLE, 0x20, 0x09]), max_size=20).map(bytes)
    return inner.map(lambda value: value.strip(b" \t"))


def names() -> st.SearchStrategy[bytes]:
    return st.text(TOKEN, min_size=1, max_size=12).map(str.encode).filter(is_ordinary)


FIELDS = st.lists(st.tuples(names(), values()), max_size=8)
TARGETS = st.lists(
    st.sampled_from([code for code in range(0x21, 0x7F) if code != ord("#")]), max_size=30
).map(lambda rest: b"/" + bytes(rest))
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"DELETE", b"PATCH", b"x!"])
FRAMINGS = st.one_of(
    st.just((b"", Framing.NONE, 0)),
    st.just((b"Transfer-Encoding: chunked\r\n", Framing.CHUNKED, 0)),
    st.integers(0, 2**63 - 1).map(
        lambda length: (b"Content-Length: %d\r\n" % length, Framing.LENGTH, length)
    ),
)


def lines(fields: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields)


@given(METHODS, TARGETS, FIELDS, FIELDS, FRAMINGS)
def test_a_valid_request_means_the_same_after_the_proxy(
    method: bytes,
    target: bytes,
    before: list[tuple[bytes, bytes]],
    after: list[tuple[bytes, bytes]],
    framed: tuple[bytes, Framing, int],
) -> None:
    framing_line, framing, length = framed
    head = b"%b %b HTTP/1.1\r\n%bHost: h.example:1\r\n%b%b\r\n" % (
        method, target, lines(before), framing_line, lines(after)
    )  # fmt: skip
    request = read_request(head)
    assert (request.method, request.target, request.host) == (method, target, b"h.example:1")
    assert (request.framing, request.length) == (framing, length)
    given_, ours = by_h11(head), by_h11(write_request(request, b"unused", b"X-Ours: 1\r\n"))
    assert (ours.method, ours.target, ours.http_version) == (method, target, b"1.1")

    def ordinary(event: h11.Request) -> list[tuple[bytes, bytes]]:
        return [field for field in event.headers.raw_items() if is_ordinary(field[0])]

    assert ordinary(ours) == [*ordinary(given_), (b"X-Ours", b"1")]
    for name in (b"host", b"content-length", b"transfer-encoding"):
        assert _field(given_, name) == _field(ours, name)


def _field(event: h11.Request, wanted: bytes) -> list[bytes]:
    return [value for name, value in event.headers if name == wanted]


HOSTILE = st.lists(
    st.sampled_from(
        [
            *(
                b"GET",
                b"HEAD",
                b"POST",
                b"DELETE",
                b" ",
                b"/",
                b"/a#b",
                b"*",
                b" HTTP/1.1",
                b"\r\n",
            ),
            *(
                b" HTTP/1.0",
                b"\n",
                b"\r",
                b"\t",
                b"\x00",
                b"\x7f",
                b":",
                b": ",
                b",",
                b"_",
                b"\xff",
            ),
            *(
                b"Host",
                b"Host: h\r\n",
                b"Host: a b\r\n",
                b"Content-Length: 5\r\n",
                b"5",
                b"chunked",
            ),
            *(b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Upgrade: x\r\n"),
            *(b"Connection: keep-alive\r\n", b"Keep-Alive: 5\r\n", b"X: y\r\n", b"X : y\r\n"),
            *(
                b"close: x\r\n",
                b"X:y\r\n",
                b"X: \r\n",
                b"X_Forwarded_For: 1\r\n",
                b"Expect: 100-continue\r\n",
            ),
            *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 No\r\n", b" y\r\n"),
            *(
                b"HTTP/1.1 101 S\r\n",
                b"HTTP/1.1 404 \r\n",
                b"HTTP/1.1 304 N\r\n",
                b"Trailer: x\r\n",
            ),
            *(
                b"Content-Length: 05\r\n",
                b"Content-Length: 5, 5\r\n",
                b"Via: x\r\n",
                b"Date: x\r\n",
            ),
            *(b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: h\r\n", b"Accept: text/html\r\n"),
            *(b"OPTIONS / HTTP/1.1\r\nHost: h\r\n", b"Max-Forwards: 1\r\n", b"date: y\r\n"),
            *(b"X-Forwarded-User: x\r\n", b"x-forwarded-: x\r\n", b"Client-Cert: x\r\n"),
            *(b"X.Forwarded.For: x\r\n", b"True_Client_IP: x\r\n", b"X-Forwarded: x\r\n"),
            *(b"Max-Forwards: 0\r\n", b"Content-Length: 0\r\n", b"Connection: upgrade\r\n"),
            *(b"If-None-Match: x\r\n", b"range: x\r\n", b"Connection: range\r\n"),
        ]
    ),
    max_size=12,
).map(lambda pieces: b"".join(pieces) + b"\r\n\r\n")


@settings(max_examples=1000)
@given(HOSTILE)
@example(b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x0bb\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\nX.Forwarded.For: x\r\n\r\n")
def test_the_fast_path_agrees_with_the_slow_path_on_requests(data: bytes) -> None:
    head = data[: data.find(b"\r\n\r\n") + 4]
    # Thrice: then from the verdicts on its lines, and then from the one on the whole.
    for _ in range(3):
        if (short := fast_path.read_request(head)) is not None:
            assert split_head(data) == (head, data[len(head) :])
            assert short == read_request(head)


AROUND_A_COOKIE = st.lists(
    st.sampled_from(
        [
            *(b"Host: h\r\n", b"X: y\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n"),
            *(b"Cookie: a=b\r\n", b"cookie: c\r\n", b"X-Cookie: d\r\n", b"Cookie: \r\n"),
            *(b"Cookie:e\r\n", b"Cookie: \x00\r\n", b"Cookie: f \r\n", b" g\r\n", b"Close: h\r\n"),
            *(b"Content-Length: 0\r\n", b"X: y\r\n" * 49, b"\n", b"\r\n", b"Expect: x\r\n"),
            *(b"If-None-Match: x\r\n", b"range: x\r\n"),
        ]
    ),
    max_size=8,
).map(lambda lines: b"GET / HTTP/1.1\r\n" + b"".join(lines) + b"\r\n")


@settings(max_examples=2000)
@given(AROUND_A_COOKIE)
@example(b"GET / HTTP/1.1\r\nCookie: a\r\nHost: h\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\nCookie: a\r\nHost: h\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 99 + b"Cookie: a\r\n\r\n")
def test_the_fast_path_around_a_cookie_agrees_with_the_slow_path(data: bytes) -> None:
    head = data[: data.find(b"\r\n\r\n") + 4]
    for _ in range(3):
        if (short := fast_path.read_request(head)) is not None:
            assert split_head(data) == (head, data[len(head) :])
            assert short == read_request(head)


@settings(max_examples=1000)
@given(HOSTILE, st.sampled_from([b"GET", b"HEAD", b"POST"]))
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", b"GET")
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"GET")
@example(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n", b"GET")
def test_the_fast_path_agrees_with_the_slow_path_on_responses(data: bytes, method: bytes) -> None:
    head, asked = data[: data.find(b"\r\n\r\n") + 4], _asked(method)
    for _ in range(3):
        if (short := fast_path.read_response(head, asked)) is not None:
            assert split_head(data) == (head, data[len(head) :])
            assert short == read_response(head, asked)


def _one_head(data: bytes) -> bytes | None:
    try:
        parts = split_head(data)
    except ValueError:
        return None
    return parts[0] if parts else None


def _asked(method: bytes) -> Request:
    return read_request(method + b" / HTTP/1.1\r\nHost: h\r\n\r\n")


@settings(max_examples=1000)
@given(HOSTILE)
@example(b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n")
def test_an_accepted_request_has_one_framing_and_one_host(data: bytes) -> None:
    head = _one_head(data)
    if head is None:
        return
    try:
        request = read_request(head)
    except BadRequest as bad:
        assert bad.status in (400, 405, 431, 501, 505)
        assert str(bad).endswith(".")
        return
    written = by_h11(write_request(request, b"127.0.0.1:1", b""))
    framing = _field(written, b"content-length") + _field(written, b"transfer-encoding")
    expected = {Framing.LENGTH: [b"%d" % request.length], Framing.CHUNKED: [b"chunked"]}
    assert framing == expected.get(request.framing, [])
    assert len(_field(written, b"host")) == 1
    names = [ODD.sub(b"-", name.lower()) for name, _ in written.headers]
    assert not [name for name in names if is_rewritten(name) and name not in OURS_ALONE]


@settings(max_examples=1000)
@given(HOSTILE, st.sampled_from([b"GET", b"HEAD", b"POST"]))
def test_a_response_is_rejected_or_means_the_same_after_the_proxy(
    data: bytes, method: bytes
) -> None:
    head, asked = _one_head(data), _asked(method)
    if head is None:
        return
    try:
        answer = read_response(head, asked)
    except BadResponse:
        return
    more = b"Transfer-Encoding: chunked\r\n" * (answer.framing is Framing.CHUNKED)
    again = read_response(write_response(answer, more), asked)
    assert (again.status, again.reason) == (answer.status, answer.reason)
    assert (again.framing, again.length) == (answer.framing, answer.length)
    assert again.lines == answer.lines


@given(FIELDS)
def test_a_head_is_split_from_the_following_bytes_wherever_it_ends(
    fields: list[tuple[bytes, bytes]],
) -> None:
    head = b"GET / HTTP/1.1\r\n" + lines(fields) + b"\r\n"
    assert split_head(head) == (head, b"")
    assert split_head(head + b"\n\r\n\r\nrest") == (head, b"\n\r\n\r\nrest")
    for end in range(len(head)):
        # CR LF may itself be split; a lone LF never comes before its CR.
        assert split_head(head[:end]) is None


@pytest.mark.parametrize(
    "data", [b"\n", b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\r\nX: a\nb\r\n\r\n", b"a\r\n\n\r\n\r\n"]
)
def test_a_bare_lf_does_not_end_a_line(data: bytes) -> None:
    with pytest.raises(ValueError, match="CR LF"):
        split_head(data)


@given(FIELDS, st.sampled_from(sorted(NOT_IN_TRAILERS)))
def test_trailers_that_are_header_fields_elsewhere_are_dropped(
    fields: list[tuple[bytes, bytes]], forbidden: bytes
) -> None:
    kept = [field for field in fields if field[0].lower() not in NOT_IN_TRAILERS]
    evil = [(forbidden.title(), b"evil"), (forbidden.upper(), b"evil")]
    assert trailers([*evil, *fields, *evil]) == kept


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"Transfer-Encoding: gzip\r\nHost: h\r\n", "chunked"),
        (b"Content-Length: 1\r\nContent-Length: 2\r\nHost: h\r\n", "Content-Length"),
        (b"", "Host"),
        (b"Secret\r\nHost: h\r\n", "header"),
    ],
)
def test_a_refusal_says_what_is_wrong_without_repeating_the_input(raw: bytes, why: str) -> None:
    with pytest.raises(BadRequest, match=why) as refused:
        read_request(b"POST / HTTP/1.1\r\n" + raw + b"\r\n")
    assert re.fullmatch(r"[A-Z][^:]*\.", str(refused.value))
    assert "Secret" not in str(refused.value)


SPLIT = b"".join(
    [
        b"GET /one HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n",
        b"\r\nPOST /two HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhello\r\n\r\n",
        b"POST /three HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5;x=y\r\nhello\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n",
    ]
)


@settings(max_examples=40, deadline=None)
@given(cuts=st.sets(st.integers(1, len(SPLIT) - 1), max_size=30))
@example(cuts=set(range(1, len(SPLIT))))
@example(cuts=set())
async def test_any_split_over_packets_gives_the_same_requests(cuts: set[int]) -> None:
    bounds = [0, *sorted(cuts), len(SPLIT)]
    pieces = [SPLIT[start:end] for start, end in pairwise(bounds)]
    async with running() as proxy:
        client = await proxy.ask(*pieces)
        assert [(await client.answer()).body for _ in range(3)] == [b"ok"] * 3
        await check_is_kept(client)
        seen = [(r.line.split()[1], r.body, r.trailers) for r in proxy.backend.requests]
        assert seen == [
            (b"/one", b"", []),
            (b"/two", b"hello\r\n\r\n", []),
            (b"/three", b"hello0123456789", [(b"X-Sum", b"1")]),
        ]


ANSWERS = b"".join(
    [
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5\r\nright\r\n1;x=y\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n",
    ]
)


@settings(max_examples=40, deadline=None)
@given(cuts=st.sets(st.integers(1, len(ANSWERS) - 1), max_size=20))
@example(cuts=set(range(1, len(ANSWERS))))
async def test_any_split_over_packets_gives_the_same_response(cuts: set[int]) -> None:
    bounds = [0, *sorted(cuts), len(ANSWERS)]
    pieces = [ANSWERS[start:end] for start, end in pairwise(bounds)]
    async with running(says(*pieces)) as proxy:
        client = await proxy.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = await client.answer()
        assert (answer.interim, answer.body) == ([103], b"right!")
        assert answer.trailers == [(b"X-Sum", b"1")]
        await check_is_kept(client)


# --- heads that come in pieces ----------------------------------------------------------------


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a"]), max_size=12), st.data())
def test_a_head_that_arrives_in_pieces_is_split_like_a_whole_one(
    parts: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(parts)
    known = 0
    while known < len(whole):
        upto = data.draw(st.integers(known + 1, len(whole)))
        outcome = split_or_say(whole[:upto], known)
        assert outcome == split_or_say(whole[:upto], 0)
        if outcome is not None:
            return
        known = upto


def split_or_say(data: bytes, known: int) -> tuple[bytes, bytes] | str | None:
    try:
        return split_head(data, known)
    except ValueError as error:
        return str(error)
