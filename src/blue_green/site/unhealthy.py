"""When a live backend is unhealthy: its probes, and what to conclude from those that fail.

A wrong answer counts against it, and so does a port on which nothing listens. No answer counts
only if it cannot be because the backend is busy, be it with requests (see `busy`) or with an idle
connection of ours: a server that serves one connection at a time takes no other before that one is
closed. So after a probe without an answer these connections are closed, and none is reused before
a probe is answered.
"""

from collections.abc import Callable, Iterable

import trio

from blue_green.config.settings import Settings
from blue_green.routing.lease import Target
from blue_green.site import health
from blue_green.site.busy import Excuse, Work
from blue_green.site.health import Symptom
from blue_green.site.probe_log_filter import ProbeLogFilter

NOTICE = 1.0
"""Seconds in which a new `interval` is noticed, however long the old one is."""

Forget = Callable[[Iterable[Target]], int]
"""Closes the idle connections to these targets; how many there were."""


async def until_unhealthy(
    target: Target, current: Callable[[], Settings], forget: Forget, lines: ProbeLogFilter
) -> str:
    """Probe every `interval`, until `fall` probes in a row count against it; what is wrong.

    `current` gives the settings, which a reload may change, and `lines` are those about probes.
    """
    work = Work(target)
    counted = excused = 0
    try:
        while True:
            settings, began = current(), trio.current_time()
            work.begin_probe()
            failed = await health.probe(target.host, target.port, settings.health, lines)
            more = ""
            if failed is None or failed.symptom is Symptom.WRONG:
                work.probe_answered()
                target.reuses_connections = True
                excused = 0
                counted = 0 if failed is None else counted + 1
            elif failed.symptom is Symptom.REFUSED:
                counted += 1
            else:
                is_first, target.reuses_connections = target.reuses_connections, False
                was_in_the_way = forget([target]) or bool(target.leases)
                excuse = work.excuse(settings.proxy.response_timeout)
                if excuse is Excuse.BUSY:
                    excused += 1
                elif excuse is Excuse.OVERDUE:
                    counted, excused = counted + excused + 1, 0
                    more = f", nor a request within {settings.proxy.response_timeout:g} s"
                elif is_first and was_in_the_way:
                    continue
                else:
                    counted += 1
            if failed is not None and counted >= settings.health.fall:
                return f"{counted} probes in a row failed: {failed}{more}"
            await trio.lowlevel.checkpoint()
            while (left := began + current().health.interval - trio.current_time()) > 0:
                await trio.sleep(min(left, NOTICE))
    finally:
        target.reuses_connections = True
