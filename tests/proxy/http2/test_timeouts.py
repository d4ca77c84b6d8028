"""Timeouts of HTTP/2 connections: clients that stall before, in and between requests."""

import trio
from h2.errors import ErrorCodes

from tests.proxy.http2.frame_peer import (
    FramePeer,
    check_good_request,
    connect,
    data,
    window_update,
)
from tests.raw.backend import says, silence
from tests.raw.messages import OK
from tests.raw.peer import Peer
from tests.raw.proxy import SHORT, running
from tests.raw.tls_client import PemPair
from tests.support.http2_frames import END_STREAM, FrameType, frame, settings
from tests.support.http2_wire import PREFACE

STALLING = {
    "nothing at all": b"",
    "half a preface": PREFACE[:10],
    "a preface without SETTINGS": PREFACE,
    "no request": PREFACE + settings({}),
    "half a frame header": PREFACE + settings({}) + b"\0\0\5\1",
    "half a HEADERS frame": PREFACE + settings({}) + frame(FrameType.HEADERS, 1, b"abcde")[:-2],
    "a block without its end": PREFACE + settings({}) + frame(FrameType.HEADERS, 1, b"\x82"),
    "half a DATA frame": PREFACE + settings({}) + frame(FrameType.DATA, 1, b"abcde")[:-2],
}


async def check_is_closed(peer: FramePeer) -> None:
    """The connection ends without an error, and without a response."""
    while (got := await peer.read()) is not None:
        assert got.type not in (FrameType.HEADERS, FrameType.DATA), str(got)
        assert got.type != FrameType.GOAWAY or got.error == ErrorCodes.NO_ERROR, str(got)


async def test_a_connection_that_stalls_before_its_first_request_is_closed(tls: PemPair) -> None:
    async def stall(case: str, start: bytes) -> None:
        peer = await connect(proxy, start=False)
        await peer.send(start)
        with trio.move_on_after(10 * SHORT) as scope:
            await check_is_closed(peer)
        assert not scope.cancelled_caught, case

    async with running(tls=tls, header_timeout=3 * SHORT, idle_timeout=600.0) as proxy:
        async with trio.open_nursery() as nursery:
            for case, start in STALLING.items():
                nursery.start_soon(stall, case, start)
        assert proxy.backend.heads == []


async def test_a_header_block_that_drips_gets_no_extra_time(tls: PemPair) -> None:
    async def drip(peer: FramePeer) -> None:
        while True:
            await peer.send(b"\x40")
            await trio.sleep(SHORT / 10)

    async with running(tls=tls, header_timeout=SHORT) as proxy:
        peer = await connect(proxy)
        await check_good_request(peer, 1)
        await peer.send(frame(FrameType.HEADERS, 3, bytes(1000), END_STREAM)[:9])
        with trio.fail_after(10 * SHORT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(drip, peer)
                await check_is_closed(peer)
                nursery.cancel_scope.cancel()
        assert proxy.backend.heads == []


async def test_an_idle_connection_is_closed_though_it_sends_pings(tls: PemPair) -> None:
    async def ping(peer: FramePeer) -> None:
        while True:
            await peer.send(frame(FrameType.PING, 0, bytes(8)))
            await trio.sleep(SHORT / 10)

    async with running(tls=tls, idle_timeout=SHORT) as proxy:
        peer = await connect(proxy)
        await check_good_request(peer, 1)
        with trio.fail_after(10 * SHORT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ping, peer)
                await check_is_closed(peer)
                nursery.cancel_scope.cancel()


async def test_a_connection_with_a_request_is_not_idle(tls: PemPair) -> None:
    async def is_slow(peer: Peer) -> None:
        await peer.request()
        await trio.sleep(2 * SHORT)
        await peer.send(OK)

    async with running(is_slow, tls=tls, idle_timeout=SHORT) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1))
        assert (await peer.response(1)).status == 200
        await check_good_request(peer, 3)


async def test_a_client_that_takes_nothing_for_the_idle_timeout_loses_that_stream(
    tls: PemPair,
) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    async with running(says(large), tls=tls, idle_timeout=SHORT) as proxy:
        peer = await connect(proxy, values={4: 1000})
        await peer.send(peer.get(1))
        with trio.fail_after(10 * SHORT):
            await peer.check_reset(1, ErrorCodes.INTERNAL_ERROR)
        assert not any(got.ends_stream for got in peer.on(1))
        await check_good_request(peer, 3)


async def test_a_client_that_takes_a_little_now_and_then_keeps_its_stream(tls: PemPair) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 1500\r\n\r\n" + bytes(1500)
    async with running(says(large), tls=tls, idle_timeout=2 * SHORT) as proxy:
        peer = await connect(proxy, values={4: 1000})
        await peer.send(peer.get(1))
        for _ in range(5):
            await trio.sleep(SHORT / 2)
            await peer.send(window_update(1, 100))
        assert len((await peer.response(1)).body) == 1500


async def test_each_stream_has_its_own_timeout(tls: PemPair) -> None:
    async def only_bad_stalls(peer: Peer) -> None:
        await (silence if b" /bad" in await peer.next_head() else says(OK))(peer)

    async with running(
        only_bad_stalls, tls=tls, response_timeout=SHORT, idle_timeout=600.0
    ) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1, b"/bad"), peer.post(3), data(3, b"a"))
        assert (await peer.response(1)).status == 504
        await peer.send(data(3, b"b", end=True))
        assert (await peer.response(3)).status == 200
        assert [got.body for got in proxy.backend.requests] == [b"ab"]
