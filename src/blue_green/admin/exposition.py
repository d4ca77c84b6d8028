"""Metrics in the text format of Prometheus, generated for each scrape.

A scrape reads state that exists anyway. It takes one site per iteration of the event loop, so that
the metrics of a site are consistent, and hundreds of sites delay no request. Metrics of the process
come from /proc, where listing thousands of descriptors takes a while, so a thread reads them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
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

from blue_green import __version__
from blue_green.admin import process_metrics, release_metrics, sleep_metrics, trial_metrics
from blue_green.admin.readiness import why_not_ready
from blue_green.admin.release_metrics import cumulative
from blue_green.certificates.host_certificate import HostCertificate
from blue_green.proxy.buffer_space import BufferUse
from blue_green.proxy.client_counts import ClientCounts
from blue_green.site.receipt import Result
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.system import throttle

CERTIFICATES_PER_STEP = 100


class Exposition:
    """Collects the metrics of all sites."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(
        self, sites: Sites, unrouted: Mapping[int, int], clients: Callable[[], ClientCounts]
    ) -> None:
        self._sites = sites
        self._unrouted = unrouted
        self._clients = clients
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        PlatformCollector(registry=self._process)

    async def text(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        process = await trio.to_thread.run_sync(generate_latest, self._process)
        families = Families()
        families.add(_build())
        families.add(_requests("", self._unrouted))
        for metric in _connections(self._clients()):
            families.add(metric)
        for name in self._sites.not_running:
            families.add(_ready(name, is_ready=False))
            if (broken := self._sites.get_broken(name)) is not None:
                families.add(_maintenance(name, is_on=broken.maintenance.record is not None))
        for site in self._sites:
            await throttle.wait()
            for metric in (
                *_traffic(site),
                *_changes(site),
                *_releases(site),
                *release_metrics.of_site(site),
                *process_metrics.of_site(site),
                *sleep_metrics.of_site(site),
                *trial_metrics.of_site(site),
            ):
                families.add(metric)
            certificates = site.certificates.all()
            for first in range(0, len(certificates), CERTIFICATES_PER_STEP):
                await throttle.wait()
                step = certificates[first : first + CERTIFICATES_PER_STEP]
                for metric in _certificates(site.name, step):
                    families.add(metric)
        return families.text + process


class Families:
    """The text of many metrics. The samples of a family must stand together."""

    def __init__(self) -> None:
        self._texts: dict[str, bytearray] = {}

    @property
    def text(self) -> bytes:
        return b"".join(self._texts.values())

    def add(self, metric: Metric) -> None:
        """Add its samples to those of the same family."""
        text = generate_latest(_Single(metric))
        if metric.name in self._texts:
            _help, _type, text = text.split(b"\n", 2)
        self._texts.setdefault(metric.name, bytearray()).extend(text)


class _Single(CollectorRegistry):
    """A registry with one metric, which `generate_latest` can write."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def _requests(name: str, by_status: Mapping[int, int]) -> Metric:
    requests = CounterMetricFamily(
        "blue_green_requests",
        "Finished requests, by the status sent to the client; 499 if it disconnected before",
        labels=["site", "status"],
    )
    for status, count in sorted(by_status.items()):
        requests.add_metric([name, str(status)], count)
    return requests


def _connections(clients: ClientCounts) -> Iterator[Metric]:
    connections = GaugeMetricFamily(
        "blue_green_connections",
        "Connections of clients, by the version of HTTP; those in a handshake count as 1",
        labels=["http"],
    )
    connections.add_metric(["1"], clients.http1_connections)
    connections.add_metric(["2"], clients.http2_connections)
    yield connections
    yield GaugeMetricFamily(
        "blue_green_http2_requests",
        "Requests of HTTP/2 in progress, held ones and WebSockets included",
        clients.http2_streams,
    )
    refused = CounterMetricFamily(
        "blue_green_http2_refused",
        "Requests of HTTP/2 that were refused, by the setting whose limit was reached",
        labels=["reason"],
    )
    refused.add_metric(["max_connections"], clients.over_max_connections)
    refused.add_metric(["max_streams"], clients.over_max_streams)
    yield refused


def _traffic(site: Site) -> Iterator[Metric]:
    gate, name = site.gate, site.name
    yield _requests(name, gate.by_status)
    targets = [backend.target for backend in site.slots.backends]
    yield _gauge(
        "blue_green_requests_in_flight",
        "In-flight requests at backends",
        name,
        sum(target.in_flight for target in targets),
    )
    yield _gauge(
        "blue_green_tunnels",
        "Open streams: WebSockets, other upgrades, and event streams",
        name,
        sum(target.streams for target in targets),
    )
    yield _gauge("blue_green_requests_held", "Held requests", name, gate.held)
    yield _maintenance(name, is_on=site.served.maintenance is not None)
    yield from _buffers(name, site.served.buffered)
    holds = HistogramMetricFamily(
        "blue_green_hold_seconds",
        "How long held requests waited, whatever their outcome",
        labels=["site"],
    )
    holds.add_metric([name], cumulative(gate.queue.holds), gate.queue.holds.total)
    yield holds


def _maintenance(name: str, *, is_on: bool) -> Metric:
    text = "Whether the site is in maintenance"
    return _gauge("blue_green_maintenance", text, name, float(is_on))


def _buffers(name: str, use: BufferUse) -> Iterator[Metric]:
    now = GaugeMetricFamily(
        "blue_green_buffered_bytes",
        "What is buffered for slow clients now, in memory and on disk",
        labels=["site", "place"],
    )
    now.add_metric([name, "memory"], use.memory)
    now.add_metric([name, "disk"], use.disk)
    yield now
    bodies = CounterMetricFamily(
        "blue_green_buffered",
        "Requests received before they had a backend, and responses that a client took slowly",
        labels=["site", "kind"],
    )
    bodies.add_metric([name, "request"], use.requests)
    bodies.add_metric([name, "response"], use.responses)
    yield bodies


def _changes(site: Site) -> Iterator[Metric]:
    counts, name = site.history.counts, site.name
    swaps = CounterMetricFamily("blue_green_swaps", "Swaps, by outcome", labels=["site", "outcome"])
    for outcome in get_args(Result):  # Including 0, from which Prometheus sees the first rise.
        swaps.add_metric([name, outcome], counts.by_outcome[outcome])
    yield swaps
    phases = SummaryMetricFamily(
        "blue_green_swap_phase_seconds",
        "How long each phase of a swap took",
        labels=["site", "phase"],
    )
    for phase, count in sorted(counts.by_phase.items()):
        phases.add_metric([name, phase], count, counts.seconds[phase])
    yield phases
    restarts = CounterMetricFamily(
        "blue_green_backend_restarts", "Restarts of live backends", labels=["site", "slot"]
    )
    for slot in site.slots.both:
        restarts.add_metric([name, slot.name], slot.restarts)
    yield restarts


def _releases(site: Site) -> Iterator[Metric]:
    yield _ready(site.name, is_ready=not why_not_ready(site))
    releases = GaugeMetricFamily(
        "blue_green_release_info",
        "The release in each slot, and its state: live, candidate, draining or retiring",
        labels=["site", "slot", "revision", "state"],
    )
    for slot in site.slots.both:
        if slot.release is not None and (state := site.queue.state_of(slot)):
            releases.add_metric([site.name, slot.name, slot.release.revision, state], 1)
    yield releases


def _certificates(name: str, certificates: Sequence[HostCertificate]) -> Iterator[Metric]:
    expiry = GaugeMetricFamily(
        "blue_green_certificate_expiry_timestamp_seconds",
        "When the certificate of a host expires; missing if there is none",
        labels=["site", "host"],
    )
    failures = GaugeMetricFamily(
        "blue_green_certificate_consecutive_failures",
        "Failed attempts to obtain or renew the certificate of a host since the last success",
        labels=["site", "host"],
    )
    for one in certificates:
        if one.valid_until is not None:
            expiry.add_metric([name, one.host], one.valid_until.timestamp())
        failures.add_metric([name, one.host], one.failures)
    yield from (expiry, failures)


def _build() -> Metric:
    build = GaugeMetricFamily(
        "blue_green_build_info", "The version of the supervisor", labels=["version"]
    )
    build.add_metric([__version__], 1)
    return build


def _ready(name: str, *, is_ready: bool) -> Metric:
    return _gauge("blue_green_ready", "Whether the site is ready", name, float(is_ready))


def _gauge(metric: str, documentation: str, name: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(metric, documentation, labels=["site"])
    gauge.add_metric([name], value)
    return gauge
