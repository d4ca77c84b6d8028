"""What must be so after every case."""

from collections.abc import Mapping
from typing import Any

from tests.faults.cases import Case
from tests.faults.scene import Scene
from tests.faults.traffic import CLIENTS
from tests.faults.trials import TRIALS
from tests.faults.waking import WAKE
from tests.support.figures import PIDFD, Figures, look_at
from tests.support.site import RealSite
from tests.waiting import until

PATIENCE = 5.0
"""Seconds until what has ended must also be gone."""
IN_FLIGHT = 2
"""Requests that a case may send beside the load."""
GROWTH = 16 * 1024
"""KiB by which a supervisor may have grown over a case: what it keeps ready, and no leak."""
FILES = [".gitignore", "built", "control.sock", "current", "lock", "releases", "state.toml"]
"""What is in a state directory."""
RELEASES = 4
"""How many releases there may be with `keep = 1`: those live, previous, kept, and just tried."""


async def settled(site: RealSite, revision: str | None = None) -> dict[str, Any]:
    """Wait until this revision is live, or any, and nothing else is wanted; and remembered so."""
    seen: Any = None

    async def look() -> Any:
        nonlocal seen
        seen = status = await site.status()
        live = status["live"]["revision"] if status["live"] else None
        remembered = site.remembered().get("live", {}).get("revision")
        done = status["phase"] == "serving" and not status["step"] and _all_work(status)
        goal = revision or live
        return status if done and live == status["wanted"] == remembered == goal else None

    try:
        status: dict[str, Any] = await until("the site has settled", look)
    except AssertionError:
        raise AssertionError(f"the site has not settled: {seen}\n{site.remembered()}") from None
    return status


def _all_work(status: dict[str, Any]) -> bool:
    """Each process runs, and none of an earlier release does."""
    instances = [one for process in status["processes"] for one in process["instances"]]
    return all(one["state"] == "running" for one in instances)


def workers_of(status: Mapping[str, Any]) -> list[int]:
    """The pids of the processes beside the app."""
    instances = [one for process in status["processes"] for one in process["instances"]]
    return [one["pid"] for one in instances if one["pid"] is not None]


def check_outcome(scene: Scene, case: Case, status: dict[str, Any]) -> None:
    """What was told of the swap is what has become of it."""
    live, receipt = status["live"]["revision"], scene.receipt
    if case.phase == WAKE:
        assert live == scene.old or case.loses_state
        assert case.ends_supervisor or status["sleep"]["wakes"] > 0
        return
    if case.phase in TRIALS and case.ends_supervisor:
        last = status["last_swap"]
        if not case.loses_state:
            assert (live, last["revision"]) == (scene.old, scene.new), status
            # The release may have failed before the supervisor ended.
            assert last["outcome"] == "aborted" or len(case.faults) > 1, status
        return
    if receipt is None:
        assert case.ends_supervisor, scene.events
        assert live in (scene.old, scene.new, scene.site.head())
        assert live == scene.new or case.phase != "retire" or case.loses_state
        return
    if case.outcome is not None:
        assert receipt["outcome"] == case.outcome, receipt
        assert bool(receipt["retry_in"]) == case.is_retried, receipt
    if receipt["retry_in"]:
        assert scene.new not in status["quarantined"], status
    if not case.loses_state:
        was_retried = receipt["retry_in"] and not scene.is_down
        is_new = receipt["outcome"] == "promoted" or was_retried
        assert live == (scene.new if is_new else scene.old), receipt


async def at_rest(site: RealSite, status: Mapping[str, Any]) -> Figures:
    """What a supervisor uses that has nothing to do, not even with git.

    It holds a pidfd for each command that it runs, and there are only the backends and processes.
    """
    looks: list[Figures] = []
    live, running = status["live"], len(status["live"]["pids"]) + len(workers_of(status))

    def is_at_rest() -> bool:
        looks.append(look_at(site, live["ports"][0]))
        same = len(looks) > 1 and looks[-1].descriptors == looks[-2].descriptors
        return same and looks[-1].descriptors[PIDFD] == running

    await until("it is at rest", is_at_rest)
    return looks[-1]


async def check_nothing_is_left(site: RealSite, before: Figures, *, lost: bool) -> None:
    """The supervisor, and what is around it, are as they were."""
    odd = ["nobody has looked yet"]

    async def is_as_before() -> bool:
        status = await site.status()
        odd[:] = _odd(site, status, before, [*FILES, "state.toml.bad"] if lost else FILES)
        return not odd

    try:
        await until("all is as it was", is_as_before, timeout=PATIENCE)
    except AssertionError:
        raise AssertionError("left behind:\n" + "\n".join(odd)) from None
    if lost:
        (site.state / "state.toml.bad").unlink()


def _odd(site: RealSite, status: dict[str, Any], before: Figures, files: list[str]) -> list[str]:
    live, expected = status["live"], sorted([*status["live"]["pids"], *workers_of(status)])
    now = look_at(site, live["ports"][0])
    built = sorted(path.name for path in (site.state / "built").iterdir())
    found = []
    if sorted(now.processes) != expected:
        found.append(f"processes {now.processes}, where {expected} are live")
    if now.descriptors - before.descriptors:
        found.append(f"descriptors {now.descriptors}, which were {before.descriptors}")
    if now.idle > CLIENTS + IN_FLIGHT:
        found.append(f"{now.idle} connections to the backend")
    if not now.worktrees == now.releases == built or len(built) > RELEASES:
        found.append(f"work trees {now.worktrees}, releases {now.releases}, marks {built}")
    if live["revision"][:12] not in built:
        found.append(f"what is live is not in {built}")
    if now.files != sorted(files):
        found.append(f"files {now.files}")
    if now.memory > before.memory + GROWTH:
        found.append(f"{now.memory} KiB of memory, which were {before.memory}")
    return found
