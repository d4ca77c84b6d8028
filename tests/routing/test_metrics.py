"""Histograms."""

from blue_green.routing.metrics import Histogram


def test_a_histogram_counts_each_value_in_its_bucket() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 99.0):
        histogram.observe(value)
    assert (histogram.counts, histogram.total) == ([2, 1, 1], 102.0)
