"""Probes of a live backend, and when it counts as unhealthy.

A wrong answer counts against it, and so does an address on which nothing listens. A missing answer
counts only if the backend cannot be busy, with requests (see `busy`) or with an idle connection of
ours: a server with one worker may accept no other connection before that one is closed. So after an
unanswered probe these connections are closed, and none is reused until a probe is answered.
"""

import math
from collections.abc import Callable, Iterable

import trio

from blue_green.config.settings import SiteSettings
from blue_green.routing.lease import Target
from blue_green.site import health
from blue_green.site.busy import Activity, Workload
from blue_green.site.health import Symptom
from blue_green.site.probe_log_filter import ProbeLogFilter

LONGEST_SLEEP = 1.0
"""Seconds within which a new `interval` takes effect, however long the old one is."""

Forget = Callable[[Iterable[Target]], int]
"""Closes the idle connections to targets; how many there were."""


async def until_unhealthy(
    target: Target,
    current: Callable[[], SiteSettings],
    forget: Forget,
    log_filter: ProbeLogFilter,
    patience: float = math.inf,
) -> str:
    """Probe every `interval` until `fall` probes in a row count against it; why it is unhealthy.

    `current` gives the settings, which a reload may change. A busy backend that answers nothing at
    all, neither requests nor probes, is excused for `patience` seconds: a candidate has not shown
    yet that it ever answers.
    """
    work = Workload(target)
    counted = excused = 0
    try:
        while True:
            settings, began = current(), trio.current_time()
            work.begin_probe()
            failed = await health.probe(target, settings.health, log_filter)
            addition = ""
            if failed is None or failed.symptom is Symptom.WRONG:
                work.probe_answered()
                target.is_silent, target.reuses_connections = False, True
                excused = 0
                counted = 0 if failed is None else counted + 1
            elif failed.symptom is Symptom.REFUSED:
                counted += 1
            else:
                target.is_silent = True
                is_first, target.reuses_connections = target.reuses_connections, False
                had_connections = forget([target]) or bool(target.leases)
                activity = work.activity(settings.serving.response_timeout, patience)
                if activity is Activity.BUSY:
                    excused += 1
                elif activity is Activity.STALLED:
                    counted, excused = counted + excused + 1, 0
                    seconds = min(settings.serving.response_timeout, patience)
                    addition = f", nor a request within {seconds:g} s"
                elif is_first and had_connections:
                    continue
                else:
                    counted += 1
            if failed is not None and counted >= settings.health.fall:
                return f"{counted} probes in a row failed: {failed}{addition}"
            await trio.lowlevel.checkpoint()
            while (left := began + current().health.interval - trio.current_time()) > 0:
                await trio.sleep(min(left, LONGEST_SLEEP))
    finally:
        target.reuses_connections = True
