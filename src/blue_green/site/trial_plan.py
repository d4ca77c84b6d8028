"""What a swap does between the start of the new release and the switch."""

from enum import StrEnum

from attrs import frozen

from blue_green.config.settings import SiteSettings
from blue_green.config.units import written
from blue_green.site.trigger import Trigger

OF_NEW_REVISIONS = (Trigger.WATCH, Trigger.PUSH, Trigger.SWAP)
"""Triggers of swaps to which `canary` in the settings applies."""
DEFAULT_PREVIEW = 4 * 3600.0
"""Seconds that a preview lasts by default."""


class TrialKind(StrEnum):
    """Which clients a release on trial is for. The values are in receipts and in the status."""

    CANARY = "canary"
    """A share of the clients."""
    PREVIEW = "preview"
    """Those that have opened a secret link."""


@frozen
class TrialPlan:
    """A trial: the new release serves some clients while the live one serves all others."""

    kind: TrialKind
    seconds: float
    """How long it lasts."""
    percent: float = 0.0
    """The share of the clients, for a canary; 0: there is no canary, whatever the settings say."""
    has_own_time: bool = True
    """Somebody named the time; otherwise a change of the share does not change it."""

    @property
    def options(self) -> tuple[str, ...]:
        """The options of `swap` that ask for it."""
        time = ("--for", written(self.seconds, "s")) if self.has_own_time else ()
        if self.kind is TrialKind.PREVIEW:
            return ("--preview", *time)
        return ("--canary", written(self.percent, "%"), *time)


def plan_of(plan: TrialPlan | None, trigger: Trigger, settings: SiteSettings) -> TrialPlan | None:
    """The trial of a swap, if there is to be one. Without a `plan`, the settings decide."""
    swap = settings.swap
    if plan is not None:
        return plan if plan.kind is TrialKind.PREVIEW or plan.percent else None
    if not swap.canary or trigger not in OF_NEW_REVISIONS:
        return None
    return TrialPlan(TrialKind.CANARY, swap.canary_for, swap.canary)


def obstacle(settings: SiteSettings, kind: TrialKind) -> str:
    """Why no release of the site can be on such a trial; empty if one can."""
    if why := settings.rules_out_two_releases:
        return f"it needs two releases at once, which {why} rules out"
    if settings.is_static and kind is TrialKind.CANARY:
        return "a static site has no app that could fail: look at the release with --preview"
    return ""
