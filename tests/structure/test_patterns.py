"""That no input, however it was made, takes more time than its length explains.

The time is that of this thread, so that a busy machine makes no difference. It is judged only where
it is far more than a linear pattern takes: squared, the longer input would take seconds.
"""

import time
from collections.abc import Callable

import pytest

from blue_green.http import request, response
from blue_green.http.chunks import ChunkReader
from blue_green.http.heads import Framing, split_head
from tests.support.patterns import Used, all_used, hard_inputs

SHORT, LONG = 400, 5000
NOTHING = 0.004
"""Seconds that are no harm: what is linear takes a tenth of it for the longer input."""
MOST_TIMES = 3 * LONG / SHORT
"""How much longer the longer input may take. Squared, it would be 156 times."""


def took(work: Callable[[], object]) -> float:
    """Seconds, at best; nothing if it was over at once."""
    best = 1.0
    for _ in range(3):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
        if best < NOTHING:
            return 0.0
    return best


def check(what: str, work: Callable[[str], object], short: str, long: str) -> None:
    at_first = took(lambda: work(short))
    assert at_first == 0.0, f"{what}: {at_first:.3f} s for {len(short)} characters"
    at_last = took(lambda: work(long))
    if at_last:
        began = time.thread_time()
        for _ in range(20):
            work(short)
        per_short = (time.thread_time() - began) / 20
        assert at_last / per_short < MOST_TIMES, f"{what}: {at_last:.3f} s for {long[:60]!r}..."


@pytest.mark.parametrize("used", all_used(), ids=str)
def test_no_pattern_backtracks_more_than_linearly(used: Used) -> None:
    inputs = zip(hard_inputs(used, SHORT), hard_inputs(used, LONG), strict=True)
    for short, long in inputs:
        check(str(used), used.run, short, long)


ASKED = request.Request(b"GET", b"/", b"1.1", b"h", b"", {}, Framing.NONE)
BEGINNINGS = {
    "a request's field": ("GET / HTTP/1.1\r\nHost: h\r\n", "a:{pump}{tail}\r\n\r\n"),
    "a request's target": ("GET ", "/{pump}{tail} HTTP/1.1\r\nHost: h\r\n\r\n"),
    "a request's host": ("GET / HTTP/1.1\r\n", "Host: {pump}{tail}\r\n\r\n"),
    "an answer's field": ("HTTP/1.1 200 OK\r\n", "a:{pump}{tail}\r\n\r\n"),
    "an answer's reason": ("HTTP/1.1 200 ", "{pump}{tail}\r\nContent-Length: 0\r\n\r\n"),
    "a trailer": ("0\r\n", "a:{pump}{tail}\r\n\r\n"),
    "the size of a chunk": ("", "1{pump}{tail}\r\na\r\n0\r\n\r\n"),
}


def read(kind: str, text: str) -> None:
    """Read it, in the long way; it may well be refused."""
    data = text.encode("latin-1")
    try:
        if "request" in kind:
            request.read_request(data)
        elif "answer" in kind:
            response.read_response(data, ASKED)
        else:
            ChunkReader().feed(data)
    except (request.BadRequest, response.BadResponse):
        pass


@pytest.mark.parametrize("kind", BEGINNINGS)
@pytest.mark.parametrize("pump", [" ", "\t", "a", "a ", " a", ",", "a:", ";", "\x0b", "\x80"])
@pytest.mark.parametrize("tail", ["", "\0", "\x0b", "\x7f", "\n"])
def test_nothing_takes_longer_to_read_than_its_length_explains(
    kind: str, pump: str, tail: str
) -> None:
    before, rest = BEGINNINGS[kind]

    def text(length: int) -> str:
        return before + rest.format(pump=pump * (length // len(pump)), tail=tail)

    check(kind, lambda text: read(kind, text), text(SHORT), text(LONG))


def test_a_head_that_comes_byte_by_byte_is_looked_at_once() -> None:
    def drip(text: str) -> None:
        data = text.encode()
        for known in range(len(data)):
            assert split_head(data[: known + 1], known) is None

    check("a head", drip, "a" * 2000, "a" * 32_000)
