"""Commands about trials: plan a canary or a preview, promote or abort it."""

from typing import Any

from blue_green.config.command_line import command_line, to_decide
from blue_green.config.kinds import LONGEST_TRIAL
from blue_green.control.server import Refusal, Send
from blue_green.site.site import Site
from blue_green.site.trial_plan import DEFAULT_PREVIEW, TrialKind, TrialPlan, obstacle
from blue_green.supervisor.follow_swap import follow
from blue_green.supervisor.no_arguments import NoArguments

ABORTED = "somebody ran blue-green abort"
NONE = "there is no canary and no preview"


def plan(
    site: Site, *, percent: float | None, preview: bool, seconds: float | None
) -> TrialPlan | None:
    """The trial that a client asks for; None: by the settings. Raises `Refusal`."""
    settings = site.settings.swap
    if seconds is not None and not 0 < seconds <= LONGEST_TRIAL * 86400:
        raise Refusal(
            f"a canary or a preview must last longer than 0 s and at most {LONGEST_TRIAL} days",
            usage=True,
        )
    if percent is not None and not 0 <= percent <= 100:
        raise Refusal("the share of a canary must be between 0% and 100%", usage=True)
    if preview and percent is not None:
        raise Refusal("it can be a canary or a preview, but not both", usage=True)
    if preview:
        asked = TrialPlan(
            TrialKind.PREVIEW, seconds or DEFAULT_PREVIEW, has_own_time=seconds is not None
        )
    elif percent is None and seconds is None:
        return None
    else:
        share = settings.canary if percent is None else percent
        if percent is None and not share:
            raise Refusal(
                "--for is the time of a canary or a preview: add --canary 10% or --preview",
                usage=True,
            )
        asked = TrialPlan(
            TrialKind.CANARY, seconds or settings.canary_for, share, seconds is not None
        )
    if asked.percent or preview:
        _check_possible(site, asked.kind)
    return asked


def _check_possible(site: Site, kind: TrialKind) -> None:
    """Raise `Refusal` if the site can have no trial."""
    if why := obstacle(site.settings, kind):
        raise Refusal(f"no {kind} is possible: {why}")
    if site.slots.live is None:
        raise Refusal(f"no {kind} is possible: nothing is live that could serve all others")


def check_unplanned(site: Site, revision: str) -> None:
    """Raise `Refusal` for a swap without options to a revision that some clients get already."""
    trial = site.queue.trial
    if trial is not None and trial.revision == revision:
        raise Refusal(f"there is a {trial.plan.kind} of {revision[:7]}: {to_decide(site.label)}")


def check_time(site: Site, revision: str, asked: TrialPlan | None) -> None:
    """Raise `Refusal` for a time that the canary or preview of this revision has lasted already."""
    trial = site.queue.trial
    if asked is None or not asked.has_own_time or trial is None or trial.revision != revision:
        return
    if trial.plan.kind is asked.kind and trial.lasts >= asked.seconds:
        raise Refusal(
            f"the {asked.kind} of {revision[:7]} began {trial.lasts:.0f} s ago, and --for counts "
            f"from its beginning: name a longer time, or decide now: {to_decide(site.label)}"
        )


async def promote(site: Site, _: NoArguments, send: Send) -> dict[str, Any]:
    if (request := site.queue.promote()) is None:
        raise Refusal(_nothing_to_promote(site))
    return await follow(site, request, send)


async def abort(site: Site, _: NoArguments, send: Send) -> dict[str, Any]:
    """End a canary, a preview, or any other swap that has not switched yet."""
    if (request := site.queue.abort(ABORTED)) is None:
        raise Refusal(_nothing_to_abort(site))
    return await follow(site, request, send)


def _nothing_to_promote(site: Site) -> str:
    if (swap := site.queue.current) is None:
        return NONE
    about = f"the swap to {swap.revision[:7]} ({swap.phase or 'which begins'})"
    if swap.is_past_switch:
        return f"{NONE}: {about} has switched already"
    if swap.plan is None:
        return f"{NONE}: {about} goes live by itself"
    without = command_line("swap", site.label, swap.revision[:7], "--canary", "0%")
    return (
        f"there is no {swap.plan.kind} yet: {about} comes first. "
        f"To go live without a {swap.plan.kind}: {without}"
    )


def _nothing_to_abort(site: Site) -> str:
    if (swap := site.queue.current) is None:
        return f"{NONE}, and no swap is in progress"
    back = command_line("rollback", site.label)
    return f"the swap to {swap.revision[:7]} has switched already. To go back: {back}"
