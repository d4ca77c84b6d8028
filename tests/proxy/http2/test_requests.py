"""Requests over HTTP/2 on their way to a backend: bodies of all kinds, and what ends them."""

import os
import random

import pytest
import trio
from h2.errors import ErrorCodes

from tests.proxy.http2.frame_peer import FramePeer, check_good_request, connect, data, reset
from tests.raw.backend import says
from tests.raw.messages import OK
from tests.raw.peer import Gone, Peer
from tests.raw.proxy import SHORT, running
from tests.raw.tls_client import PemPair
from tests.support.http2_frames import FrameType

MB = 1024 * 1024


def pieces(body: bytes, stream_id: int) -> list[bytes]:
    """DATA frames with odd sizes, of which some are padded and some are empty."""
    sizes = random.Random(len(body))
    frames, at = [], 0
    while at < len(body):
        size = sizes.choice([0, 1, 2, 3, 255, 1000, 8191, 16384])
        padding = sizes.choice([-1, -1, 0, 1, 255]) if size < 16000 else -1
        frames.append(data(stream_id, body[at : at + size], padding=padding))
        at += size
    return frames


async def send_body(peer: FramePeer, stream_id: int, frames: list[bytes], window: int) -> None:
    """Send the frames as the server opens the windows."""
    stream = connection = window
    for frame_ in frames:
        size = len(frame_) - 9
        while size > min(stream, connection):
            got = await peer.expect(FrameType.WINDOW_UPDATE)
            more = int.from_bytes(got.payload)
            stream += more if got.stream_id == stream_id else 0
            connection += more if not got.stream_id else 0
        await peer.send(frame_)
        stream, connection = stream - size, connection - size


@pytest.mark.parametrize("buffer_requests", [0, 64 * MB])
@pytest.mark.parametrize("has_length", [True, False])
async def test_a_body_in_odd_pieces_arrives_whole_with_its_framing(
    tls: PemPair, buffer_requests: int, has_length: bool
) -> None:
    body = os.urandom(300_000)
    length = ((b"content-length", b"%d" % len(body)),) if has_length else ()
    async with running(tls=tls, buffer_requests=buffer_requests) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1, *length))
        await send_body(peer, 1, [*pieces(body, 1), data(1, end=True)], 65_535)
        assert (await peer.response(1)).status == 200
        got = proxy.backend.requests[0]
        assert got.body == body
        is_framed_by_length = has_length or buffer_requests > 0
        assert bool(got.field(b"content-length")) == is_framed_by_length
        assert bool(got.field(b"transfer-encoding")) == (not is_framed_by_length)


@pytest.mark.parametrize("buffer_requests", [0, 64 * MB])
async def test_an_upload_larger_than_the_windows_goes_through_them(
    tls: PemPair, buffer_requests: int
) -> None:
    body = os.urandom(MB) * 5
    async with running(tls=tls, buffer_requests=buffer_requests) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1))
        frames = [data(1, body[at : at + 16384]) for at in range(0, len(body), 16384)]
        await send_body(peer, 1, [*frames, data(1, end=True)], 65_535)
        assert (await peer.response(1)).status == 200
        assert proxy.backend.requests[0].body == body


@pytest.mark.parametrize("buffer_requests", [0, 64 * MB])
async def test_trailers_go_to_the_backend_without_what_they_may_not_say(
    tls: PemPair, buffer_requests: int
) -> None:
    async with running(tls=tls, buffer_requests=buffer_requests) as proxy:
        peer = await connect(proxy)
        trailers = [(b"x-sum", b"6"), (b"content-length", b"9"), (b"authorization", b"me")]
        await peer.send(peer.post(1), data(1, b"body"), peer.headers(1, trailers))
        assert (await peer.response(1)).status == 200
        got = proxy.backend.requests[0]
        assert (got.body, got.trailers) == (b"body", [(b"x-sum", b"6")])


async def test_a_body_without_data_is_empty(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1), data(1, end=True))
        await peer.send(peer.post(3, (b"content-length", b"0")), data(3, end=True))
        await peer.send(peer.post(5, (b"content-length", b"0"), flags=1))
        for stream_id in (1, 3, 5):
            assert (await peer.response(stream_id)).status == 200
        assert [got.body for got in proxy.backend.requests] == [b""] * 3


@pytest.mark.parametrize("buffer_requests", [0, 64 * MB])
async def test_a_body_that_stalls_gets_408_and_no_other_stream_notices(
    tls: PemPair, buffer_requests: int
) -> None:
    async with running(tls=tls, idle_timeout=SHORT, buffer_requests=buffer_requests) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1, (b"content-length", b"9")), data(1, b"half"))
        response = await peer.response(1)
        assert response.status == 408
        await peer.check_reset(1, ErrorCodes.NO_ERROR)
        await check_good_request(peer, 3)
        assert proxy.backend.requests == []


@pytest.mark.parametrize("buffer_requests", [0, 64 * MB])
@pytest.mark.parametrize("has_length", [True, False])
async def test_a_body_over_max_body_gets_413(
    tls: PemPair, buffer_requests: int, has_length: bool
) -> None:
    length = ((b"content-length", b"1001"),) if has_length else ()
    async with running(tls=tls, max_body=1000, buffer_requests=buffer_requests) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1, *length), data(1, bytes(1001)))
        assert (await peer.response(1)).status == 413
        await peer.check_reset(1, ErrorCodes.NO_ERROR)
        await check_good_request(peer, 3)
        assert proxy.backend.requests == []


@pytest.mark.parametrize("buffer_requests", [0, 64 * MB])
async def test_a_client_that_expects_100_gets_it_before_it_sends(
    tls: PemPair, buffer_requests: int
) -> None:
    async def continues(peer: Peer) -> None:
        head = await peer.next_head()
        if b"100-continue" in head:
            await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await says(OK)(peer)

    async with running(continues, tls=tls, buffer_requests=buffer_requests) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1, (b"expect", b"100-continue")))
        interim = await peer.expect(FrameType.HEADERS, 1)
        assert (dict(interim.fields), interim.ends_stream) == ({":status": "100"}, False)
        await peer.send(data(1, b"body", end=True))
        assert (await peer.response(1)).status == 200
        assert proxy.backend.requests[0].body == b"body"


async def test_an_early_response_is_whole_and_the_rest_of_the_request_is_not_wanted(
    tls: PemPair,
) -> None:
    """Section 8.1 of RFC 9113: RST_STREAM with NO_ERROR after END_STREAM."""

    async def refuses(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await peer.close()

    async with running(refuses, tls=tls, buffer_requests=0) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1), data(1, b"the first part"))
        response = await peer.response(1)
        assert (response.status, response.body) == (403, b"no")
        await peer.check_reset(1, ErrorCodes.NO_ERROR)
        await peer.send(data(1, b"more that was on its way"))
        await check_good_request(peer, 3)


@pytest.mark.parametrize("buffer_requests", [0, 64 * MB])
async def test_an_upload_that_is_reset_never_completes_at_the_backend(
    tls: PemPair, buffer_requests: int
) -> None:
    async with running(tls=tls, buffer_requests=buffer_requests) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1), data(1, b"half"))
        if not buffer_requests:
            await proxy.until_backend_has(1)
        await peer.send(reset(1))
        await peer.check_alive()
        with trio.fail_after(0.5):  # At once, though the client takes no error any more.
            await proxy.until_drained()
        await check_good_request(peer, 3)
        assert proxy.backend.requests == []
        assert peer.on(1) == [got for got in peer.on(1) if got.type == FrameType.WINDOW_UPDATE]


async def test_a_stream_whose_body_nobody_reads_has_its_own_window_only(tls: PemPair) -> None:
    """Section 6.9.1: more than the window is an error of the stream."""
    async with running(tls=tls, buffer_requests=0) as proxy:
        proxy.gate.hold("test")
        peer = await connect(proxy)
        await peer.send(peer.post(1), *[data(1, bytes(16384))] * 3)
        await peer.check_alive()
        assert [got for got in peer.on(1) if got.type == FrameType.WINDOW_UPDATE] == []
        await peer.send(*[data(1, bytes(16384))] * 2)
        await peer.check_reset(1, ErrorCodes.FLOW_CONTROL_ERROR)
        await peer.send(peer.post(3), data(3, b"held"))
        await peer.check_alive()
        proxy.gate.resume("test")
        await peer.send(data(3, b" and sent", end=True))
        assert (await peer.response(3)).status == 200
        assert [got.body for got in proxy.backend.requests] == [b"held and sent"]


async def test_a_backend_that_does_not_read_stops_its_stream_and_no_other(tls: PemPair) -> None:
    async def never_reads(peer: Peer) -> None:
        if b" /stuck" in await peer.next_head():
            await peer.gone.wait()
            raise Gone
        await says(OK)(peer)

    async with running(never_reads, tls=tls, buffer_requests=0) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1, path=b"/stuck"))
        await proxy.until_backend_has(1)
        left = 65_535
        while True:
            while left >= 16384:
                await peer.send(data(1, bytes(16384)))
                left -= 16384
            with trio.move_on_after(SHORT) as waiting:
                got = await peer.expect(FrameType.WINDOW_UPDATE, 1)
                left += int.from_bytes(got.payload)
            if waiting.cancelled_caught:
                break
        body = os.urandom(200_000)
        frames = [data(3, body[at : at + 10_000]) for at in range(0, len(body), 10_000)]
        await peer.send(peer.post(3))
        await send_body(peer, 3, [*frames, data(3, end=True)], 65_535)
        assert (await peer.response(3)).status == 200
        assert [got.body for got in proxy.backend.requests] == [body]
        await peer.send(reset(1))


async def test_a_body_that_is_longer_than_it_says_never_completes_at_the_backend(
    tls: PemPair,
) -> None:
    async with running(tls=tls, buffer_requests=0) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1, (b"content-length", b"5")), data(1, b"hello"))
        await proxy.until_backend_has(1)
        await trio.testing.wait_all_tasks_blocked(0.05)
        await peer.send(data(1, b" more", end=True))
        await peer.check_reset(1, ErrorCodes.PROTOCOL_ERROR)
        await proxy.until_drained()
        assert not [request for request in proxy.backend.requests if request.body == b"hello"]
        await check_good_request(peer, 3)
