"""The metrics of the processes of a site."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from blue_green.site.site import Site

LABELS = ["site", "process"]


def of_site(site: Site) -> Iterator[Metric]:
    """What runs, and when each process with a schedule has run and will run.

    Nothing for a site without processes: there may be hundreds.
    """
    by_name = site.status.processes.by_name
    if not by_name:
        return
    running = GaugeMetricFamily(
        "blue_green_processes_running",
        "Running programs of a process, also those of the release before that still stop",
        labels=LABELS,
    )
    restarts = CounterMetricFamily(
        "blue_green_process_restarts",
        "Restarts of a process after it ended, since the last switch",
        labels=LABELS,
    )
    scheduled = []
    for name, instances in by_name.items():
        labels = [site.name, name]
        running.add_metric(labels, sum(one.process is not None for one in instances))
        restarts.add_metric(labels, sum(one.restarts for one in instances if not one.is_stopping))
        if any(not one.always_runs for one in instances):
            scheduled.append(name)
    yield from (running, restarts, *_of_schedules(site, scheduled))


def _of_schedules(site: Site, names: list[str]) -> Iterator[Metric]:
    began = GaugeMetricFamily(
        "blue_green_process_last_run_timestamp_seconds",
        "When the last run of a process with a schedule began; missing before the first",
        labels=LABELS,
    )
    took = GaugeMetricFamily(
        "blue_green_process_last_run_seconds",
        "How long the last run of a process with a schedule took; missing while it runs",
        labels=LABELS,
    )
    succeeded = GaugeMetricFamily(
        "blue_green_process_last_run_succeeded",
        "Whether the last run of a process with a schedule has succeeded; missing while it runs",
        labels=LABELS,
    )
    following = GaugeMetricFamily(
        "blue_green_process_next_run_timestamp_seconds",
        "When a process with a schedule runs next",
        labels=LABELS,
    )
    for name in names:
        labels = [site.name, name]
        last, moment = site.schedules.last_run(name), site.schedules.next_time(name)
        if last is not None and last.began is not None:
            began.add_metric(labels, last.began)
        if last is not None and last.seconds is not None:
            took.add_metric(labels, last.seconds)
            succeeded.add_metric(labels, float(last.outcome == "ok"))
        if moment is not None:
            following.add_metric(labels, moment.timestamp())
    yield from (began, took, succeeded, following)
