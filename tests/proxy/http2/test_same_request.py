"""A backend gets the same for a request over HTTP/2 as for that request over HTTP/1.1."""

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxy.http2.frame_peer import FramePeer, Pairs, connect, data, request
from tests.raw.peer import ParsedMessage
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import PemPair
from tests.support.http2_frames import END_STREAM, FrameType


def is_one_line(value: bytes) -> bool:
    """Whether it means in a line of HTTP/1.1 what it means as a value."""
    return value.strip(b" \t") == value and b"\r" not in value and b"\n" not in value


METHODS = st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"odd"])
PATHS = st.sampled_from(
    [b"/", b"/a?b=c&d", b"//a/../b", b"/%2F%00", b"/a;b=c", b"/?", b"/\\", b"/a|b^{}", b"/[1]"]
)
VALUES = st.one_of(
    st.sampled_from(
        [b"", b"a", b"a  b", b"a\tb", b"\xff\xc3\xa9", b'"q", w/x', b"a: b", b"x" * 300]
    ),
    st.binary(max_size=8).filter(is_one_line),
)
NAMES = st.sampled_from(
    [
        b"x", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"via",
        b"x_forwarded_for", b"accept", b"authorization", b"user-agent", b"range", b"if-match",
        b"max-forwards", b"x-request-id", b"date", b"http2-settings", b"proxy-authorization",
        b"sec-websocket-key", b"origin", b"early-data", b"priority", b"content-type",
    ]
)  # fmt: skip
COOKIES = st.lists(st.sampled_from([b"a=b", b"c=d e", b"", b"x" * 100]), max_size=3)


@frozen
class AnyRequest:
    """What both versions can say."""

    method: bytes
    path: bytes
    fields: Pairs
    cookies: list[bytes]
    te: bool
    body: list[bytes] | None
    """In pieces."""
    has_length: bool
    trailers: Pairs

    @property
    def has_trailers(self) -> bool:
        return self.body is not None and not self.has_length and bool(self.trailers)


REQUESTS = st.builds(
    AnyRequest,
    METHODS,
    PATHS,
    st.lists(st.tuples(NAMES, VALUES), max_size=5),
    COOKIES,
    st.booleans(),
    st.none() | st.lists(st.binary(max_size=40), max_size=3),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from([b"x-sum", b"content-length"]), VALUES), max_size=2),
)


def in_http_1(asked: AnyRequest) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (asked.method, asked.path), b"Host: h"]
    lines += [b"%b: %b" % field for field in asked.fields]
    if asked.cookies:
        lines.append(b"cookie: " + b"; ".join(asked.cookies))
    if asked.te:
        lines += [b"te: trailers", b"connection: te"]
    if asked.body is None:
        return b"\r\n".join([*lines, b"", b""])
    body = b"".join(asked.body)
    if asked.has_length:
        return b"\r\n".join([*lines, b"content-length: %d" % len(body), b"", body])
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in asked.body if piece]
    end = [b"%b: %b\r\n" % field for field in asked.trailers]
    head = b"\r\n".join([*lines, b"transfer-encoding: chunked", b"", b""])
    return b"".join([head, *chunks, b"0\r\n", *end, b"\r\n"])


def in_http_2(peer: FramePeer, stream_id: int, asked: AnyRequest) -> list[bytes]:
    more = [*asked.fields, *((b"cookie", crumb) for crumb in asked.cookies)]
    if asked.te:
        more.append((b"te", b"trailers"))
    if asked.body is None:
        return [peer.headers(stream_id, request(asked.method, asked.path, *more))]
    if asked.has_length:
        more.append((b"content-length", b"%d" % len(b"".join(asked.body))))
    frames = [peer.headers(stream_id, request(asked.method, asked.path, *more), 0)]
    frames += [data(stream_id, piece) for piece in asked.body]
    if asked.has_trailers:
        return [*frames, peer.headers(stream_id, asked.trailers, END_STREAM)]
    return [*frames, data(stream_id, end=True)]


def as_received(got: ParsedMessage) -> tuple[bytes, list[tuple[bytes, bytes]], bytes, object]:
    """What has to be the same: all but the request's number and the version in Via."""
    fields = [
        (name.lower(), value.replace(b"2.0 blue-green", b"1.1 blue-green"))
        for name, value in got.fields
        if name.lower() != b"x-request-id"
    ]
    return got.line, sorted(fields), got.body, got.trailers


async def over_http_1(proxy: RunningProxy, asked: AnyRequest) -> int:
    client = await proxy.ask(in_http_1(asked))
    status = (await client.answer(asked.method.decode())).status
    await client.close()
    return status


async def over_http_2(peer: FramePeer, stream_id: int, asked: AnyRequest) -> int:
    """The status; 400 if the request was malformed, which resets its stream."""
    await peer.send(*in_http_2(peer, stream_id, asked))
    while True:
        got = await peer.next_on(stream_id)
        assert got is not None
        if got.type == FrameType.RST_STREAM:
            return 400
        if got.fields:
            return int(dict(got.fields)[":status"])


async def compare(tls: PemPair, requests: list[AnyRequest], buffer_requests: int) -> None:
    async with running(tls=tls, buffer_requests=buffer_requests) as proxy:
        peer = await connect(proxy)
        received = proxy.backend.requests
        for number, asked in enumerate(requests):
            received.clear()
            status = await over_http_1(proxy, asked)
            expected = [as_received(got) for got in received]
            received.clear()
            assert await over_http_2(peer, 2 * number + 1, asked) == status, asked
            assert [as_received(got) for got in received] == expected, asked


LISTS = st.lists(REQUESTS, min_size=8, max_size=8)


@settings(max_examples=4)
@given(requests=LISTS, buffer_requests=st.sampled_from([0, 2**20]))
async def test_a_request_means_the_same_in_both_versions(
    tls: PemPair, requests: list[AnyRequest], buffer_requests: int
) -> None:
    await compare(tls, requests, buffer_requests)


@pytest.mark.long
@settings(max_examples=200)
@given(requests=LISTS, buffer_requests=st.sampled_from([0, 2**20]))
async def test_many_requests_mean_the_same_in_both_versions(
    tls: PemPair, requests: list[AnyRequest], buffer_requests: int
) -> None:
    await compare(tls, requests, buffer_requests)
