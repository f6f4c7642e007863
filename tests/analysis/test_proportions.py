"""Intervals of shares against SciPy's, and at the ends."""

import pytest
from scipy.stats import binomtest

from afterfit.analysis.proportions import share, wilson


@pytest.mark.parametrize(("count", "n"), [(0, 1), (1, 1), (0, 20), (3, 7), (8, 10), (499, 1000)])
@pytest.mark.parametrize("level", [0.5, 0.95])
def test_shares_have_the_intervals_of_scipy(count, n, level):
    for method, found in (
        ("wilson", wilson(count / n, n, level=level)),
        ("exact", share(count, n, level=level).interval),
    ):
        expected = binomtest(count, n).proportion_ci(level, method=method)
        assert tuple(found) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_mean_of_shares_lies_within_its_wilson_interval_and_that_within_zero_and_one():
    for estimate in (0.0, 0.05, 1 / 3, 0.999, 1.0):
        interval = wilson(estimate, 3)
        assert 0 <= interval.low <= estimate <= interval.high <= 1


@pytest.mark.parametrize(("estimate", "n"), [(-0.1, 5), (1.1, 5), (0.5, 0), (float("nan"), 5)])
def test_no_share_is_refused(estimate, n):
    with pytest.raises(ValueError, match="a share needs"):
        wilson(estimate, n)
