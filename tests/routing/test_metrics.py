"""Histograms."""

from blue_green.routing.metrics import Histogram


def test_a_histogram_counts_each_value_in_its_bucket() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 99.0):
        histogram.observe(value)
    assert (histogram.counts, histogram.total) == ([2, 1, 1], 102.0)


def test_coarser_buckets_have_the_same_values() -> None:
    histogram = Histogram((1.0, 2.0, 3.0, 4.0))
    for value in (0.5, 1.5, 2.5, 3.5, 99.0):
        histogram.observe(value)
    coarser = histogram.coarser((2.0, 3.0))
    assert (coarser.counts, coarser.total) == ([2, 1, 2], histogram.total)


def test_a_quantile_is_in_the_bucket_of_the_value() -> None:
    histogram = Histogram((1.0, 2.0, 4.0))
    assert histogram.quantile(0.5) is None
    for value in (0.5, 1.5, 3.0, 3.5):
        histogram.observe(value)
    assert histogram.quantile(0.25) == 1.0
    assert 1.0 < (histogram.quantile(0.5) or 0) < 2.0
    assert 2.0 < (histogram.quantile(0.95) or 0) < 4.0
