"""The verdict: whether the traffic of a release shows that it is clearly worse than the old one.

Each of both has failed some share of its requests. The true share is what it would fail in the long
run. The new release is clearly worse if even the smallest true share that its requests are
compatible with is above the largest one of the old release, by more than a margin.

The numbers grow, and each look at them is another chance to be wrong. So the bounds are those of a
confidence sequence: with a probability of 1 - error, they hold at every moment, however often
anybody looks, and whatever makes them look. For a true share p, the likelihood ratio of a mixture
of all shares to p is a martingale; by Ville's inequality it ever exceeds 1 / error with a
probability of at most `error`. Shares for which it has done so are ruled out. (H. Robbins,
"Statistical methods related to the law of the iterated logarithm", Annals of Mathematical
Statistics 41, 1970; T. L. Lai, "On confidence sequences", Annals of Statistics 4, 1976. The mixture
is Jeffreys' prior, the beta distribution with 1/2 and 1/2.)

A response that has begun counts as good until it breaks off. Until then the new release looks
better than it is, so that a verdict may come later, but is no more likely to be wrong.

The bounds assume that requests are independent. In truth, failures come in clusters: a page that is
broken for one visitor fails many times. The margin and the least number of requests allow for that,
and so do limits for each client (`routing/client_limits.py`).
"""

import math

from blue_green.routing.results import Counts
from blue_green.system.printable import counted

ERROR = 0.01
"""The probability, at most, of a verdict on a release that is worse by no more than the margin."""
STEPS = 40
"""Halvings of an interval: to a millionth of a millionth."""
HOW_TO_TURN_IT_OFF = "verdict = false in [swap] turns this comparison off"


def is_clearly_worse(new: Counts, old: Counts, *, requests: int, margin: float) -> bool:
    """Whether the new release is clearly worse; False as long as there is too little to see.

    `requests` is how many the new release must have had, `margin` a difference of shares.
    """
    if new.requests < requests or new.share - old.share <= margin:
        return False  # The excess is at most that difference.
    return excess(new, old, ERROR) > margin


def not_counted(failures: int) -> str:
    """A line about failures over the limit for each client; empty if there were none."""
    return f"not counted: {counted(failures, 'more failure')} of the same clients\n" * bool(
        failures
    )


def excess(new: Counts, old: Counts, error: float) -> float:
    """By how much the true share of the new release is larger than that of the old one, at least.

    That is ever wrong with a probability of `error`, half of it for each bound. Negative if it may
    be smaller.
    """
    return lowest_share(new, error / 2) - highest_share(old, error / 2)


def lowest_share(counts: Counts, error: float) -> float:
    """The true share of failures is at least this, but for a probability of `error`."""
    low, high = 0.0, counts.share
    for _ in range(STEPS):
        middle = (low + high) / 2
        if evidence_against(middle, counts) > -math.log(error):
            low = middle
        else:
            high = middle
    return low


def highest_share(counts: Counts, error: float) -> float:
    """The true share of failures is at most this, but for a probability of `error`."""
    return 1 - lowest_share(Counts(counts.requests, counts.requests - counts.failed), error)


def evidence_against(share: float, counts: Counts) -> float:
    """The logarithm of the martingale: how much the results speak against this true share."""
    if share <= 0:
        return math.inf if counts.failed else 0.0
    good = counts.requests - counts.failed
    likelihood = counts.failed * math.log(share) + (good * math.log1p(-share) if good else 0.0)
    return _log_beta(counts.failed + 0.5, good + 0.5) - math.log(math.pi) - likelihood


def _log_beta(a: float, b: float) -> float:
    """The logarithm of the beta function; it is pi for 1/2 and 1/2."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
