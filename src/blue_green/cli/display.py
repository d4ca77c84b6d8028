"""How a terminal shows what the supervisor answers: as lines, made for what it can show."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from blue_green.cli.terminal import Look, Piece
from blue_green.config import change_text

COLOURS = {
    "serving": "green",
    "swapping": "cyan",
    "paused": "yellow",
    "starting": "yellow",
    "failing": "red",
    "promoted": "green",
    "unchanged": "green",
    "superseded": "yellow",
    "failed": "red",
    "reverted": "red",
}
LABEL = 10
"""Columns for what stands before each line of the status."""
MARGIN = LABEL + 4
MOST_QUARANTINED = 3
MOST_LINES = 10
"""Of what an app wrote before its swap failed: a traceback's end is what matters."""


def status(result: Mapping[str, Any], look: Look) -> list[str]:
    """One screen, the truth first."""
    return [*_head(result, look), "", *_rows(result, look), *_last_swaps(result, look)]


def receipt(result: Mapping[str, Any], look: Look) -> list[str]:
    """How a swap ended, and what it cost."""
    colour = COLOURS[result["outcome"]]
    named = [(f"{result['outcome']} ", f"bold {colour}"), result["revision"][:7]]
    if look.width is None:  # Who reads that line by a program has the whole reason in it.
        reason, *steps = result["reason"].split("\n")
        lines = [look.line(*named, f": {reason}" if reason else "")]
        lines += [look.line("  ", step) for step in steps]
    else:
        lines = [look.line(*named, "  ", (result["subject"], "dim"))]
        lines += _with_steps(look, 2, result["reason"], colour) if result["reason"] else []
    if warning := result.get("warning"):
        lines += _with_steps(look, 2, warning, "yellow")
    if result.get("retry_in"):
        lines.append(f"it is tried again in {result['retry_in']:g} s, and is not in quarantine")
    if output := result["output"]:
        shown = output[-MOST_LINES:]
        short = result["revision"][:7]
        more = f" (blue-green logs {short} has more)" if len(output) > len(shown) else ""
        lines += [f"its last lines{more}:", *(look.line("    ", line) for line in shown)]
    if result["seconds"]:
        lines.append(look.line(_numbers(result)))
    return lines


def history(receipts: Sequence[Mapping[str, Any]], look: Look) -> list[str]:
    """The last swaps: two or three lines each."""
    if not receipts:
        return ["no swaps yet"]
    return [line for result in receipts for line in _entry(result, look, indent=0)]


def output(line: Mapping[str, Any], look: Look) -> str:
    """A line of output, with when it came and who wrote it."""
    clock = datetime.fromisoformat(line["at"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
    who = f"{line['source']} {line['revision'][:7]}"
    colour = {"blue": "cyan", "green": "green"}.get(line["source"], "yellow")
    text = (line["text"], "red") if line["is_error"] else line["text"]
    # Output is never cut: a terminal breaks what is too long for it.
    endless = Look(colour=look.colour, unicode=look.unicode)
    return endless.line((clock, "dim"), " ", (who, colour), (" | ", "dim"), text)


def _head(result: Mapping[str, Any], look: Look) -> list[str]:
    dot = "●" if look.unicode else "*"
    colour = COLOURS[result["phase"]]
    left = result["paused_for"]
    more = f" for {left:.0f} s more: requests wait" if left is not None else ""
    step = f" ({result['step']})" if result["step"] else ""
    phase = (f"{result['phase']}{step}", f"bold {colour}")
    lines = [look.line((f"{dot} ", colour), (f"{result['name']} is ", "bold"), phase, more)]
    if result["down"]:
        lines += look.wrapped(2, result["down"], "red")
    return lines


def _rows(result: Mapping[str, Any], look: Look) -> Iterator[str]:
    live, swap = result["live"], result["swap"]
    if live:
        yield from _release(result, "live", live["revision"], look)
        yield from look.wrapped(MARGIN, _place(live), "dim")
    else:
        yield _row(look, "live", "nothing")
    if retiring := result["retiring"]:
        yield from _release(result, "retiring", retiring["revision"], look)
        yield from look.wrapped(MARGIN, _rest(retiring), "dim")
    yield from _wanted(result, look)
    if swap:
        yield from _release(result, "swap to", swap["revision"], look)
        yield from look.wrapped(MARGIN, _progress(swap), "cyan")
        if candidate := result["candidate"]:
            yield from look.wrapped(MARGIN, f"starts in {_place(candidate)}", "dim")
    if addresses := result.get("addresses"):  # An older supervisor does not say.
        yield _row(look, "served on", addresses)
    yield _row(look, "requests", *_requests(result))
    yield from _warning(look, "problem", result["problem"])
    for entry in result.get("needs_restart", ()):
        yield from _warning(look, "settings", change_text.change(entry))
    if unremovable := result.get("unremovable"):  # An older supervisor does not say.
        count = f"{len(unremovable)} old release{'s' * (len(unremovable) > 1)} cannot be removed"
        yield from _warning(look, "releases", f"{count}: {unremovable[0]}")
    if last := result["last_swap"]:
        yield from _warning(look, "data", last.get("warning", ""))
    yield from _quarantine(result, look)
    ours = result["supervisor"]
    about = f"pid {ours['pid']}, version {ours['version']}, since {_since(ours['since'])}"
    yield _row(look, "supervisor", (about, "dim"))


def _warning(look: Look, label: str, text: str) -> Iterator[str]:
    if text:
        first, *more = _with_steps(look, MARGIN, text, "yellow")
        yield _row(look, label) + first[LABEL + 2 :]
        yield from more


def _wanted(result: Mapping[str, Any], look: Look) -> Iterator[str]:
    """What should be live and is not, and why; a swap to it tells of itself."""
    label, revision = _missing(result)
    in_hand = result["swap"]["revision"] if result["swap"] else None
    if revision and revision != in_hand:
        yield from _release(result, label, revision, look)
        yield from _with_steps(look, MARGIN, result["why"], "yellow")
        yield from _last_lines(result, revision, look)


def _missing(result: Mapping[str, Any]) -> tuple[str, str]:
    """What is wanted, or else checked out, and is not live; nothing if it is."""
    live = result["live"]["revision"] if result["live"] else None
    for label, revision in (("wanted", result["wanted"]), ("HEAD", result["head"])):
        if revision and revision != live:
            return label, revision
    return "", ""


def _requests(result: Mapping[str, Any]) -> Iterator[Piece]:
    yield f"{result['requests_per_second']:.1f} a second, {result['in_flight']} in flight, "
    held = f"{result['held']} held"
    yield (held, "yellow") if result["held"] else held
    if result["tunnels"]:
        yield f", {_count(result['tunnels'], 'stream')}"


def _rest(retiring: Mapping[str, Any]) -> str:
    """What a release that was live before still has to do."""
    left = ", ".join(
        _count(retiring[key], name)
        for key, name in (("in_flight", "request"), ("streams", "stream"))
        if retiring[key]
    )
    if not left:
        return f"stops in {_place(retiring)}"
    return f"{left} for up to {retiring['seconds_left']:.0f} s more, in {_place(retiring)}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _quarantine(result: Mapping[str, Any], look: Look) -> Iterator[str]:
    """Those that are not told of as wanted already; the newest at the end."""
    _, told = _missing(result)
    entries = [entry for entry in result["quarantined"].items() if entry[0] != told]
    if len(entries) > MOST_QUARANTINED:
        yield _row(look, "quarantine", f"{len(entries) - MOST_QUARANTINED} older ones, and:")
    for revision, reason in entries[-MOST_QUARANTINED:]:
        yield from _release(result, "quarantine", revision, look)
        yield from look.wrapped(MARGIN, reason, "dim")
        yield from _last_lines(result, revision, look)


def _last_lines(result: Mapping[str, Any], revision: str, look: Look) -> Iterator[str]:
    """What the candidate wrote last, if it failed."""
    if lines := result.get("output", {}).get(revision):
        yield look.line(" " * MARGIN, ("its last lines:", "dim"))
        yield from (look.line(" " * (MARGIN + 2), line) for line in lines)


def _last_swaps(result: Mapping[str, Any], look: Look) -> list[str]:
    if not result["last_swaps"]:
        return []
    # What is to be done about the last one stands above.
    brief = [{**last, "reason": last["reason"].split("\n")[0]} for last in result["last_swaps"]]
    lines = [line for last in brief for line in _entry(last, look, indent=2)]
    return ["", look.line(("last swaps", "bold")), *lines]


def _entry(result: Mapping[str, Any], look: Look, *, indent: int) -> list[str]:
    """One swap: when, how it ended and what it was; then why, if so, and its numbers."""
    when = _moment(result["at"])
    outcome = (f"{result['outcome']:<10}", COLOURS[result["outcome"]])
    revision = (f"  {result['revision'][:7]}", "bold")
    start = " " * indent
    lines = [look.line(start, when, "  ", outcome, revision, f"  {result['subject']}")]
    inner = indent + 2
    if result["reason"]:
        lines += _with_steps(look, inner, result["reason"])
    asked = f"by {result['asked_by']}; " if result["asked_by"] else ""
    return lines + look.wrapped(inner, f"{asked}{_numbers(result)}", "dim")


def _with_steps(look: Look, indent: int, text: str, colour: str = "") -> list[str]:
    """A text that may end in steps, each a line of its own."""
    return [line for part in text.split("\n") for line in look.wrapped(indent, part, colour)]


def _release(result: Mapping[str, Any], label: str, revision: str, look: Look) -> Iterator[str]:
    subject = result["subjects"].get(revision, "")
    yield _row(look, label, (revision[:7], "bold"), f"  {subject}")


def _row(look: Look, label: str, *pieces: Piece) -> str:
    return look.line((f"  {label:>{LABEL}}  ", "dim"), *pieces)


def _progress(swap: Mapping[str, Any]) -> str:
    """Each phase with its time; the one in hand at the end."""
    done = [f"{phase} {seconds:.1f} s" for phase, seconds in swap["seconds"].items()]
    if swap["phase"] not in swap["seconds"] and swap["phase"]:
        done.append(f"{swap['phase']} {swap['phase_seconds']:.1f} s ...")
    asked = f"asked by {swap['asked_by']}" if swap["asked_by"] else ""
    return ", ".join([*filter(None, [asked]), *done])


def _numbers(result: Mapping[str, Any]) -> str:
    total = sum(result["seconds"].values())
    return (
        f"held {result['held']}, longest {result['longest_hold']:.1f} s, "
        f"retried {result['retried']}, cut {result['cut']}, failed {result['failed']}, "
        f"took {total:.2f} s"
    )


def _place(slot: Mapping[str, Any]) -> str:
    ports = ", ".join(map(str, slot["ports"]))
    pids = ", ".join(map(str, slot["pids"])) or "none"
    since = f", since {_since(slot['since'])}" if slot["since"] else ""
    return f"{slot['slot']}, port {ports}, pid {pids}{since}"


def _since(moment: str) -> str:
    return f"{_moment(moment)} ({_age(moment)})"


def _moment(moment: str) -> str:
    """The local time, with the date unless that is today's."""
    then = datetime.fromisoformat(moment).astimezone()
    is_today = then.date() == datetime.now().astimezone().date()
    return then.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S")


def _age(moment: str) -> str:
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{max(seconds, 0)} s"
