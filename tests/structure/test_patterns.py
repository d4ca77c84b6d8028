"""No regular expression of the program takes more than linear time, whatever the input.

The time is that of this thread, so that a busy machine makes no difference. It is judged only where
it is far more than a linear pattern takes: squared, the longer input would take seconds.
"""

import pytest

from tests.support.linear_time import LONG, SHORT, check
from tests.support.patterns import Used, all_used, hard_inputs


@pytest.mark.parametrize("used", all_used(), ids=str)
def test_no_pattern_backtracks_more_than_linearly(used: Used) -> None:
    inputs = zip(hard_inputs(used, SHORT), hard_inputs(used, LONG), strict=True)
    for short, long in inputs:
        check(str(used), used.run, short, long)
