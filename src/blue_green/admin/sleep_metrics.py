"""Metrics of sites that sleep."""

from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from blue_green.site.site import Site
from blue_green.site.state import SleepRecord


def of_site(site: Site) -> Iterator[Metric]:
    """Whether it is asleep, and how it has woken. Nothing for a site that never sleeps."""
    if site.settings.idle.after is None and site.sleep.is_awake:
        return
    record = site.state.sleep or SleepRecord()
    asleep = GaugeMetricFamily("blue_green_asleep", "Whether the site is asleep", labels=["site"])
    asleep.add_metric([site.name], float(site.sleep.is_asleep))
    yield asleep
    wakes = SummaryMetricFamily(
        "blue_green_wake_seconds",
        "How long the starts of a site took that requests have woken",
        labels=["site"],
    )
    wakes.add_metric([site.name], record.wakes, record.wake_seconds)
    yield wakes
    failures = CounterMetricFamily(
        "blue_green_failed_wakes", "Starts of a sleeping site that failed", labels=["site"]
    )
    failures.add_metric([site.name], record.failed_wakes)
    yield failures
