"""The results of swaps as lines of text, styled for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from blue_green.cli import moments
from blue_green.cli.terminal import Style
from blue_green.config.command_line import command_line
from blue_green.site import result_text
from blue_green.site.swap_text import numbers, triggered_by

COLOURS = {
    "promoted": "green",
    "unchanged": "green",
    "superseded": "yellow",
    "aborted": "yellow",
    "failed": "red",
    "reverted": "red",
}
MAX_LINES = 10
"""Lines of the app's output to show after a failed swap: the end of a traceback matters most."""


def receipt(result: Mapping[str, Any], style: Style, site: str | None = None) -> list[str]:
    """How a swap ended, and what it cost. `site` is the one that the user named."""
    colour = COLOURS[result["outcome"]]
    named = [(f"{result['outcome']} ", f"bold {colour}"), result["revision"][:7]]
    if style.width is None:  # A program that reads the first line finds the reason in it.
        reason, *steps = result["reason"].split("\n")
        lines = [style.line(*named, f": {reason}" if reason else "")]
        lines += [style.line("  ", step) for step in steps]
    else:
        lines = [style.line(*named, "  ", (result["subject"], "dim"))]
        lines += style.with_steps(2, result["reason"], colour) if result["reason"] else []
    if warning := result.get("warning"):
        lines += style.with_steps(2, warning, "yellow")
    if result.get("retry_in"):
        lines.append(f"not in quarantine: next attempt in {result['retry_in']:g} s")
    if output := result["output"]:
        shown = output[-MAX_LINES:]
        logs = command_line("logs", site or "", result["revision"][:7])
        more = f" (more: {logs})" if len(output) > len(shown) else ""
        lines += [f"last lines of output{more}:", *(style.line("    ", line) for line in shown)]
    if result["seconds"]:
        lines.append(style.line(numbers(result)))
    return lines + [style.line(text) for text in result_text.of_receipt(result)]


def history(receipts: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    """The last swaps, two to five lines each."""
    if not receipts:
        return ["no swaps yet"]
    lines = []
    for result in receipts:
        lines += entry(result, style, indent=0)
        for text in result_text.of_receipt(result):
            lines += style.wrapped(2, text, "dim")
    return lines


def entry(result: Mapping[str, Any], style: Style, *, indent: int) -> list[str]:
    """One swap: its time, outcome and revision, the reason if there is one, and its receipt."""
    when = moments.local_time(result["at"])
    outcome = (f"{result['outcome']:<10}", COLOURS[result["outcome"]])
    revision = (f"  {result['revision'][:7]}", "bold")
    start = " " * indent
    lines = [style.line(start, when, "  ", outcome, revision, f"  {result['subject']}")]
    inner = indent + 2
    if result["reason"]:
        lines += style.with_steps(inner, result["reason"])
    trigger = f"{triggered_by(result['asked_by'])}; " if result["asked_by"] else ""
    return lines + style.wrapped(inner, f"{trigger}{numbers(result)}", "dim")
