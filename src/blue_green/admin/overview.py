"""Events about all sites together: a row for each site.

The first event has all rows. The following ones have only the columns that have changed, of sites
for which anything has, and the names of sites that are gone. So the size of an event depends on
what happens, and stays small with hundreds of sites. The work is done in short steps, between which
the event loop goes on.
"""

import json
import socket
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import trio

from blue_green.admin.readiness import why_not_ready
from blue_green.config.site_settings import ServingSettings
from blue_green.site.broken_site import BrokenSite
from blue_green.site.site import Site
from blue_green.site.sites import STARTING, Sites
from blue_green.site.status import of_supervisor
from blue_green.system import throttle
from blue_green.system.printable import counted

ROWS_PER_STEP = 10
MAX_HOSTS = 3
MAX_TEXT = 200
"""Characters of a subject line, or of a reason."""
MAX_ADVICE = 500
"""Characters of what is wrong with a certificate, and what to do."""

Row = Mapping[str, Any]


class Overview:
    """Makes the events for one reader."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._sent: dict[str, Row] | None = None
        """The rows as the reader knows them."""

    async def next_event(self) -> str:
        before, rows = self._sent or {}, await self._rows()
        changed = []
        for number, (name, row) in enumerate(rows.items()):
            if number % ROWS_PER_STEP == 0:
                await throttle.wait()
            known = before.get(name)
            news = row if known is None else {k: row[k] for k in row if row[k] != known[k]}
            if news:
                changed.append(_as_json({"site": name, **news}))
        rest = {
            "now": round(time.time(), 3),
            "complete": self._sent is None,
            "stopping": self._sites.is_stopping,
            "host": socket.gethostname(),
            "supervisor": of_supervisor(self._sites.began),
            "removed": [name for name in before if name not in rows],
        }
        self._sent = rows
        return f'{_as_json(rest)[:-1]},"sites":[{",".join(changed)}]}}'

    async def until_changed(self) -> None:
        await trio.sleep_forever()

    async def _rows(self) -> dict[str, Row]:
        serving = {site.name: site.serving for site in self._sites.settings.sites}
        rows = {
            name: _row_of_missing(serving.get(name), why, self._sites.get_broken(name))
            for name, why in self._sites.not_running.items()
        }
        for number, site in enumerate(self._sites):
            if number % ROWS_PER_STEP == 0:
                await throttle.wait()
            rows[site.name] = _row(site)
        return rows


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _row(site: Site) -> Row:
    live, swap = site.slots.live_revision, site.queue.current
    targets = [backend.target for backend in site.slots.backends]
    return {
        "hosts": _hosts(site.settings.serving),
        "phase": site.status.phase,
        "step": swap.phase if swap else None,
        "maintenance": site.served.maintenance is not None,
        "why": why_not_ready(site)[:MAX_TEXT],
        "certificates": _certificates(site),
        "processes": _first(site.status.processes.problems()),
        "revision": live,
        "subject": site.queue.subject_of(live)[:MAX_TEXT] if live else "",
        "requests_per_second": round(site.rate.per_second, 1),
        "in_flight": sum(target.in_flight for target in targets),
        "held": site.gate.held,
        "errors": site.rate.recent_errors,
    }


def _certificates(site: Site) -> str:
    """What is wrong with the first certificate that needs attention."""
    found = site.certificates.summary()
    others = len(found["problems"]) - 1 + found["more_problems"]
    more = f" (and {counted(others, 'more host')})" if others > 0 else ""
    return "".join(f"{host}{more}: {why[:MAX_ADVICE]}" for host, why in found["problems"][:1])


def _first(problems: Sequence[str]) -> str:
    """What is wrong with the first process that needs attention."""
    more = f" (and {counted(len(problems) - 1, 'more problem')})" if len(problems) > 1 else ""
    return f"{problems[0][:MAX_TEXT]}{more}" if problems else ""


def _row_of_missing(serving: ServingSettings | None, why: str, broken: BrokenSite | None) -> Row:
    """The row of a site that does not run; without settings, they have mistakes."""
    return {
        "hosts": _hosts(serving) if serving else "",
        "phase": "starting" if why == STARTING else "broken",
        "step": None,
        "maintenance": broken is not None and broken.maintenance.record is not None,
        "why": why[:MAX_TEXT],
        "certificates": "",
        "processes": "",
        "revision": None,
        "subject": "",
        "requests_per_second": 0.0,
        "in_flight": 0,
        "held": 0,
        "errors": 0,
    }


def _hosts(serving: ServingSettings) -> str:
    """The first hosts and paths that lead to a site, and how many others there are."""
    paths = serving.paths or ("",)
    first = islice((host + path for host in serving.hosts for path in paths), MAX_HOSTS)
    more = len(serving.hosts) * len(paths) - MAX_HOSTS
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")
