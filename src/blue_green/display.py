"""How a terminal shows what the supervisor answers."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

EFFECTS = {
    "now": "now",
    "next swap": "at the next swap",
    "restart": "needs a restart of the supervisor",
}
"""When a changed setting takes effect, in words."""


class Progress:
    """The phases of a swap as they happen: a line each, with its time."""

    def __init__(self, out: TextIO, *, quiet: bool) -> None:
        self._out = out
        self._quiet = quiet
        self._redraws = out.isatty()
        self._begun = False

    def event(self, message: dict[str, Any]) -> None:
        if self._quiet:
            return
        if message["event"] == "phase":
            if not self._begun:
                print(f"swap to {message['revision'][:7]}", file=self._out, flush=True)
                self._begun = True
            if self._redraws:
                print(f"  {message['phase']:<10} ...", end="", file=self._out, flush=True)
        elif message["event"] == "done":
            start = "\r" if self._redraws else ""
            line = f"{start}  {message['phase']:<10} {message['seconds']:6.2f} s"
            print(line, file=self._out, flush=True)


def receipt(result: dict[str, Any]) -> str:
    """How a swap ended, and what it cost."""
    reason = f": {result['reason']}" if result["reason"] else ""
    lines = [f"{result['outcome']} {result['revision'][:7]}{reason}"]
    if result["output"]:
        lines += ["its last lines:", *(f"    {line}" for line in result["output"])]
    if result["seconds"]:
        lines.append(_numbers(result))
    return "\n".join(lines)


def changes(found: Sequence[dict[str, Any]]) -> str:
    """What a reload changes, a line each."""
    return "\n".join(map(change, found)) or "nothing has changed"


def change(entry: dict[str, Any]) -> str:
    """One setting: what it was, what it is, and from when on."""
    old, new = (_value(entry[name]) for name in ("old", "new"))
    return f"[{entry['section']}] {entry['key']}: {old} -> {new}, {EFFECTS[entry['effect']]}"


def _value(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def status(result: dict[str, Any]) -> str:
    """One screen, the truth first."""
    step = f" ({result['step']})" if result["step"] else ""
    rows = [("", f"{result['name']} is {result['phase']}{step}")]
    if result["paused_for"] is not None:
        rows.append(("paused", f"for {result['paused_for']:.0f} s more"))
    live = result["live"]
    rows.append(("live", _slot(live) if live else "nothing"))
    if result["candidate"]:
        rows.append(("candidate", _slot(result["candidate"])))
    if result["wanted"] and (not live or live["revision"] != result["wanted"]):
        rows.append(("wanted", result["wanted"][:7]))
    tunnels = f", {result['tunnels']} tunnels" if result["tunnels"] else ""
    in_flight, held = result["in_flight"], result["held"]
    rows.append(("requests", f"{in_flight} in flight, {held} held{tunnels}"))
    if result["problem"]:
        rows.append(("problem", result["problem"]))
    for revision, reason in result["quarantined"].items():
        rows.append(("quarantine", f"{revision[:7]}: {reason}"))
    if last := result["last_swap"]:
        reason = f" ({last['reason']})" if last["reason"] else ""
        age = _age(last["at"])
        rows.append(("last swap", f"{last['outcome']} {last['revision'][:7]}, {age} ago{reason}"))
        rows.append(("", f"             {_numbers(last)}"))
    return "\n".join(f"  {name:<10} {text}" if name else text for name, text in rows)


def _numbers(result: dict[str, Any]) -> str:
    total = sum(result["seconds"].values())
    return (
        f"held {result['held']}, longest {result['longest_hold']:.1f} s, "
        f"retried {result['retried']}, cut {result['cut']}, failed {result['failed']}, "
        f"took {total:.2f} s"
    )


def _slot(slot: dict[str, Any]) -> str:
    ports = ", ".join(map(str, slot["ports"]))
    pids = ", ".join(map(str, slot["pids"])) or "none"
    since = f"  for {_age(slot['since'])}" if slot["since"] else ""
    return f"{slot['revision'][:7]}  {slot['slot']}  port {ports}  pid {pids}{since}"


def _age(moment: str) -> str:
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{max(seconds, 0)} s"
