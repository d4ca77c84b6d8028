"""Messages of the control protocol: one JSON object per line."""

import pytest

from blue_green.control.messages import BadMessage, decode, encode


@pytest.mark.parametrize("line", [b"", b"[]", b"1", b"\xff", b'{"a": ', b"nul"])
def test_only_an_object_is_a_message(line: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(line)


def test_a_message_is_one_line_whatever_it_contains() -> None:
    message = {"text": "two\nlines\r\u2028\x00", "surrogate": "\udcff"}
    assert encode(message).count(b"\n") == 1
    assert decode(encode(message)) == message
