"""Wait for the state of a site, as the status of a real supervisor has it."""

import subprocess
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from blue_green.control import client
from tests.waiting import until

Status = dict[str, Any]
Ask = Callable[[], Awaitable[Status | None]]
"""Gets the status of a site; None where the supervisor does not know the site."""


class Supervised(Protocol):
    """What a supervisor runs for."""

    process: subprocess.Popen[bytes] | None

    def log(self) -> str: ...


async def until_phase(
    what: str, phase: str, supervised: Supervised, ask: Ask, timeout: float
) -> Status:
    """Wait until the supervisor is there and the site is in this phase."""
    last: Status | None = None

    async def look() -> Status | None:
        nonlocal last
        assert supervised.process is not None
        assert supervised.process.poll() is None, f"the supervisor has ended:\n{supervised.log()}"
        try:
            last = await ask()
        except (client.NoSupervisor, client.ConnectionLost):
            return None
        return last if last and last["phase"] == phase else None

    try:
        seen: Status = await until(f"{what} is {phase}", look, timeout)
    except AssertionError:
        raise AssertionError(
            f"{what} is {phase}: not within {timeout:g} s; {last}\n{supervised.log()}"
        ) from None
    return seen


async def until_live(what: str, revision: str, ask: Ask, timeout: float) -> Status:
    """Wait until this revision of the site is live and no swap is in hand."""

    async def look() -> Status | None:
        status = await ask()
        live = status and status.get("live")  # Not there while a site starts.
        done = status and status["phase"] == "serving" and live and live["revision"] == revision
        return status if done else None

    seen: Status = await until(f"{what}: {revision[:7]} is live", look, timeout)
    return seen
