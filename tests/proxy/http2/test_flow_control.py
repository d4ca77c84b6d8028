"""Flow control of responses (RFC 9113 sections 5.2 and 6.9): no window is overrun, none stalls."""

import os

import trio
import trio.testing

from tests.proxy.http2.frame_peer import FramePeer, connect, data, reset, window_update
from tests.raw.backend import Script, says
from tests.raw.peer import Peer
from tests.raw.proxy import running
from tests.raw.tls_client import PemPair
from tests.support.http2_frames import FrameType, frame, settings

INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 4, 5
INITIAL = 65_535
BODY = os.urandom(200_000)
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


def received(peer: FramePeer, stream_id: int) -> bytes:
    """What has come of a response's body."""
    return b"".join(got.payload for got in peer.on(stream_id) if got.type == FrameType.DATA)


async def settle(peer: FramePeer) -> None:
    """Wait until everything that may be sent has arrived."""
    await trio.testing.wait_all_tasks_blocked(0.01)
    await peer.check_alive()


async def check_rest(peer: FramePeer, stream_id: int, body: bytes = BODY) -> None:
    """Open both windows, and check that the whole response has arrived in order."""
    await peer.send(window_update(stream_id, len(body)), window_update(0, len(body)))
    while not any(got.ends_stream for got in peer.on(stream_id)):
        assert await peer.next_on(stream_id) is not None
    assert received(peer, stream_id) == body


async def test_no_more_is_sent_than_the_windows_allow(tls: PemPair) -> None:
    async with running(says(RESPONSE), tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1))
        await settle(peer)
        assert received(peer, 1) == BODY[:INITIAL]
        await peer.send(window_update(1, 10_000))
        await settle(peer)
        assert len(received(peer, 1)) == INITIAL  # The window of the connection is used up.
        await peer.send(window_update(0, 4_000))
        await settle(peer)
        assert len(received(peer, 1)) == INITIAL + 4_000
        await check_rest(peer, 1)
        sizes = [len(got.payload) for got in peer.on(1) if got.type == FrameType.DATA]
        assert max(sizes) <= 16_384


async def test_a_stream_without_window_stops_itself_and_nobody_else(tls: PemPair) -> None:
    async with running(says(RESPONSE), tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(window_update(0, 10 * len(BODY)), peer.get(1))
        await settle(peer)
        for stream_id in (3, 5):
            await peer.send(peer.get(stream_id), window_update(stream_id, len(BODY)))
            await check_rest(peer, stream_id)
        assert len(received(peer, 1)) == INITIAL
        await check_rest(peer, 1)


async def test_a_client_that_opens_its_window_byte_by_byte_gets_the_bytes(tls: PemPair) -> None:
    async with running(says(RESPONSE), tls=tls) as proxy:
        peer = await connect(proxy, values={INITIAL_WINDOW_SIZE: 0})
        await peer.send(peer.get(1))
        await settle(peer)
        assert [got.type for got in peer.on(1)] == [FrameType.HEADERS]
        for count in range(1, 6):
            await peer.send(window_update(1, 1))
            await settle(peer)
            assert received(peer, 1) == BODY[:count]
        await check_rest(peer, 1)


async def test_an_empty_response_and_its_head_need_no_window(tls: PemPair) -> None:
    empty = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    async with running(says(empty), tls=tls) as proxy:
        peer = await connect(proxy, values={INITIAL_WINDOW_SIZE: 0})
        await peer.send(peer.get(1))
        assert (await peer.response(1)).status == 200


async def test_a_setting_changes_the_windows_of_open_streams_also_below_zero(tls: PemPair) -> None:
    """Section 6.9.2."""
    async with running(says(RESPONSE), tls=tls) as proxy:
        peer = await connect(proxy, values={INITIAL_WINDOW_SIZE: 10_000})
        await peer.send(window_update(0, 10 * len(BODY)), peer.get(1))
        await settle(peer)
        assert len(received(peer, 1)) == 10_000
        await peer.send(settings({INITIAL_WINDOW_SIZE: 15_000}))
        await settle(peer)
        assert len(received(peer, 1)) == 15_000
        await peer.send(settings({INITIAL_WINDOW_SIZE: 0}))  # The stream's is -15,000 now.
        await peer.send(window_update(1, 15_000))
        await settle(peer)
        assert len(received(peer, 1)) == 15_000
        await peer.send(window_update(1, 1))
        await settle(peer)
        assert received(peer, 1) == BODY[:15_001]
        await peer.send(peer.get(3))
        await settle(peer)
        assert received(peer, 3) == b""
        await peer.send(settings({INITIAL_WINDOW_SIZE: 1_000_000}))
        await check_rest(peer, 3)
        await check_rest(peer, 1)


async def test_a_settings_frame_with_two_values_applies_the_last(tls: PemPair) -> None:
    """Section 6.5.3."""
    async with running(says(RESPONSE), tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(
            frame(FrameType.SETTINGS, 0, b"\0\4\0\0\0\5" + b"\0\4\0\0\0\7"), peer.get(1)
        )
        await settle(peer)
        assert received(peer, 1) == BODY[:7]
        await check_rest(peer, 1)


async def test_a_larger_frame_size_of_the_client_changes_nothing_for_others(tls: PemPair) -> None:
    async with running(says(RESPONSE), tls=tls) as proxy:
        peer = await connect(proxy, values={MAX_FRAME_SIZE: 2**20})
        await peer.send(peer.get(1))
        await check_rest(peer, 1)


async def test_the_backend_of_a_slow_stream_is_free_before_its_client_is_done(
    tls: PemPair,
) -> None:
    async with running(says(RESPONSE), tls=tls) as proxy:
        peer = await connect(proxy, values={INITIAL_WINDOW_SIZE: 0})
        await peer.send(peer.get(1), peer.get(3))
        await peer.expect(FrameType.HEADERS, 1)
        await proxy.until_drained()
        assert received(peer, 1) == received(peer, 3) == b""
        await check_rest(peer, 3)
        await check_rest(peer, 1)


async def test_a_stream_that_waits_for_its_window_can_be_reset(tls: PemPair) -> None:
    async with running(says(RESPONSE), tls=tls, buffer_responses=0) as proxy:
        peer = await connect(proxy, values={INITIAL_WINDOW_SIZE: 100})
        await peer.send(peer.get(1), peer.get(3))
        await settle(peer)
        await peer.send(reset(1))
        await settle(peer)
        assert len(received(peer, 1)) == 100
        await peer.send(window_update(1, 1000))  # It was on its way.
        await check_rest(peer, 3)
        assert len(received(peer, 1)) == 100


async def test_uploads_and_downloads_share_a_connection_whose_send_window_is_used_up(
    tls: PemPair,
) -> None:
    async with running(echo_or_large(), tls=tls, buffer_requests=0) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1))
        await settle(peer)
        assert len(received(peer, 1)) == INITIAL
        upload = os.urandom(50_000)
        parts = [data(3, upload[at : at + 10_000]) for at in range(0, len(upload), 10_000)]
        await peer.send(peer.post(3), *parts, data(3, end=True))
        with trio.fail_after(5):
            while not proxy.backend.requests or proxy.backend.requests[-1].body != upload:
                await trio.sleep(0.005)
        await check_rest(peer, 1)
        assert (await peer.response(3)).status == 200


def echo_or_large() -> Script:
    async def script(peer: Peer) -> None:
        is_upload = (await peer.next_head()).startswith(b"POST")
        await says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" if is_upload else RESPONSE)(
            peer
        )

    return script


async def test_many_streams_share_the_connection_fairly(tls: PemPair) -> None:
    async with running(says(RESPONSE), tls=tls) as proxy:
        peer = await connect(proxy, values={INITIAL_WINDOW_SIZE: 2**20})
        streams = range(1, 20, 2)
        await peer.send(*[peer.get(stream_id) for stream_id in streams])
        await settle(peer)
        await peer.send(window_update(0, 10 * len(BODY)))
        for stream_id in streams:
            await check_rest(peer, stream_id)
