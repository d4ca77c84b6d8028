"""Metrics of releases: response times and failed requests, by slot.

They begin at 0 when a release starts, as counters do after a restart.
"""

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from blue_green.routing.metrics import Histogram
from blue_green.site.site import Site

RESPONSE_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Fewer than we have, since each is a series of its own for each site and slot."""


def of_site(site: Site) -> Iterator[Metric]:
    times = HistogramMetricFamily(
        "blue_green_response_seconds",
        "How long backends took to begin their responses, streams excluded",
        labels=["site", "slot"],
    )
    requests = CounterMetricFamily(
        "blue_green_release_requests",
        "Requests at a release, without those answered 4xx and those that their client aborted",
        labels=["site", "slot"],
    )
    failed = CounterMetricFamily(
        "blue_green_release_failures",
        "Those that were answered 5xx, or not at all, or only in part",
        labels=["site", "slot"],
    )
    for slot in site.slots.both:
        if slot.release is None or slot.is_static:
            continue
        labels, results = [site.name, slot.name], slot.results
        coarse = results.times.coarser(RESPONSE_BOUNDS)
        times.add_metric(labels, cumulative(coarse), coarse.total)
        requests.add_metric(labels, results.counts.requests)
        failed.add_metric(labels, results.counts.failed)
    yield from (times, requests, failed)


def cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    """Buckets as Prometheus defines them: each includes the counts of all smaller ones."""
    bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts), strict=True))
