"""What `swap --no-wait` answers: the request is queued, or has had its effect already."""

from blue_green.config.command_line import command_line
from blue_green.config.units import written
from blue_green.site.deploy_request import DeployRequest
from blue_green.site.site import Site
from blue_green.site.trial_plan import TrialKind


def text(site: Site, request: DeployRequest) -> str:
    """What has become of this request, in one line."""
    short, trial = request.revision[:7], site.queue.trial
    if trial is not None and trial.revision == request.revision and not trial.is_decided:
        plan = trial.plan
        if plan.kind is TrialKind.PREVIEW:
            return f"there is a preview of {short}"
        return (
            f"the canary of {short} is for {written(plan.percent, '%')} of the clients, "
            f"{trial.seconds_left:.0f} s left"
        )
    if (why := _nothing_new(site, request)) and not request.retry:
        return f"{short} {why}"
    if request.plan is not None and request.plan.kind is TrialKind.PREVIEW:
        link = command_line("swap", site.label, short, "--preview")
        return f"{short} is queued. When its preview has begun, this prints the link: {link}"
    return f"{short} is queued"


def _nothing_new(site: Site, request: DeployRequest) -> str:
    """Why the request changes nothing, if it does not."""
    swap, plan = site.queue.current, request.plan
    if swap is not None:
        is_same = swap.revision == request.revision and not swap.is_superseded
        return "is being deployed already" if is_same else ""
    if site.slots.live_revision != request.revision:
        return ""
    return "is live already" + (f", so there is no {plan.kind}" if plan else "")
