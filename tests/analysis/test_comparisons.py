"""Differences by seed, effect sizes and adjusted p values, by enumeration and closed forms."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from afterfit.analysis.comparisons import hedges_g, holm, paired_difference, paired_rank_test, percentile_t
from afterfit.analysis.proportions import fractional_order_interval, share
from afterfit.analysis.times import Times


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=9))
def test_p_is_the_share_of_all_signs_with_as_large_a_sum(differences):
    found = paired_difference(differences, np.zeros(len(differences)), draws=999)
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product([1, -1], repeat=len(differences))]
    assert found.p == pytest.approx(np.mean(np.array(sums) >= abs(sum(differences))))
    assert found.estimate == pytest.approx(np.mean(differences))


def test_many_pairs_have_random_signs_whose_p_is_near_that_of_scipy():
    draws = np.random.default_rng(0)
    a, b = draws.normal(0.4, 1, 25), draws.normal(0, 1, 25)
    oracle = stats.permutation_test((a, b), lambda x, y: np.mean(x - y), permutation_type="samples", rng=1)
    found = paired_difference(a, b)
    assert found.p == pytest.approx(oracle.pvalue, abs=5 * np.sqrt(2 * oracle.pvalue / 9999))
    assert "9,999 random rearrangements, seed 0" in found.method


def test_the_same_seed_gives_the_same_answer():
    a, b = np.random.default_rng(3).normal(size=(2, 20))
    assert paired_difference(a, b, seed=5) == paired_difference(a, b, seed=5)
    assert paired_difference(a, b, seed=5).interval != paired_difference(a, b, seed=6).interval


def test_the_interval_is_that_of_resampled_t_statistics():
    values = np.random.default_rng(2).exponential(size=12)
    samples = values[np.random.default_rng(7).integers(0, 12, (999, 12))]
    t = (samples.mean(axis=1) - values.mean()) / (samples.std(axis=1, ddof=1) / np.sqrt(12))
    low, high = np.quantile(t, [0.025, 0.975], method="inverted_cdf")
    interval, warning = percentile_t(values, 0.95, 999, 7)
    error = stats.sem(values)
    assert warning is None
    assert tuple(interval) == pytest.approx((values.mean() - high * error, values.mean() - low * error))


@given(st.lists(st.floats(-100, 100), min_size=4, max_size=12, unique=True), st.floats(0.1, 10), st.floats(-5, 5))
def test_the_interval_moves_and_stretches_with_the_values(values, scale, shift):
    values = np.array(values).round(3)
    if np.ptp(values) < 1:
        return
    low, high = percentile_t(values, 0.9, 99, 0)[0]
    moved = percentile_t(scale * values + shift, 0.9, 99, 0)[0]
    assert tuple(moved) == pytest.approx((scale * low + shift, scale * high + shift), rel=1e-6, abs=1e-6)


def test_values_that_bound_nothing_are_warned_of():
    assert percentile_t(np.ones(5), 0.95, 99, 0)[1] == "all values are equal: they bound nothing"
    interval, warning = percentile_t(np.array([0.0] * 19 + [1.0]), 0.95, 999, 0)
    assert warning == "too few different values to bound the mean"
    assert np.isinf(interval.high)


def test_student_s_interval_is_that_of_scipy_and_has_ends_where_resamples_have_no_spread():
    a, b = [5.0, 5.0, 5.0, 5.25], [5.0, 5.0, 5.0, 5.0]
    found = paired_difference(a, b, interval="student").interval
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert tuple(found) == pytest.approx((expected.low, expected.high))
    assert not np.isfinite(tuple(paired_difference(a, b).interval)).all()
    assert "bound nothing" in paired_difference(b * 2, b * 2, interval="student").warning


def test_censored_pairs_are_compared_up_to_tau_only_if_all_were_followed():
    a = Times([300, 500, 900, 900], [False, False, True, True], seed=np.arange(4))
    b = Times([200, 400, 600, 900], [False, False, False, True], seed=np.arange(4))
    found = paired_difference(a, b[np.array([3, 1, 0, 2])], tau=900)
    assert found.estimate == np.mean([100, 100, 300, 0])
    assert found.censored == (2, 1)
    with pytest.raises(ValueError, match="3 of 8 runs are censored: give tau, or use paired_rank_test"):
        paired_difference(a, b)
    with pytest.raises(ValueError, match="2 of 4 runs were censored before tau = 1000"):
        paired_difference(a, b, tau=1000)


def test_pairs_that_are_too_few_are_refused_or_warned_of():
    with pytest.raises(ValueError, match="two pairs at least"):
        paired_difference([1], [2])
    with pytest.raises(ValueError, match="as many runs in both arms"):
        paired_difference([1, 2], [2])
    assert "p cannot come below 0.062" in paired_difference([1, 2, 3, 4, 6], [0, 0, 0, 0, 0]).warning


def scores_by_definition(time, censored):
    """1 - S(t) - S(t-), or 1 - S(t) when censored, in plain loops."""

    def survival(at):
        value = 1.0
        for t in sorted({t for t, c in zip(time, censored, strict=True) if not c}):
            if at(t):
                events = sum(1 for u, c in zip(time, censored, strict=True) if u == t and not c)
                value *= 1 - events / sum(1 for u in time if u >= t)
        return value

    return [
        1 - survival(lambda t, u=u: t <= u) - (0 if c else survival(lambda t, u=u: t < u))
        for u, c in zip(time, censored, strict=True)
    ]


@given(st.lists(st.tuples(*[st.integers(1, 6), st.booleans()] * 2), min_size=2, max_size=8))
def test_the_paired_rank_test_flips_signs_of_prentice_wilcoxon_scores(rows):
    a = Times([r[0] for r in rows], [r[1] for r in rows])
    b = Times([r[2] for r in rows], [r[3] for r in rows])
    scores = scores_by_definition([*a.time, *b.time], [*a.censored, *b.censored])
    assert sum(scores) == pytest.approx(0, abs=1e-9)
    differences = np.subtract(scores[: len(rows)], scores[len(rows) :])
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product([1, -1], repeat=len(rows))]
    found = paired_rank_test(a, b, draws=999)
    assert found.statistic == pytest.approx(differences.sum(), abs=1e-9)
    # Sums that are equal may differ by rounding, which a relative tolerance does not see at 0.
    if abs(differences.sum()) > 1e-9:
        assert found.p == pytest.approx(np.mean(np.array(sums) >= abs(differences.sum()) * (1 - 1e-9)))


def test_the_paired_rank_test_tells_the_share_of_pairs_whose_order_is_known():
    a = Times([5, 6, 9, 9, 2, 3], [False, False, True, True, True, False])
    found = paired_rank_test(a, [4, 5, 8, 10, 7, 3.0])
    assert found.estimate == 1.0  # three of three; censored before the other, or equal, is unknown
    assert found.interval == share(3, 3).interval
    unknown = paired_rank_test(([1, 1], [True, True]), ([1, 1], [True, True]))
    assert np.isnan(unknown.estimate)
    assert (unknown.p, unknown.interval) == (1.0, None)


def test_without_censoring_and_ties_prentice_wilcoxon_scores_are_ranks():
    """S(t) + S(t-) falls by 2/n a rank, so the scores are (2 r - n - 1)/n."""
    x = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6])
    found = paired_rank_test(x[:3], x[3:])
    ranks = stats.rankdata(x)
    assert found.statistic == pytest.approx(np.sum(ranks[:3] - ranks[3:]) * 2 / 6)


def test_hedges_g_is_the_corrected_difference_with_bonetts_interval():
    draws = np.random.default_rng(0)
    a, b = draws.normal(1, 2, 8), draws.normal(0, 1, 12)
    found = hedges_g(a, b)
    spread = (a.var(ddof=1) + b.var(ddof=1)) / 2
    d = (a.mean() - b.mean()) / np.sqrt(spread)
    assert found.estimate == pytest.approx(d * (1 - 3 / (4 * 18 - 1)))
    variance = d**2 * (a.var(ddof=1) ** 2 / 7 + b.var(ddof=1) ** 2 / 11) / (8 * spread**2)
    variance += (a.var(ddof=1) / 7 + b.var(ddof=1) / 11) / spread
    assert found.interval.high - d == pytest.approx(stats.norm.ppf(0.975) * np.sqrt(variance))
    assert np.isnan(found.p)


def test_pairing_narrows_hedges_g_when_seeds_agree_and_leaves_it_when_they_do_not():
    draws = np.random.default_rng(1)
    seed, noise = draws.normal(0, 3, 30), draws.normal(0, 0.5, (2, 30))
    a, b = 1 + seed + noise[0], seed + noise[1]
    paired, unpaired = hedges_g(a, b, by_seed=True), hedges_g(a, b)
    assert paired.statistic == unpaired.statistic
    assert paired.interval.high - paired.interval.low < (unpaired.interval.high - unpaired.interval.low) / 2


@given(st.floats(0.1, 100), st.floats(-50, 50))
def test_hedges_g_has_no_units(scale, shift):
    a, b = np.array([5.0, 6.0, 7.5, 8.0]), np.array([4.0, 5.0, 6.0, 7.0])
    assert hedges_g(scale * a + shift, scale * b + shift).estimate == pytest.approx(hedges_g(a, b).estimate)


def test_a_spread_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no spread to measure by"):
        hedges_g([1, 1], [2, 2])
    with pytest.raises(ValueError, match="two runs an arm at least"):
        hedges_g([1], [2, 2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_rule_rejects(values):
    names = [f"m{i}" for i in range(len(values))]
    found = holm(dict(zip(names, values, strict=True)))
    order, going = np.argsort(values, kind="stable"), True
    for place, i in enumerate(order):
        going = going and values[i] * (len(values) - place) <= 0.05
        assert found.rejected[names[i]] == going
        assert found.p[names[i]] >= values[i]


def test_p_values_outside_0_and_1_are_refused():
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        holm({"a": 1.2})
    assert str(holm({"a": 0.01, "b": 0.5})) == "a 0.02 *, b 0.5 (Holm, * at 0.05 for all together)"


@given(st.integers(1, 60), st.data())
def test_a_share_has_the_exact_interval_of_scipy(n, data):
    count = data.draw(st.integers(0, n))
    oracle = stats.binomtest(count, n).proportion_ci(0.9, "exact")
    assert tuple(share(count, n, level=0.9).interval) == pytest.approx((oracle.low, oracle.high), abs=1e-9)


def test_a_share_of_nothing_is_refused():
    with pytest.raises(ValueError, match="not 0 of 0"):
        share(0, 0)


def test_fractional_ranks_of_the_median_of_ten_lie_between_the_second_and_third_of_each_side():
    """Ranks 2 and 9 hold the median with 97.9 %, 3 and 8 with 89.1 %."""
    low, high = fractional_order_interval(np.arange(1.0, 11.0), 0.5, 0.95)
    assert 2 < low < 3
    assert high == pytest.approx(11 - low)
    assert fractional_order_interval(np.arange(1.0, 6.0), 0.1, 0.95).low == -np.inf
    assert fractional_order_interval(np.array([-np.inf, -np.inf, 1, 2, 3, 4, 5, 6, 7, 8.0]), 0.5, 0.95).low == -np.inf


def test_results_print_in_one_line():
    found = paired_difference([5000, 5200, 6100, 7000, 5600, 5900], [4000, 4500, 4700, 5100, 5000, 5100])
    assert str(found).startswith("1066.67 [")
    assert str(found).endswith(
        "p = 0.0312, paired difference, p from all 64 rearrangements, percentile-t interval, n = 6 + 6"
    )
    assert "\n" not in str(found)
