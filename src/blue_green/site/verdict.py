"""The verdict: whether the traffic of a release shows that it is clearly worse than the old one.

Each of both has failed some share of its requests. With a known confidence, the difference of the
two shares lies in Newcombe's hybrid score interval (R. G. Newcombe, "Interval estimation for the
difference between independent proportions: comparison of eleven methods", Statistics in Medicine
17, 1998, method 10), which is made of two Wilson score intervals. It holds for few requests and for
shares of 0 and 1, too, where the normal approximation does not. The new release is clearly worse if
even the lower bound of the difference is above a margin.

Each look at the numbers is another chance to be wrong. So there is a look only when there is a
quarter more to see, and the k-th one may be wrong with a probability of `ERROR` / k(k + 1). Over
all k this adds up to `ERROR` for one soak, however long it is (the union bound; K. K. G. Lan and
D. L. DeMets, Biometrika 70, 1983, spend an error over looks like this).

The intervals assume that requests are independent. In truth, failures come in clusters: a page that
is broken for one visitor fails many times. The margin and the least number of requests allow for
that.
"""

import math
from statistics import NormalDist

from blue_green.routing.results import Counts

ERROR = 0.001
"""The probability, at most, of a verdict on a release that fails no more than the margin."""
GROWTH = 1.25
"""How many times as many requests each look needs."""


def lower_bound(new: Counts, old: Counts, z: float) -> float:
    """How much more of its requests the new release fails than the old one, at least.

    `z` is the quantile of the normal distribution for the confidence. -1 without requests.
    """
    if not (new.requests and old.requests):
        return -1.0
    low, _ = wilson(new, z)
    _, high = wilson(old, z)
    return new.share - old.share - math.hypot(new.share - low, high - old.share)


def wilson(counts: Counts, z: float) -> tuple[float, float]:
    """The score interval for the share of requests that fail (E. B. Wilson, 1927)."""
    n, p = counts.requests, counts.share
    scale = 1 + z * z / n
    middle = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


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
        return lower_bound(new, old, quantile(self.looks)) > self._margin


def quantile(look: int) -> float:
    """`z` for this look: 1 is the first one."""
    return NormalDist().inv_cdf(1 - ERROR / (look * (look + 1)))
