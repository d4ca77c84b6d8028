"""The results of releases in words."""

import pytest

from blue_green.site import result_text


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ({"requests": 0, "failed": 0, "p50": None, "p95": None}, "no requests"),
        (
            {"requests": 1, "failed": 1, "p50": 0.0123, "p95": 1.25},
            "1 request, 100% failed, p50 12 ms, p95 1.2 s",
        ),
        ({"requests": 2000, "failed": 1, "p50": None}, "2000 requests, under 0.1% failed"),
        (
            {"requests": 250, "failed": 1, "p50": 0.001, "p95": 0.001},
            "250 requests, 0.4% failed, p50 under 1 ms, p95 under 1 ms",
        ),
    ],
)
def test_results_are_one_short_line(results: dict[str, float], text: str) -> None:
    assert result_text.summary(results) == text


def test_a_receipt_of_an_older_version_has_no_results() -> None:
    assert list(result_text.of_receipt({})) == []


def test_a_receipt_names_both_releases_if_there_were_requests() -> None:
    none, some = {"requests": 0, "failed": 0}, {"requests": 4, "failed": 1}
    both = {"results": none, "previous_results": some}
    assert list(result_text.of_receipt(both)) == [
        "new release: no requests",
        "old release: 4 requests, 25% failed",
    ]
    assert (
        list(result_text.of_receipt({"seconds": {}, "results": none, "previous_results": none}))
        == []
    )


def test_a_receipt_of_a_canary_has_its_results_before_those_of_the_soak() -> None:
    some, more = {"requests": 4, "failed": 1}, {"requests": 8, "failed": 0}
    receipt = {
        "seconds": {"canary": 9.0},
        "trial_results": some,
        "trial_live_results": more,
        "results": more,
    }
    assert list(result_text.of_receipt(receipt)) == [
        "new release in its canary: 4 requests, 25% failed",
        "old release meanwhile: 8 requests, 0% failed",
        "new release: 8 requests, 0% failed",
    ]
