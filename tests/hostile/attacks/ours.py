"""What comes from this machine: an app's output, and messages to the control socket."""

import trio

from tests.hostile.attacks import AGAIN, CONNECTIONS
from tests.hostile.target import TargetSite


async def _shout(target: TargetSite, word: bytes) -> None:
    async with await target.connect() as stream:
        await stream.send_all(b"GET /shout/%b HTTP/1.1\r\nHost: test.example\r\n\r\n" % word)
        await trio.sleep_forever()


async def empty_lines(target: TargetSite) -> None:
    """The app prints empty lines, as fast as it can."""
    await _shout(target, b"")


async def unprintable_lines(target: TargetSite) -> None:
    """The app prints what a terminal could not show."""
    await _shout(target, b"%01" * 2000)


async def control_messages(target: TargetSite) -> None:
    """Garbage of the largest size, and half a line after the other."""
    garbage = b'{"command": ' + b"[" * 60_000 + b"\n"

    async def one() -> None:
        while True:
            try:
                async with await trio.open_unix_socket(
                    str(target.state / "control.sock")
                ) as stream:
                    await stream.send_all(garbage)
                    await stream.receive_some()
            except (OSError, trio.BrokenResourceError):
                pass
            await trio.sleep(AGAIN)

    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(one)
