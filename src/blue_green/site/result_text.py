"""The results of releases in words, for the log and for the commands: these import little else."""

from collections.abc import Iterator, Mapping
from typing import Any

from blue_green.system.printable import counted

COMPARISONS = (
    (("new release in its {}", "old release meanwhile"), ("trial_results", "trial_live_results")),
    (("new release", "old release"), ("results", "previous_results")),
)
"""Names of releases, with a place for "canary" or "preview", and the keys of their results in a
receipt."""


def summary(results: Mapping[str, Any]) -> str:
    """The results of a release, an object of the control protocol, in one line."""
    if not results["requests"]:
        return "no requests"
    text = f"{counted(results['requests'], 'request')}, {share(results)} failed"
    if results.get("p50") is not None:
        text += f", p50 {duration(results['p50'])}, p95 {duration(results['p95'])}"
    return text


def of_receipt(receipt: Mapping[str, Any]) -> Iterator[str]:
    """The results of both releases in a canary or a preview, and in the soak, if there were any."""
    kind = "preview" if "preview" in receipt.get("seconds", ()) else "canary"
    for names, keys in COMPARISONS:
        both = [receipt.get(key) for key in keys]  # Missing in receipts of older versions.
        if any(results and results["requests"] for results in both):
            for name, results in zip(names, both, strict=True):
                if results:
                    yield f"{name.format(kind)}: {summary(results)}"


def share(results: Mapping[str, Any]) -> str:
    """The share of requests that failed."""
    failed, requests = results["failed"], results["requests"]
    return percent(failed / requests if requests else 0.0)


def percent(share: float) -> str:
    if 0 < share < 0.001:
        return "under 0.1%"
    return f"{100 * share:.1f}%" if 0 < share < 0.0995 else f"{100 * share:.0f}%"


def unanswered(count: int) -> str:
    """How many of the failed requests have no response, if there are any."""
    return f", {count} of them without a response" if count else ""


def duration(seconds: float) -> str:
    if seconds <= 0.001:
        return "under 1 ms"
    return f"{1000 * seconds:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"
