"""What can be asked of a running supervisor, each with what it takes and what it answers."""

from collections.abc import Mapping
from typing import Any

import trio
from attrs import define

from blue_green.config.error import ConfigError
from blue_green.control.server import Operation, Refusal, Tell
from blue_green.site.deploy_request import DeployRequest
from blue_green.site.rollback import was_rolled_back
from blue_green.site.site import Site
from blue_green.site.trigger import Trigger
from blue_green.source.git import GitError
from blue_green.supervisor.logs import Logs, LogsArguments
from blue_green.supervisor.reload import Reload
from blue_green.supervisor.upgrade import Upgrade

LONGEST_PAUSE = 24 * 3600.0
TICK = 0.25
"""Seconds between looks at a swap for those who watch it."""


@define
class NoArguments:
    pass


@define
class SwapArguments:
    revision: str | None = None
    """Any name of a commit. Default: HEAD of the checkout, unless it was rolled back; with
    `rebuild` what is live."""
    retry: bool = False
    """Also if the revision is in quarantine, or live already."""
    rebuild: bool = False
    """Build it again, beside the release that is there; includes `retry`."""
    wait: bool = True
    """Answer with the receipt, and with the phases before it; otherwise at once."""


@define
class RestartArguments:
    wait: bool = True
    """As for a swap."""


@define
class PauseArguments:
    seconds: float = 60.0


@define
class HistoryArguments:
    count: int = 10
    """How many swaps, at most."""


class Operations:
    """The commands, by name."""

    def __init__(self, site: Site, reload: Reload, upgrade: Upgrade) -> None:
        self._site = site
        self._reload = reload
        self._upgrade = upgrade
        self._logs = Logs(site.output, site.git)

    @property
    def commands(self) -> Mapping[str, Operation]:
        return {
            "swap": Operation(SwapArguments, self.swap),
            "rollback": Operation(NoArguments, self.roll_back),
            "restart": Operation(RestartArguments, self.restart),
            "pause": Operation(PauseArguments, self.pause),
            "resume": Operation(NoArguments, self.resume),
            "upgrade": Operation(NoArguments, self.upgrade),
            "reload": Operation(NoArguments, self.reload),
            "status": Operation(NoArguments, self.status),
            "history": Operation(HistoryArguments, self.history),
            "logs": Operation(LogsArguments, self._logs.run),
        }

    async def swap(self, arguments: SwapArguments, tell: Tell) -> dict[str, Any]:
        wanted = None
        if arguments.rebuild and arguments.revision is None:
            wanted = self._rebuild()
        if wanted is None:
            revision = await self._wanted_by_name(arguments.revision)
            wanted = self._site.queue.request(
                revision, Trigger.SWAP, retry=arguments.retry, rebuild=arguments.rebuild
            )
        if not arguments.wait:
            return {"revision": wanted.revision}
        return await self._follow(wanted, tell)

    def _rebuild(self) -> DeployRequest | None:
        """What is live, built again; None if nothing is. A swap must not be called off for it."""
        if not self._site.queue.is_idle:
            raise Refusal(
                "a swap is under way: wait for its end, or name the REVISION that is to be built "
                "again and made live"
            )
        return self._site.queue.rebuild()

    async def _wanted_by_name(self, name: str | None) -> str:
        """The revision of this name, or else of HEAD if nobody has gone back from it."""
        revision = await self._resolve("HEAD" if name is None else name)
        if name is None and was_rolled_back(revision, self._site.queue.receipts):
            short = revision[:7]
            raise Refusal(
                f"HEAD is {short}, which was rolled back. To deploy it all the same, name it: "
                f"blue-green swap {short}. For fresh processes of what is live: blue-green restart"
            )
        return revision

    async def roll_back(self, _: NoArguments, tell: Tell) -> dict[str, Any]:
        wanted = self._site.queue.roll_back()
        if wanted is None:
            raise Refusal("there is no previous release to go back to")
        return await self._follow(wanted, tell)

    async def restart(self, arguments: RestartArguments, tell: Tell) -> dict[str, Any]:
        """Refused while there is a swap, which a restart must not call off."""
        if not self._site.queue.is_idle:
            raise Refusal("a swap is under way: when it has ended, all processes are fresh")
        wanted = self._site.queue.restart()
        if wanted is None:
            raise Refusal("nothing is live that could be restarted")
        if not arguments.wait:
            return {"revision": wanted.revision}
        return await self._follow(wanted, tell)

    async def pause(self, arguments: PauseArguments, _: Tell) -> dict[str, Any]:
        if not 0 < arguments.seconds <= LONGEST_PAUSE:
            raise Refusal("a pause lasts more than 0 s and at most a day", usage=True)
        self._site.pause.begin(arguments.seconds)
        return {"paused_for": arguments.seconds}

    async def resume(self, _: NoArguments, __: Tell) -> dict[str, Any]:
        was_paused = self._site.pause.seconds_left is not None
        self._site.pause.end()
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
        return self._site.status.as_dict()

    async def history(self, arguments: HistoryArguments, tell: Tell) -> dict[str, Any]:
        """Receipts one by one, the newest first: together they may be large."""
        if arguments.count < 0:
            raise Refusal("a count of swaps cannot be negative", usage=True)
        for receipt in self._site.queue.receipts[: arguments.count]:
            await tell({**receipt.as_dict(), "event": "swap"})
        return {}

    async def _resolve(self, name: str) -> str:
        try:
            return await self._site.git.resolve(name)
        except GitError as error:
            raise Refusal(str(error), usage=True) from None

    async def _follow(self, wanted: DeployRequest, tell: Tell) -> dict[str, Any]:
        """Send what happens, and how it stands meanwhile, until it has ended."""
        async with wanted.subscribe() as events:
            while True:
                event = None
                with trio.move_on_after(TICK):
                    try:
                        event = await events.receive()
                    except trio.EndOfChannel:
                        break
                await tell(event or self._tick())
        assert wanted.receipt is not None
        return wanted.receipt.as_dict()

    def _tick(self) -> dict[str, Any]:
        """How the swap in hand stands. It may be another one than is waited for."""
        swap = self._site.queue.current
        return {
            "event": "tick",
            "revision": swap.revision if swap else None,
            "phase": swap.phase if swap else "",
            "seconds": round(trio.current_time() - swap.phase_began, 4) if swap else 0.0,
            "held": self._site.gate.held,
        }
