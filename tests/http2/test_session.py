"""One connection as a whole: requests, responses, and how it ends."""

from hpack import HeaderTuple

from blue_green.http2 import frames
from blue_green.http2.events import DataArrived, RequestBegun, RequestEnded
from tests.support.http2_client import POST, RawClient, data

OK = [HeaderTuple(b":status", b"200"), HeaderTuple(b"content-type", b"text/plain")]


def test_a_request_without_a_body_begins_and_ends_at_once() -> None:
    client = RawClient()
    begun, ended = client.send(client.headers(1))
    assert isinstance(begun, RequestBegun)
    assert begun.request.method == b"GET"
    assert begun.head == b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
    assert ended == RequestEnded(1, [])


def test_a_body_arrives_in_pieces_and_trailers_end_it() -> None:
    client = RawClient()
    begun, *rest = client.send(
        client.headers(1, POST, end=False),
        data(1, b"one"),
        data(1, b"two"),
        client.headers(1, [(b"x-sum", b"6")]),
    )
    assert isinstance(begun, RequestBegun)
    assert rest == [
        DataArrived(1, b"one"),
        DataArrived(1, b"two"),
        RequestEnded(1, [(b"x-sum", b"6")]),
    ]


def test_a_response_is_sent_as_headers_and_data() -> None:
    client = RawClient()
    client.send(client.headers(1))
    client.session.send_head(1, OK, end=False)
    client.session.send_data(1, b"hello", end=True)
    head, body = client.frames()
    assert client.fields(head) == [tuple(field) for field in OK]
    assert (body.type, body.flags, body.payload) == (frames.DATA, frames.END_STREAM, b"hello")
    assert client.session.open_streams == 0
