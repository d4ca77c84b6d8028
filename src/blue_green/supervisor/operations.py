"""The commands of a running supervisor, with their arguments and results."""

from collections.abc import Mapping
from typing import Any

import trio
from attrs import define

from blue_green.config.error import ConfigError
from blue_green.control.server import Operation, Refusal, Send
from blue_green.site.deploy_request import DeployRequest
from blue_green.site.rollback import was_rolled_back
from blue_green.site.site import Site
from blue_green.site.trigger import Trigger
from blue_green.source.git_errors import GitError
from blue_green.supervisor.logs import Logs, LogsArguments
from blue_green.supervisor.reload import Reload
from blue_green.supervisor.upgrade import Upgrade

LONGEST_PAUSE = 24 * 3600.0
TICK = 0.25
"""Seconds between two progress events for a client that follows a swap."""


@define
class NoArguments:
    pass


@define
class SwapArguments:
    revision: str | None = None
    """Any name of a commit. Default: HEAD of the checkout, unless it was rolled back; with
    `rebuild` the live revision."""
    retry: bool = False
    """Deploy it even if it is in quarantine or already live."""
    rebuild: bool = False
    """Build it again, beside the existing release; implies `retry`."""
    wait: bool = True
    """Send the phases and the receipt; otherwise answer at once."""


@define
class RestartArguments:
    wait: bool = True
    """Send the phases and the receipt; otherwise answer at once."""


@define
class PauseArguments:
    seconds: float = 60.0


@define
class HistoryArguments:
    count: int = 10
    """How many receipts to send, at most."""


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

    async def swap(self, arguments: SwapArguments, send: Send) -> dict[str, Any]:
        request = None
        if arguments.rebuild and arguments.revision is None:
            request = self._rebuild()
        if request is None:
            revision = await self._revision(arguments.revision)
            request = self._site.queue.request(
                revision, Trigger.SWAP, retry=arguments.retry, rebuild=arguments.rebuild
            )
        if not arguments.wait:
            return {"revision": request.revision}
        return await self._follow(request, send)

    def _rebuild(self) -> DeployRequest | None:
        """Rebuild the live revision; None if nothing is live. Must not supersede a swap."""
        if not self._site.queue.is_idle:
            raise Refusal(
                "a swap is in progress: wait until it ends, or name the REVISION to build again "
                "and deploy"
            )
        return self._site.queue.rebuild()

    async def _revision(self, name: str | None) -> str:
        """The revision of this name, or else of HEAD unless that was rolled back."""
        revision = await self._resolve("HEAD" if name is None else name)
        if name is None and was_rolled_back(revision, self._site.queue.receipts):
            short = revision[:7]
            raise Refusal(
                f"HEAD is {short}, which was rolled back. To deploy it anyway, name it: "
                f"blue-green swap {short}. To restart the live release: blue-green restart"
            )
        return revision

    async def roll_back(self, _: NoArguments, send: Send) -> dict[str, Any]:
        request = self._site.queue.roll_back()
        if request is None:
            raise Refusal("there is no previous release to go back to")
        return await self._follow(request, send)

    async def restart(self, arguments: RestartArguments, send: Send) -> dict[str, Any]:
        """Restart the live release. Refused during a swap, which it must not supersede."""
        if not self._site.queue.is_idle:
            raise Refusal("a swap is in progress, which starts new processes anyway")
        request = self._site.queue.restart()
        if request is None:
            raise Refusal("there is no live release to restart")
        if not arguments.wait:
            return {"revision": request.revision}
        return await self._follow(request, send)

    async def pause(self, arguments: PauseArguments, _: Send) -> dict[str, Any]:
        if not 0 < arguments.seconds <= LONGEST_PAUSE:
            raise Refusal("a pause must be longer than 0 s and at most a day", usage=True)
        self._site.pause.begin(arguments.seconds)
        return {"paused_for": arguments.seconds}

    async def resume(self, _: NoArguments, __: Send) -> dict[str, Any]:
        was_paused = self._site.pause.seconds_left is not None
        self._site.pause.end()
        return {"was_paused": was_paused, "held": self._site.gate.held}

    async def reload(self, _: NoArguments, __: Send) -> dict[str, Any]:
        try:
            changes = await self._reload.reload()
        except ConfigError as error:
            raise Refusal(str(error), usage=True) from None
        return {"changes": [change.as_dict() for change in changes]}

    async def upgrade(self, _: NoArguments, send: Send) -> dict[str, Any]:
        """Upgrade in place. The client then asks the new program for its version."""
        await self._upgrade.upgrade(send)
        raise AssertionError("the new program runs in this process")

    async def status(self, _: NoArguments, __: Send) -> dict[str, Any]:
        return self._site.status.as_dict()

    async def history(self, arguments: HistoryArguments, send: Send) -> dict[str, Any]:
        """Send receipts one by one, newest first: together they may be large."""
        if arguments.count < 0:
            raise Refusal("the number of swaps cannot be negative", usage=True)
        for receipt in self._site.queue.receipts[: arguments.count]:
            await send({**receipt.as_dict(), "event": "swap"})
        return {}

    async def _resolve(self, name: str) -> str:
        try:
            return await self._site.git.resolve(name)
        except GitError as error:
            raise Refusal(str(error), usage=True) from None

    async def _follow(self, request: DeployRequest, send: Send) -> dict[str, Any]:
        """Send the events of a request, and its progress between them; the receipt at the end."""
        async with request.subscribe() as events:
            while True:
                event = None
                with trio.move_on_after(TICK):
                    try:
                        event = await events.receive()
                    except trio.EndOfChannel:
                        break
                await send(event or self._progress())
        assert request.receipt is not None
        return request.receipt.as_dict()

    def _progress(self) -> dict[str, Any]:
        """The progress of the current swap, which may be another one than the client follows."""
        swap = self._site.queue.current
        return {
            "event": "tick",
            "revision": swap.revision if swap else None,
            "phase": swap.phase if swap else "",
            "seconds": round(trio.current_time() - swap.phase_began, 4) if swap else 0.0,
            "held": self._site.gate.held,
        }
