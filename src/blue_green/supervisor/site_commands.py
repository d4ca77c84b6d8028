"""The commands to a site, with their arguments and results."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from blue_green.config.command_line import command_line, to_decide
from blue_green.control.server import Refusal, Send
from blue_green.site.deploy_request import DeployRequest
from blue_green.site.pause import LONGEST_PAUSE
from blue_green.site.rollback import was_rolled_back
from blue_green.site.site import Site
from blue_green.site.trial_plan import TrialPlan
from blue_green.site.trigger import Trigger
from blue_green.source.git_errors import GitError
from blue_green.supervisor import queued_text, trial_commands
from blue_green.supervisor.exec_command import ExecArguments, exec_
from blue_green.supervisor.follow_swap import follow, follow_to_preview
from blue_green.supervisor.logs import Logs, LogsArguments
from blue_green.supervisor.no_arguments import NoArguments
from blue_green.supervisor.restart_processes import restart_processes
from blue_green.supervisor.revision_names import revision_names


@define
class SwapArguments:
    revision: str | None = None
    """Any name of a commit. Default: HEAD of the checkout, unless it was rolled back; with
    `rebuild` the live revision."""
    retry: bool = False
    """Deploy it even if it is in quarantine or already live."""
    rebuild: bool = False
    """Build it again, beside the existing release; implies `retry`."""
    canary: float | None = None
    """The share of clients, in percent, that the revision serves before the switch; 0: there is no
    canary. Default: by the settings."""
    preview: bool = False
    """Before the switch, it serves those that have opened a secret link. The answer has the link as
    soon as it leads there."""
    seconds: float | None = None
    """How long a canary or a preview lasts."""
    wait: bool = True
    """Send the phases and the receipt; otherwise answer at once."""
    output: bool = False
    """Send the output of `build` and `migrate`, too."""


@define
class RestartArguments:
    wait: bool = True
    """Send the phases and the receipt; otherwise answer at once."""
    processes: list[str] = field(factory=list)
    """Restart only these processes, without a swap."""


@define
class PauseArguments:
    seconds: float = 60.0


@define
class HistoryArguments:
    count: int = 10
    """How many receipts to send, at most."""


async def swap(site: Site, arguments: SwapArguments, send: Send) -> dict[str, Any]:
    plan = trial_commands.plan(
        site, percent=arguments.canary, preview=arguments.preview, seconds=arguments.seconds
    )
    request = None
    if arguments.rebuild and arguments.revision is None:
        request = _rebuild(site, plan)
    if request is None:
        revision = await _revision(site, arguments.revision, _options(arguments, plan))
        retry, rebuild = arguments.retry, arguments.rebuild
        if plan is None and not (retry or rebuild):
            trial_commands.check_unplanned(site, revision)
        trial_commands.check_time(site, revision, plan)
        request = site.queue.request(
            revision, Trigger.SWAP, retry=retry, rebuild=rebuild, plan=plan
        )
    if not arguments.wait:
        return {"revision": request.revision, "text": queued_text.text(site, request)}
    if arguments.preview:
        return await follow_to_preview(site, request, send)
    return await follow(site, request, send, with_output=arguments.output)


def _rebuild(site: Site, plan: TrialPlan | None) -> DeployRequest | None:
    """Rebuild the live revision; None if nothing is live. Must not supersede a swap."""
    if not site.queue.is_idle:
        raise Refusal(
            "a swap is in progress: wait until it ends, or name the REVISION to build again "
            "and deploy"
        )
    return site.queue.rebuild(plan)


def _options(arguments: SwapArguments, plan: TrialPlan | None) -> Sequence[str]:
    """The options with which a client has typed the command."""
    flags = [f"--{name}" for name in ("retry", "rebuild", "output") if getattr(arguments, name)]
    return [*flags, *(plan.options if plan else ())]


async def _revision(site: Site, name: str | None, options: Sequence[str]) -> str:
    """The revision of this name, or else of HEAD unless that was rolled back."""
    try:
        revision = await site.git.resolve("HEAD" if name is None else name)
    except GitError as error:
        raise Refusal(str(error), usage=True) from None
    if name is None and was_rolled_back(revision, site.history.receipts):
        short = revision[:7]
        again = command_line("swap", site.label, short, *options)
        restart_it = command_line("restart", site.label)
        raise Refusal(
            f"HEAD is {short}, which was rolled back. To deploy it anyway, name it: {again}. "
            f"To restart the live release: {restart_it}"
        )
    return revision


async def roll_back(site: Site, _: NoArguments, send: Send) -> dict[str, Any]:
    current = site.queue.current
    request = site.queue.roll_back()
    if request is None:
        raise Refusal("there is no previous release to go back to")
    result = await follow(site, request, send)
    if current is not None and current.is_for_preview:
        ended = f"this is the release before the live one; the preview of {current.revision[:7]}"
        result["reason"] = result["reason"] or f"{ended} has ended, too"
    return result


async def restart(site: Site, arguments: RestartArguments, send: Send) -> dict[str, Any]:
    """Restart the live release. Refused during a swap, which it must not supersede."""
    if (trial := site.queue.trial) is not None:
        raise Refusal(
            f"there is a {trial.plan.kind}. Before a restart, decide: {to_decide(site.label)}"
        )
    if not site.queue.is_idle:
        raise Refusal("a swap is in progress, which starts new processes anyway")
    if arguments.processes:
        return await restart_processes(site, arguments.processes, waits=arguments.wait)
    request = site.queue.restart()
    if request is None:
        raise Refusal("there is no live release to restart")
    if not arguments.wait:
        return {"revision": request.revision}
    return await follow(site, request, send)


async def pause(site: Site, arguments: PauseArguments, _: Send) -> dict[str, Any]:
    if not 0 < arguments.seconds <= LONGEST_PAUSE:
        raise Refusal("a pause must be longer than 0 s and at most a day", usage=True)
    site.pause.begin(arguments.seconds)
    return {"paused_for": arguments.seconds}


async def resume(site: Site, _: NoArguments, __: Send) -> dict[str, Any]:
    was_paused = site.pause.seconds_left is not None
    site.pause.end()
    return {"was_paused": was_paused, "held": site.gate.held}


async def history(site: Site, arguments: HistoryArguments, send: Send) -> dict[str, Any]:
    """Send receipts one by one, newest first: together they may be large."""
    if arguments.count < 0:
        raise Refusal("the number of swaps cannot be negative", usage=True)
    for receipt in site.history.receipts[: arguments.count]:
        await send({**receipt.as_dict(), "event": "swap"})
    return {}


async def logs(site: Site, arguments: LogsArguments, send: Send) -> dict[str, Any]:
    return await Logs(site.output, site.git, site.processes.names).run(arguments, send)


@frozen
class SiteCommand:
    """A command to a site."""

    arguments: type[Any]
    handle: Callable[[Site, Any, Send], Awaitable[dict[str, Any]]]
    is_remembered: bool = True
    """A restart must not forget its effect."""


COMMANDS: Mapping[str, SiteCommand] = {
    "swap": SiteCommand(SwapArguments, swap),
    "rollback": SiteCommand(NoArguments, roll_back),
    "promote": SiteCommand(NoArguments, trial_commands.promote),
    "abort": SiteCommand(NoArguments, trial_commands.abort),
    "restart": SiteCommand(RestartArguments, restart),
    "pause": SiteCommand(PauseArguments, pause),
    "resume": SiteCommand(NoArguments, resume),
    "history": SiteCommand(HistoryArguments, history, is_remembered=False),
    "logs": SiteCommand(LogsArguments, logs, is_remembered=False),
    "revision-names": SiteCommand(NoArguments, revision_names, is_remembered=False),
    "exec": SiteCommand(ExecArguments, exec_, is_remembered=False),
}
