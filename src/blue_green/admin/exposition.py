"""Metrics in the text format of Prometheus, generated for each scrape.

A scrape reads state that exists anyway. The site's metrics are read on the event loop without a
checkpoint in between, so that they are consistent. Those of the process come from /proc, where
listing thousands of descriptors takes a while, so a thread reads them.
"""

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import get_args

import trio
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from blue_green import __version__
from blue_green.routing.metrics import Histogram
from blue_green.site.receipt import Result
from blue_green.site.site import Site


class Exposition(Collector):
    """Collects the metrics of a site."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, site: Site, *, is_ready: Callable[[], bool]) -> None:
        self._site = site
        self._is_ready = is_ready
        self._ours = CollectorRegistry()
        self._ours.register(self)
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)

    async def text(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        process = await trio.to_thread.run_sync(generate_latest, self._process)
        return generate_latest(self._ours) + process

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus-client."""
        yield from self._requests()
        yield from self._changes()
        yield from self._releases()

    def _requests(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "blue_green_requests",
            "Finished requests, by the status sent to the client; 499 if it disconnected before",
            labels=["status"],
        )
        for status, count in sorted(self._site.gate.by_status.items()):
            requests.add_metric([str(status)], count)
        yield requests
        targets = [backend.target for backend in self._site.slots.backends]
        yield GaugeMetricFamily(
            "blue_green_requests_in_flight",
            "In-flight requests at backends",
            sum(target.in_flight for target in targets),
        )
        yield GaugeMetricFamily(
            "blue_green_tunnels",
            "Open streams: WebSockets, other upgrades, and event streams",
            sum(target.streams for target in targets),
        )
        gate = self._site.gate
        yield GaugeMetricFamily("blue_green_requests_held", "Held requests", gate.held)
        yield HistogramMetricFamily(
            "blue_green_hold_seconds",
            "How long held requests waited, whatever their outcome",
            buckets=_cumulative(gate.holds),
            sum_value=gate.holds.total,
        )

    def _changes(self) -> Iterator[Metric]:
        swaps = CounterMetricFamily("blue_green_swaps", "Swaps, by outcome", labels=["outcome"])
        for outcome in get_args(Result):  # Including 0, from which Prometheus sees the first rise.
            swaps.add_metric([outcome], self._site.queue.counts.by_outcome[outcome])
        yield swaps
        phases = SummaryMetricFamily(
            "blue_green_swap_phase_seconds", "How long each phase of a swap took", labels=["phase"]
        )
        for phase, count in sorted(self._site.queue.counts.by_phase.items()):
            phases.add_metric([phase], count, self._site.queue.counts.seconds[phase])
        yield phases
        restarts = CounterMetricFamily(
            "blue_green_backend_restarts",
            "Restarts of live backends",
            labels=["slot"],
        )
        for slot in self._site.slots.both:
            restarts.add_metric([slot.name], slot.restarts)
        yield restarts

    def _releases(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "blue_green_ready", "Whether /ready answers 200", float(self._is_ready())
        )
        build = GaugeMetricFamily(
            "blue_green_build_info", "The version of the supervisor", labels=["version"]
        )
        build.add_metric([__version__], 1)
        yield build
        releases = GaugeMetricFamily(
            "blue_green_release_info",
            "The release in each slot, and its state: live, candidate, draining or retiring",
            labels=["slot", "revision", "state"],
        )
        for slot in self._site.slots.both:
            if slot.release is not None and (state := self._site.queue.state_of(slot)):
                releases.add_metric([slot.name, slot.release.revision, state], 1)
        yield releases


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """Buckets as Prometheus defines them: each includes the counts of all smaller ones."""
    bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
