"""The verdict: whether the traffic of a release shows that it is clearly worse than the old one.

Each of both has failed some share of its requests. The true share is what it would fail in the long
run. The new release is clearly worse if even the smallest true share that its requests are
compatible with is above the largest one of the old release, by more than a margin.

These bounds are the Chernoff bounds of the binomial distribution (W. Hoeffding, "Probability
inequalities for sums of bounded random variables", Journal of the American Statistical Association
58, 1963, theorem 1): they hold for any number of requests and any share. Approximate intervals are
narrower, but not safe where a verdict matters most, with few requests and hardly any failures: with
a margin of 0, the lower bound of Newcombe's hybrid score interval (1998, method 10) would take back
one of 40 good releases.

Each look at the numbers is another chance to be wrong. So there is a look only when the requests
are half as many again, and the k-th one may be wrong with a probability of `ERROR` / k(k + 1). Over
all k this adds up to `ERROR`, however long it goes on (the union bound; K. K. G. Lan and D. L.
DeMets, Biometrika 70, 1983, spend an error over looks like this).

The bounds assume that requests are independent. In truth, failures come in clusters: a page that is
broken for one visitor fails many times. The margin and the least number of requests allow for that.
"""

import math

from blue_green.routing.results import Counts

ERROR = 0.01
"""The probability, at most, of a verdict on a release that is worse by no more than the margin."""
GROWTH = 1.5
"""How many times as many requests each look needs."""
STEPS = 40
"""Halvings of an interval: to a millionth of a millionth."""
HOW_TO_TURN_IT_OFF = "verdict = false in [swap] turns this comparison off"


class Verdict:
    """Looks at the growing numbers of one soak."""

    def __init__(self, *, requests: int, margin: float) -> None:
        """`requests` is how many the new release must have had, `margin` a difference of shares."""
        self._least = requests
        self._margin = margin
        self.looks = 0
        """How many there were."""
        self._seen = 0
        """How many requests there were at the last look."""

    def is_clearly_worse(self, new: Counts, old: Counts, *, is_last: bool = False) -> bool:
        """Whether the new release is clearly worse; False as long as there is too little to see.

        `is_last`: there will be no more requests.
        """
        enough = self._seen + 1 if is_last else math.ceil(self._seen * GROWTH)
        if new.requests < max(self._least, enough):
            return False
        self.looks, self._seen = self.looks + 1, new.requests
        return excess(new, old, ERROR / (self.looks * (self.looks + 1))) > self._margin


def excess(new: Counts, old: Counts, error: float) -> float:
    """By how much the true share of the new release is larger than that of the old one, at least.

    That is wrong with a probability of `error`, half of it for each bound. Negative if it may be
    smaller.
    """
    return lowest_share(new, error / 2) - highest_share(old, error / 2)


def lowest_share(counts: Counts, error: float) -> float:
    """The true share of failures is at least this, but for a probability of `error`."""
    low, high = 0.0, counts.share
    for _ in range(STEPS):
        middle = (low + high) / 2
        if counts.requests * divergence(counts.share, middle) > -math.log(error):
            low = middle
        else:
            high = middle
    return low


def highest_share(counts: Counts, error: float) -> float:
    """The true share of failures is at most this, but for a probability of `error`."""
    return 1 - lowest_share(Counts(counts.requests, counts.requests - counts.failed), error)


def divergence(share: float, true: float) -> float:
    """Kullback and Leibler's divergence of two shares, where the first one is the larger one."""
    if true <= 0:
        return math.inf if share > 0 else 0.0
    rest = (1 - share) * math.log((1 - share) / (1 - true)) if share < 1 else 0.0
    return share * math.log(share / true) + rest
