"""Metrics of canaries and previews."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from blue_green.site.site import Site


def of_site(site: Site) -> Iterator[Metric]:
    """The share of clients that the candidate is for; nothing if it is for nobody."""
    if (trial := site.queue.trial) is None:
        return
    share = GaugeMetricFamily(
        "blue_green_trial_share",
        "The share of clients that the current canary is for, 0 to 1; 0 for a preview",
        labels=["site", "kind"],
    )
    share.add_metric([site.name, trial.plan.kind.value], trial.plan.percent / 100)
    yield share
