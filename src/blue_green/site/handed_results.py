"""The results of the live release in an upgrade in place."""

from blue_green.routing.results import Results
from blue_green.system.handover import HandedResults


def hand_over(results: Results) -> HandedResults:
    return HandedResults(
        times=tuple(results.times.counts),
        seconds=results.times.total,
        responses=results.responses,
        rejected=results.rejected,
        errors=results.errors,
        broken=results.broken,
        unanswered=results.unanswered,
        given_up=tuple(results.given_up.counts),
    )


def take_over(handed: HandedResults | None) -> Results:
    """The results so far; new ones if the program before had none, or other buckets."""
    results = Results()
    if handed is None or len(handed.times) != len(results.times.counts):
        return results
    results.times.counts[:] = handed.times
    results.times.total = handed.seconds
    results.responses, results.rejected = handed.responses, handed.rejected
    results.errors, results.broken = handed.errors, handed.broken
    results.unanswered = handed.unanswered
    results.given_up.counts[:] = handed.given_up or results.given_up.counts
    return results
