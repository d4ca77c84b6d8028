"""Run a swap from a deploy request to its receipt.

Up to the switch (in an exclusive swap: up to the hold) a newer request supersedes the swap. After
that it is carried through, since turning back would cost more than going on.
"""

import logging
from datetime import UTC, datetime

from blue_green.site import data_check, exclusive, files_check, overlap, strategy
from blue_green.site.candidate_trial import TrialAborted, TrialFailed
from blue_green.site.receipt import Receipt, Result
from blue_green.site.state import quarantined
from blue_green.site.swap import Swap
from blue_green.site.trigger import Trigger
from blue_green.source.failure import DeployRefused, MachineFault, StepFailed, SwapCancelled
from blue_green.source.release import Release
from blue_green.system import documents

logger = logging.getLogger(__name__)


async def run(swap: Swap) -> Receipt:
    """Carry out the swap. Its failures are in the receipt."""
    swap.site.releases.use(swap.settings)
    tally = swap.site.gate.start_tally()
    try:
        with swap.until_switch:
            outcome = await _run(swap)
        if swap.until_switch.cancelled_caught:
            how: Result = "aborted" if swap.is_aborted else "superseded"
            outcome = swap.end(how, swap.why_superseded)
    except TrialAborted as error:
        outcome = swap.end("aborted", str(error))
    except TrialFailed as failure:
        outcome = await swap.reverted(failure)
    except SwapCancelled as error:
        swap.is_refused = isinstance(error, DeployRefused)
        outcome = swap.end("failed", str(error))
    except StepFailed as failure:
        outcome = await swap.failed(failure)
    except OSError as error:
        outcome = await swap.failed(MachineFault(str(error)))
    except Exception as error:
        # The live release goes on serving, whatever our mistake was.
        logger.exception("swap %s: internal error", swap.revision[:7])
        outcome = await swap.failed(MachineFault(f"internal error: {error!r}"))
    if outcome in ("reverted", "aborted") and swap.release:
        await data_check.report(swap, swap.release)
    if outcome != "promoted" and swap.rebuild and swap.release:
        await swap.site.releases.discard(swap.release)
    receipt, numbers = swap.receipt, swap.site.gate.tally_since(tally)
    receipt.outcome = outcome
    receipt.held, receipt.longest_hold = numbers.held, numbers.longest_hold
    receipt.retried, receipt.cut, receipt.failed = numbers.retried, numbers.cut, numbers.failed
    receipt.at = datetime.now(UTC).isoformat(timespec="seconds")
    swap.phase = ""
    return receipt


async def _run(swap: Swap) -> Result:
    site, state = swap.site, swap.site.state
    live = site.slots.live
    is_live = (
        live is not None
        and bool(live.is_static or live.backends or not site.sleep.is_awake)
        and swap.receipt.previous == swap.revision
    )
    if not swap.retry and is_live:
        return swap.end("unchanged", _already_live(swap))
    reason = state.quarantine.get(swap.revision)
    if reason and live is not None and not swap.retry:
        swap.receipt.output = state.last_output(swap.revision)
        raise DeployRefused(quarantined(reason, swap.command("--retry")))
    strategy.check_trial(swap)
    await data_check.check(swap, live)  # Before the build, so as not to build in vain.
    swap.release = release = await _prepare(swap)
    is_unhealthy = swap.trigger is Trigger.HEALTH
    swap.keeps_processes = is_unhealthy and site.processes.would_be_same(release, swap.settings)
    # A release that was good before must be able to replace one that is not.
    is_remedy = swap.trigger in (Trigger.HEALTH, Trigger.ROLLBACK)
    if swap.settings.is_static or not is_remedy:
        await files_check.check(release.path, swap.settings, site.user)
    await data_check.check(swap, live)
    if live is None:
        return await overlap.run(swap, None, release)
    may_be_warm = swap.trigger is Trigger.ROLLBACK and not site.releases.in_place
    if may_be_warm and (warm := site.retirement.take_back(swap.revision)):
        return await overlap.run(swap, live, release, warm)
    with swap.timed("retire" if site.retirement.slot else ""):
        await site.retirement.hurry()
    if await strategy.must_be_exclusive(swap, live):
        return await exclusive.run(swap, live, release)
    return await overlap.run(swap, live, release)


def _already_live(swap: Swap) -> str:
    if swap.plan is None or swap.asked_plan is None:
        return "it is already live"
    return (
        f"it is already live, so there was no {swap.plan.kind}: all clients get it. Each commit in "
        f"a checkout that is watched goes live at once. {documents.path_of('canary.md')} says how "
        f"to begin with a {swap.plan.kind}"
    )


async def _prepare(swap: Swap) -> Release:
    releases = swap.site.releases
    is_live = swap.receipt.previous == swap.revision
    must_be_made = releases.in_place or swap.rebuild
    release = None if must_be_made else await releases.find(swap.revision)
    if release is not None and (is_live or not await releases.lacks_links(release)):
        return release
    if release is not None:
        # It may still run where it will be made again.
        await swap.site.retirement.hurry()
        await swap.site.processes.until_none_in(release.path)
    with swap.timed("checkout"):
        release = await releases.add(swap.revision, beside=swap.rebuild)
    # In place there is always a build, except for a release that is built and runs already.
    is_built = releases.in_place and swap.trigger in (Trigger.HEALTH, Trigger.RESTART)
    if not is_built:
        await _build(swap, release)
    return release


async def _build(swap: Swap, release: Release) -> None:
    """Build the release, after the builds of other sites if only so many may run at once."""
    releases, builds = swap.site.releases, swap.site.builds
    if releases.config.build is None:
        await releases.build(release)
        return
    await builds.acquire(swap.timed("wait to build"))
    try:
        with swap.timed("build"):
            await releases.build(release)
    finally:
        builds.release()
