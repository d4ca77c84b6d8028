"""The certificates of a site, as the supervisor reports them, in lines of text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from blue_green.cli import moments
from blue_green.system.printable import counted

MAX_SHOWN = 5
"""Hosts that are named."""


def summary(site: Mapping[str, Any]) -> str:
    """How many there are, and until when they are valid; "" without TLS."""
    certificates = _of(site)
    if not certificates:
        return ""
    counts = Counter(map(_kind, certificates))
    parts = [f"{count} {kind}" if len(counts) > 1 else kind for kind, count in counts.items()]
    if "valid" in counts:
        ends = {one["valid_until"] for one in certificates if _kind(one) == "valid"}
        later = " or later" if len(ends) > 1 else ""
        parts[list(counts).index("valid")] += f" until {moments.day(min(ends))}{later}"
    return f"{counted(len(certificates), 'certificate')}: {', '.join(parts)}"


def problems(site: Mapping[str, Any]) -> Sequence[str]:
    """A text for each host whose certificate needs attention, up to a limit."""
    found = _troubled(site)
    texts = [f"{one['host']}: {one['problem']}" for one in found[:MAX_SHOWN]]
    if (more := len(found) - MAX_SHOWN) > 0:
        texts.append(f"{counted(more, 'more host')}: see blue-green status --json")
    return texts


def first_problem(site: Mapping[str, Any]) -> str:
    """The first one, and how many other hosts have one."""
    found = _troubled(site)
    if not found:
        return ""
    more = f" (and {counted(len(found) - 1, 'more host')})" if len(found) > 1 else ""
    return f"{found[0]['host']}{more}: {found[0]['problem']}"


def _troubled(site: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [one for one in _of(site) if one["problem"]]


def _kind(certificate: Mapping[str, Any]) -> str:
    if certificate["state"] == "coming":
        return "being obtained"
    if certificate["state"] == "expired":
        return "expired"
    return "valid" if certificate["valid_until"] else "missing"


def _of(site: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Missing in the answers of older supervisors."""
    certificates: Sequence[Mapping[str, Any]] = site.get("certificates", ())
    return certificates
