"""Filter the lines that an app logs about successful probes from its output.

Many servers log a line for each request, so even an idle site would log one for each probe, every
second. Each successful probe removes one such line: one with the probe's path, a good status and,
as far as the line has them, the probe's source address and port and its User-Agent. Lines about
failed probes stay, and so do all others. A probe over a Unix socket has no source address: its line
has none.
"""

import re
from collections import deque
from ipaddress import ip_address

from attrs import frozen

USER_AGENT = "blue-green"
REQUEST = '"GET '
LOOPBACK = re.compile(r"127\.0\.0\.1(?::(\d+))?(?!\d)")
MAX_EXPECTED = 64
"""Lines that may be outstanding, for programs that write many at once."""


@frozen
class Probe:
    """A probe that the app may log."""

    path: str
    port: int
    """Our port, from which it was sent; 0 for a Unix socket."""
    good: tuple[int, ...]
    """Statuses of a healthy backend; empty: any 2xx."""


class ProbeLogFilter:
    """Filters the lines that one backend logs about successful probes."""

    def __init__(self) -> None:
        self._expected: deque[Probe] = deque(maxlen=MAX_EXPECTED)

    def expect(self, probe: Probe) -> None:
        """A probe was sent: its line may come before its response."""
        self._expected.append(probe)

    def failed(self, probe: Probe) -> None:
        """The probe failed, so its line is worth reading."""
        if probe in self._expected:
            self._expected.remove(probe)

    def filter(self, lines: list[str]) -> list[str]:
        """The lines that are not about successful probes."""
        return [line for line in lines if not self._takes(line)] if self._expected else lines

    def _takes(self, line: str) -> bool:
        if REQUEST not in line:
            return False
        for probe in self._expected:
            if _is_about(line, probe):
                self._expected.remove(probe)
                return True
        return False


def _is_about(line: str, probe: Probe) -> bool:
    before, request, after = line.partition(f'{REQUEST}{probe.path} HTTP/1.1" ')
    if not request:
        return False
    status = int(after[:3]) if re.match(r"[2-5]\d\d(?!\d)", after) else 0
    good = status in probe.good if probe.good else 200 <= status < 300
    came_from = _is_from(before, probe.port) if probe.port else not _has_address(before)
    return good and came_from and ('"' not in after or f'"{USER_AGENT}"' in after)


def _is_from(text: str, port: int) -> bool:
    came_from = LOOPBACK.search(text)
    return came_from is not None and (came_from[1] is None or int(came_from[1]) == port)


def _has_address(text: str) -> bool:
    return any(
        _is_address(part) for word in text.split() for part in (word, word.rpartition(":")[0])
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[](),"))
    except ValueError:
        return False
    return True
