"""The processes of a site, as the supervisor reports them, in lines of text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blue_green.cli import moments
from blue_green.system.printable import counted

MAX_SHOWN = 20
"""Processes that are listed."""


def lines(site: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A line for each process, with its colour."""
    found, is_asleep = _of(site), bool((site.get("sleep") or {}).get("since"))
    for process in found[:MAX_SHOWN]:
        yield _line(process, if_none="asleep" if is_asleep else "stopped"), _colour(process)
    if (more := len(found) - MAX_SHOWN) > 0:
        yield f"and {more} more: see blue-green status --json", ""


def problems(site: Mapping[str, Any]) -> Sequence[str]:
    """What is wrong with some of them, in words."""
    found: Sequence[str] = site.get("process_problems", ())
    return found


def _line(process: Mapping[str, Any], *, if_none: str) -> str:
    parts = [_instances(process)] if process["instances"] else [if_none]
    if process["schedule"]:
        parts.append(_schedule(process))
    if process["restarts"]:
        parts.append(f"restarted {counted(process['restarts'], 'time')}")
    if (deaths := max((one["deaths"] for one in process["instances"]), default=0)) > 1:
        parts.append(f"ended {deaths} times in a row")
    return f"{process['name']}: {', '.join(part for part in parts if part)}"


def _instances(process: Mapping[str, Any]) -> str:
    """`2 running (pids 123, 124) since ...`, and the same for each other state."""
    by_state: dict[str, list[Mapping[str, Any]]] = {}
    for one in process["instances"]:
        by_state.setdefault(one["state"], []).append(one)
    if process["schedule"]:
        by_state.pop("waiting", None)  # It waits for the time that follows.
    parts = []
    for state, some in by_state.items():
        number = f"{len(some)} " if len(process["instances"]) > 1 else ""
        pids = [str(one["pid"]) for one in some if one["pid"]]
        pid = f" (pid{'s' if len(pids) > 1 else ''} {', '.join(pids)})" if pids else ""
        parts.append(f"{number}{state}{pid}{_since(state, some)}")
    return ", ".join(parts)


def _since(state: str, instances: Sequence[Mapping[str, Any]]) -> str:
    moments_ = [one["since"] for one in instances if one["since"]]
    return f" for {moments.age(max(moments_))}" if state == "running" and moments_ else ""


def _schedule(process: Mapping[str, Any]) -> str:
    following = process["next_run"]
    text = f"next run {moments.local_time(following)}" if following else "no next run"
    last = process["last_run"]
    if not last or last["seconds"] is None:
        return text
    how = "" if last["outcome"] == "ok" else f" {last['outcome']}: {last['reason']}"
    took = f"{last['seconds']:.1f} s"
    return f"{text}, last run {moments.local_time(last['at'])} took {took}{how and f',{how}'}"


def _colour(process: Mapping[str, Any]) -> str:
    states = {one["state"] for one in process["instances"]}
    last = process["last_run"]
    if "restarting" in states or (last and last["outcome"] == "failed"):
        return "yellow"
    return ""


def _of(site: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Missing in the answers of older supervisors."""
    processes: Sequence[Mapping[str, Any]] = site.get("processes", ())
    return processes
