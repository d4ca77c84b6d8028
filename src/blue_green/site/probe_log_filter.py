"""The lines that an app writes about the probes that it has answered well.

Many servers write a line for each request, so a site that nobody visits would write one for each
probe, every second. A good probe takes one such line away: one that names the probe's path, a
good status and, as far as the line tells them, the address and the port that the probe came from
and its User-Agent. Lines about probes that failed stay, and so does whatever does not look so.
"""

import re
from collections import deque

from attrs import frozen

USER_AGENT = "blue-green"
REQUEST = '"GET '
LOOPBACK = re.compile(r"127\.0\.0\.1(?::(\d+))?(?!\d)")
MOST_EXPECTED = 64
"""Lines that may be late, as those of a program that writes many at once."""


@frozen
class Probe:
    """One that an app may write a line about."""

    path: str
    port: int
    """Ours, from which it came."""
    good: tuple[int, ...]
    """Statuses; nothing: any 2xx."""


class ProbeLogFilter:
    """Recognises the lines that one backend writes about good probes."""

    def __init__(self) -> None:
        self._expected: deque[Probe] = deque(maxlen=MOST_EXPECTED)

    def expect(self, probe: Probe) -> None:
        """A probe was sent: its line may come before its answer does."""
        self._expected.append(probe)

    def failed(self, probe: Probe) -> None:
        """It failed, so whatever is written about it is worth reading."""
        if probe in self._expected:
            self._expected.remove(probe)

    def without(self, lines: list[str]) -> list[str]:
        """The lines that are about something else."""
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
    came_from = LOOPBACK.search(before)
    if not good or came_from is None:
        return False
    is_its_port = came_from[1] is None or int(came_from[1]) == probe.port
    return is_its_port and ('"' not in after or f'"{USER_AGENT}"' in after)
