"""What can be asked of a running supervisor, each with what it takes and what it answers."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import define

from blue_green import __version__
from blue_green.control.server import Command, Refusal, Tell
from blue_green.git import Git, GitError
from blue_green.locate import ConfigError
from blue_green.pause import Pause
from blue_green.reload import Reload
from blue_green.slots import Slot
from blue_green.steps import Site
from blue_green.upgrade import Upgrade
from blue_green.wanted import Swaps, Wanted
from blue_green.watch import Watch

LONGEST_PAUSE = 24 * 3600.0


@define
class NoArguments:
    pass


@define
class SwapArguments:
    revision: str | None = None
    """Any name of a commit. Default: HEAD of the checkout."""
    retry: bool = False
    """Also if the revision is in quarantine, or live already."""
    wait: bool = True
    """Answer with the receipt, and with the phases before it; otherwise at once."""


@define
class PauseArguments:
    seconds: float = 60.0


class Operations:
    """The commands, by name."""

    def __init__(
        self,
        *,
        name: str,
        site: Site,
        swaps: Swaps,
        pause: Pause,
        reload: Reload,
        upgrade: Upgrade,
        watch: Watch,
        git: Git,
    ) -> None:
        self._name = name
        self._site = site
        self._swaps = swaps
        self._pause = pause
        self._reload = reload
        self._upgrade = upgrade
        self._watch = watch
        self._git = git
        self._began = datetime.now(UTC)

    @property
    def commands(self) -> Mapping[str, Command]:
        return {
            "swap": Command(SwapArguments, self.swap),
            "rollback": Command(NoArguments, self.roll_back),
            "pause": Command(PauseArguments, self.pause),
            "resume": Command(NoArguments, self.resume),
            "upgrade": Command(NoArguments, self.upgrade),
            "reload": Command(NoArguments, self.reload),
            "status": Command(NoArguments, self.status),
        }

    async def swap(self, arguments: SwapArguments, tell: Tell) -> dict[str, Any]:
        try:
            revision = await self._git.resolve(
                "HEAD" if arguments.revision is None else arguments.revision
            )
        except GitError as error:
            raise Refusal(str(error), usage=True) from None
        wanted = self._swaps.want(revision, "swap", retry=arguments.retry)
        if not arguments.wait:
            return {"revision": revision}
        return await _follow(wanted, tell)

    async def roll_back(self, _: NoArguments, tell: Tell) -> dict[str, Any]:
        wanted = self._swaps.roll_back()
        if wanted is None:
            raise Refusal("there is no previous release to go back to")
        return await _follow(wanted, tell)

    async def pause(self, arguments: PauseArguments, _: Tell) -> dict[str, Any]:
        if not 0 < arguments.seconds <= LONGEST_PAUSE:
            raise Refusal("a pause lasts more than 0 s and at most a day", usage=True)
        self._pause.begin(arguments.seconds)
        return {"paused_for": arguments.seconds}

    async def resume(self, _: NoArguments, __: Tell) -> dict[str, Any]:
        was_paused = self._pause.seconds_left is not None
        self._pause.end()
        return {"was_paused": was_paused, "held": self._site.gate.held}

    async def reload(self, _: NoArguments, __: Tell) -> dict[str, Any]:
        try:
            changes = await self._reload.reload()
        except ConfigError as error:
            raise Refusal(str(error), usage=True) from None
        return {"changes": [change.as_dict() for change in changes]}

    async def upgrade(self, _: NoArguments, tell: Tell) -> dict[str, Any]:
        """The answer is only what comes from the new program: see `upgraded`."""
        await self._upgrade.upgrade(tell)
        raise AssertionError("there is another program here by now")

    async def status(self, _: NoArguments, __: Tell) -> dict[str, Any]:
        site, swap = self._site, self._swaps.in_hand
        slots = (site.slots.blue, site.slots.green)
        leases = [lease for slot in slots for target in slot.targets for lease in target.leases]
        return {
            "name": self._name,
            "phase": self._phase,
            "live": _slot(site.slots.live),
            "candidate": _slot(swap.candidate) if swap else None,
            "wanted": self._swaps.wanted,
            "step": swap.phase if swap else None,
            "held": site.gate.held,
            "in_flight": sum(not lease.is_tunnel for lease in leases),
            "tunnels": sum(lease.is_tunnel for lease in leases),
            "paused_for": self._pause.seconds_left,
            "quarantined": site.state.quarantine,
            "previous": site.state.previous,
            "problem": self._watch.problem,
            "last_swap": self._swaps.last.as_dict() if self._swaps.last else None,
            "supervisor": {
                "pid": os.getpid(),
                "version": __version__,
                "since": self._began.isoformat(timespec="seconds"),
            },
        }

    @property
    def _phase(self) -> str:
        gate = self._site.gate
        if self._pause.seconds_left is not None:
            return "paused"
        if self._swaps.in_hand is not None and self._site.slots.live is not None:
            return "swapping"
        if gate.targets:
            return "serving"
        return "failing" if gate.is_refusing else "starting"


async def _follow(wanted: Wanted, tell: Tell) -> dict[str, Any]:
    """Send what happens, until it has ended."""
    async with wanted.listen() as events:
        async for event in events:
            await tell(event)
    assert wanted.receipt is not None
    return wanted.receipt.as_dict()


def _slot(slot: Slot | None) -> dict[str, Any] | None:
    if slot is None or slot.release is None:
        return None
    return {
        "slot": slot.name,
        "revision": slot.release.revision,
        "ports": list(slot.ports),
        "pids": [backend.process.pid for backend in slot.backends],
        "since": slot.since.isoformat(timespec="seconds") if slot.since else None,
    }
