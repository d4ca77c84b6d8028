"""Reading a message takes time in proportion to its length, whatever is in it."""

import pytest

from blue_green.http import request, response
from blue_green.http.chunks import ChunkReader
from blue_green.http.heads import Framing, split_head
from tests.support.linear_time import LONG, SHORT, check

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
def test_reading_a_message_takes_time_in_proportion_to_its_length(
    kind: str, pump: str, tail: str
) -> None:
    before, rest = BEGINNINGS[kind]

    def text(length: int) -> str:
        return before + rest.format(pump=pump * (length // len(pump)), tail=tail)

    check(kind, lambda text: read(kind, text), text(SHORT), text(LONG))


def test_a_head_that_arrives_byte_by_byte_is_scanned_once() -> None:
    def drip(text: str) -> None:
        data = text.encode()
        for known in range(len(data)):
            assert split_head(data[: known + 1], known) is None

    check("a head", drip, "a" * 2000, "a" * 32_000)
