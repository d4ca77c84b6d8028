"""What a request asks for."""

import pytest

from blue_green.http.request import read_request


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"", False),
        (b"Accept: text/html, */*\r\n", False),
        (b"Accept: text/event-stream\r\n", True),
        (b"ACCEPT: Text/Event-Stream;q=0.9, */*\r\n", True),
        (b"Connection: upgrade\r\nUpgrade: websocket\r\n", True),
        (b"X-Accept: text/event-stream\r\n", False),
    ],
)
def test_event_streams_and_other_protocols_are_recognised_before_the_response(
    lines: bytes, expected: bool
) -> None:
    request = read_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
    assert request.may_get_stream is expected
