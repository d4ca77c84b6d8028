"""What whoever can push, or write to the checkout, can do there."""

import os
from pathlib import Path

import trio

from tests.hostile.target import TargetSite
from tests.support.app_checkout import git

LARGE_OUTPUT = """
import os
for _ in range(60):
    os.write(2, b"\\x01" * 16_000 + b"\\n")
raise SystemExit(3)
"""
SUBJECT = 100_000_000
"""Bytes."""


async def failing_revisions(target: TargetSite) -> None:
    """Revisions that fail one after the other, each with as much output as is read of it."""
    number = 0
    while True:
        number += 1
        (target.checkout / "app.py").write_text(f"# {number}\n{LARGE_OUTPUT}")
        await _commit(target, "-qam", f"failing {number}")
        await trio.sleep(0.4)


async def giant_subjects(target: TargetSite) -> None:
    """Commits whose whole message is one line, and enormous."""
    message = target.checkout.parent / "message"
    message.write_text("x" * SUBJECT)
    while True:
        await _commit(target, "-q", "--allow-empty", "-F", str(message))
        await trio.sleep(1)


async def a_fifo_as_head(target: TargetSite) -> None:
    """Whoever reads HEAD waits for somebody who never writes."""
    os.mkfifo(_put_aside(target))
    await trio.sleep_forever()


async def a_device_as_head(target: TargetSite) -> None:
    """Whoever reads HEAD reads for ever."""
    _put_aside(target).symlink_to("/dev/zero")
    await trio.sleep_forever()


def _put_aside(target: TargetSite) -> Path:
    """Where HEAD was."""
    head = target.checkout / ".git" / "HEAD"
    head.rename(head.with_name("aside"))
    return head


async def _commit(target: TargetSite, *words: str) -> None:
    await trio.to_thread.run_sync(git, target.checkout, "commit", *words)
