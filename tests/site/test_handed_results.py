"""The results of a release survive an upgrade in place."""

import attrs

from blue_green.routing.results import Results
from blue_green.site import handed_results


def test_results_are_the_same_after_an_upgrade() -> None:
    results = Results(responses=9, rejected=1, errors=2, broken=1, unanswered=3)
    results.add(500, 0.2)
    results.given_up.counts[20] = 3
    after = handed_results.take_over(handed_results.hand_over(results))
    assert attrs.asdict(after) == attrs.asdict(results)


def test_results_begin_anew_after_a_program_with_other_buckets_or_none() -> None:
    handed = handed_results.hand_over(Results(responses=9))
    for other in (attrs.evolve(handed, times=(1, 2)), None):
        assert handed_results.take_over(other).responses == 0
