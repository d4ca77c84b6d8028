"""The supervisor's answers as lines of text, styled for the terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from blue_green.cli import (
    certificate_text,
    maintenance_text,
    moments,
    process_text,
    sleep_text,
    slot_text,
    swap_results,
    trial_text,
)
from blue_green.cli.rows import MARGIN, block, row, warning
from blue_green.cli.terminal import Piece, Style
from blue_green.config import change_text
from blue_green.site import result_text
from blue_green.site.swap_text import triggered_by
from blue_green.system.printable import counted

COLOURS = {
    "serving": "green",
    "swapping": "cyan",
    "paused": "yellow",
    "starting": "yellow",
    "failing": "red",
    "asleep": "blue",
    "waking": "yellow",
    "broken": "red",
}
MAX_QUARANTINED = 3
MIB = 2**20


def status(result: Mapping[str, Any], style: Style) -> list[str]:
    """The whole status of a site, with its state in the first line."""
    if not runs(result):
        return _not_running(result, style)
    return [*_head(result, style), "", *_rows(result, style), *_last_swaps(result, style)]


def runs(site: Mapping[str, Any]) -> bool:
    """Whether a site runs. Of one that does not, the status says why, and nothing else."""
    return "live" in site


def _head(result: Mapping[str, Any], style: Style) -> list[str]:
    colour = COLOURS[result["phase"]]
    left = result["paused_for"]
    is_closed = bool(result.get("maintenance"))
    more = f" for {left:.0f} s more" if left is not None else ""
    held = ": requests that are admitted are held" if is_closed else ": requests are held"
    effect = held if left is not None else ""
    step = f" ({result['step']})" if result["step"] else ""
    phase = (f"{result['phase']}{step}", f"bold {colour}")
    where = (", in maintenance" if is_closed else "", "bold yellow")
    name = (f"{result['name']} is ", "bold")
    lines = [style.line((f"{style.dot} ", colour), name, phase, more, where, effect)]
    if maintenance := maintenance_text.summary(result):
        lines += style.wrapped(2, maintenance, "yellow")
    if result["down"]:
        lines += style.wrapped(2, result["down"], "red")
    return lines


def _not_running(result: Mapping[str, Any], style: Style) -> list[str]:
    phase = result["phase"]
    colour = COLOURS[phase]
    name = (f"{result.get('name', 'the site')} is ", "bold")
    where = (", in maintenance" if result.get("maintenance") else "", "bold yellow")
    head = style.line((f"{style.dot} ", colour), name, (phase, colour), where)
    maintenance = maintenance_text.summary(result)
    lines = style.wrapped(2, maintenance, "yellow") if maintenance else []
    return [head, *lines, *style.with_steps(2, result["problem"], colour)]


def _rows(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    yield from _live(result, style)
    if draining := result.get("draining"):  # Missing in the answers of older supervisors.
        yield from _running(result, "draining", draining, style)
    if retiring := result["retiring"]:
        yield from _release(result, "retiring", retiring["revision"], style)
        yield from style.wrapped(MARGIN, slot_text.what_is_left(retiring), "dim")
    yield from _wanted(result, style)
    if result["swap"]:
        yield from _swap(result, style)
    if sleep := sleep_text.line(result):
        yield row(style, "sleep", sleep)
    yield from _processes(result, style)
    yield from _files(result, style)
    yield from _hosts(result, style)
    yield from _served_on(result, style)
    yield from _certificates(result, style)
    yield row(style, "requests", *_requests(result))
    yield from warning(style, "problem", result["problem"])
    yield from _waiting_settings(result, style)
    if unremovable := result.get("unremovable"):  # Missing in the answers of older supervisors.
        old = counted(len(unremovable), "old release")
        yield from warning(style, "releases", f"{old} cannot be removed: {unremovable[0]}")
    if last := result["last_swap"]:
        yield from warning(style, "data", last.get("warning", ""))
    yield from _quarantine(result, style)
    yield _supervisor(result["supervisor"], style)


def _live(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    live = result["live"]
    if not live:
        yield row(style, "live", "nothing")
        return
    yield from _running(result, "live", live, style)
    if crash := live.get("crash"):  # Missing in the answers of older supervisors.
        text = sleep_text.failure(result) or "restarting it"
        yield from style.wrapped(MARGIN, f"{text}: {crash}", "red")
        yield from _last_lines(result, live["revision"], style)
    if current := result.get("current"):  # Missing in the answers of older supervisors.
        yield from style.wrapped(MARGIN, f"in {current}", "dim")


def _running(
    result: Mapping[str, Any], label: str, slot: Mapping[str, Any], style: Style
) -> Iterator[str]:
    """A release that serves requests."""
    yield from _release(result, label, slot["revision"], style)
    yield from style.wrapped(MARGIN, slot_text.place(slot), "dim")
    yield from _results(slot, style)


def _swap(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    """The current swap, and its candidate."""
    swap, candidate = result["swap"], result["candidate"]
    yield from _release(result, "swap to", swap["revision"], style)
    yield from style.wrapped(MARGIN, _progress(swap), "cyan")
    if candidate:
        trial = result.get("trial")  # Missing in the answers of older supervisors.
        where = f"{trial['kind'] if trial else 'starting'} in {slot_text.place(candidate)}"
        yield from style.wrapped(MARGIN, where, "dim")
        if trial:
            yield from _results(candidate, style)
            yield row(style, trial["kind"], trial_text.line(trial))


def process(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    """The process of several sites."""
    yield from _served_on(result, style)
    yield from _waiting_settings(result, style)
    yield _supervisor(result["supervisor"], style)


def routes(site: Mapping[str, Any]) -> list[str]:
    """The hosts of a site, each with each of its paths. Older supervisors do not send them."""
    paths = site.get("paths") or [""]
    return [host + path for host in site.get("hosts", []) for path in paths]


def _files(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    """The directories whose files are served without the app."""
    if files := result.get("files"):  # Missing in the answers of older supervisors.
        served = ", ".join(f"{path} from {name}" for path, name in files["directories"].items())
        if earlier := files["earlier_releases"]:
            served += f"; and from {counted(len(earlier), 'earlier release')}"
        yield from block(style, "files", style.wrapped(MARGIN, served))


def _hosts(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    """The hosts of a site, unless it gets all requests."""
    found = routes(result)
    if found and found != ["*"]:
        yield from block(style, "hosts", style.wrapped(MARGIN, ", ".join(found)))


def _processes(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    """A line for each process."""
    lines = [
        line
        for text, colour in process_text.lines(result)
        for line in style.wrapped(MARGIN, text, colour)
    ]
    yield from block(style, "processes", lines)


def _certificates(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    if text := certificate_text.summary(result):
        yield row(style, "https", text)
    for problem in certificate_text.problems(result):
        yield from style.wrapped(MARGIN, problem, "yellow")


def _served_on(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    if addresses := result.get("addresses"):  # Missing in the answers of older supervisors.
        yield row(style, "served on", addresses)


def _waiting_settings(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    """Changed settings that need a restart."""
    for entry in result.get("needs_restart", ()):
        yield from warning(style, "settings", change_text.change(entry))


def _supervisor(supervisor: Mapping[str, Any], style: Style) -> str:
    since = moments.since(supervisor["since"])
    about = f"pid {supervisor['pid']}, version {supervisor['version']}, since {since}"
    return row(style, "supervisor", (about, "dim"))


def _results(slot: Mapping[str, Any], style: Style) -> Iterator[str]:
    """How fast the release was of late, and how much failed."""
    results = slot.get("results")  # Missing in the answers of older supervisors.
    if results and results["requests"]:
        colour = "yellow" if results["failed"] else "dim"
        yield from style.wrapped(MARGIN, result_text.summary(results), colour)


def _wanted(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    """What should be live and is not, and why. A swap to it has lines of its own."""
    label, revision = missing(result)
    current = result["swap"]["revision"] if result["swap"] else None
    if revision and revision != current:
        yield from _release(result, label, revision, style)
        yield from style.with_steps(MARGIN, result["why"], "yellow")
        yield from _last_lines(result, revision, style)


def missing(result: Mapping[str, Any]) -> tuple[str, str]:
    """The label and id of the requested revision, or else of HEAD, unless it is live."""
    live = result["live"]["revision"] if result["live"] else None
    for label, revision in (("wanted", result["wanted"]), ("HEAD", result["head"])):
        if revision and revision != live:
            return label, revision
    return "", ""


def _requests(result: Mapping[str, Any]) -> Iterator[Piece]:
    yield f"{result['requests_per_second']:.1f} per second, {result['in_flight']} in flight, "
    held = f"{result['held']} held"
    yield (held, "yellow") if result["held"] else held
    if result["tunnels"]:
        yield f", {counted(result['tunnels'], 'stream')}"
    buffered = result.get("buffered", {})  # Missing in the answers of older supervisors.
    if size := buffered.get("memory", 0) + buffered.get("disk", 0):
        yield f", {size / MIB:.1f} MiB buffered for slow clients"


def _quarantine(result: Mapping[str, Any], style: Style) -> Iterator[str]:
    """Revisions in quarantine, the newest last, but for one that `_wanted` shows."""
    _, shown = missing(result)
    entries = [entry for entry in result["quarantined"].items() if entry[0] != shown]
    if len(entries) > MAX_QUARANTINED:
        older = counted(len(entries) - MAX_QUARANTINED, "older revision")
        yield row(style, "quarantine", f"{older}, and:")
    for revision, reason in entries[-MAX_QUARANTINED:]:
        yield from _release(result, "quarantine", revision, style)
        yield from style.with_steps(MARGIN, reason, "dim")
        yield from _last_lines(result, revision, style)


def _last_lines(result: Mapping[str, Any], revision: str, style: Style) -> Iterator[str]:
    """The last output of a release that failed."""
    if lines := result.get("output", {}).get(revision):
        yield style.line(" " * MARGIN, ("last lines of output:", "dim"))
        yield from (style.line(" " * (MARGIN + 2), line) for line in lines)


def _last_swaps(result: Mapping[str, Any], style: Style) -> list[str]:
    if not result["last_swaps"]:
        return []
    # What to do about the last one is shown above.
    brief = [{**last, "reason": last["reason"].split("\n")[0]} for last in result["last_swaps"]]
    lines = [line for last in brief for line in swap_results.entry(last, style, indent=2)]
    return ["", style.line(("last swaps", "bold")), *lines]


def _release(result: Mapping[str, Any], label: str, revision: str, style: Style) -> Iterator[str]:
    subject = result["subjects"].get(revision, "")
    yield row(style, label, (revision[:7], "bold"), f"  {subject}")


def _progress(swap: Mapping[str, Any]) -> str:
    """What triggered the swap, and each phase with its duration, the current one last."""
    done = [f"{phase} {seconds:.1f} s" for phase, seconds in swap["seconds"].items()]
    if swap["phase"] not in swap["seconds"] and swap["phase"]:
        done.append(f"{swap['phase']} {swap['phase_seconds']:.1f} s ...")
    return ", ".join([triggered_by(swap["asked_by"]), *done] if swap["asked_by"] else done)
