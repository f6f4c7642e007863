"""Phases and trends: closed forms, every boundary, and simulated runs whose phase is known."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from afterfit.analysis.phases import Phase, PhaseRules, phase_of, trend_of


def run(train, test=None, **measures):
    """The observations of a run every 100 steps."""
    record = {"step": np.arange(len(train)) * 100, "train/accuracy": np.asarray(train, float)}
    if test is not None:
        record["test/accuracy"] = np.asarray(test, float)
    return record | {name.replace("__", "/"): np.asarray(values, float) for name, values in measures.items()}


def sigmoid(steps, middle, width):
    return 1 / (1 + np.exp(-(steps - middle) / width))


def grokking(n=60, fitted=5.0, generalised=40.0):
    """A run that memorises at one observation and generalises at another, with RNC1 falling along the latter."""
    at = np.arange(n, dtype=float)
    return run(
        sigmoid(at, fitted, 0.5), 0.1 + 0.9 * sigmoid(at, generalised, 1.5), train__loss=np.exp(-at / 5) + 1e-3,
        train__rnc1=0.6 * np.exp(-np.maximum(at - 5, 0) / 12), weight_norm=40 - 0.2 * at,
    )  # fmt: skip


def until(record, n):
    return {name: values[:n] for name, values in record.items()}


def name(record, **rules):
    return phase_of(record, PhaseRules(**rules)).name


# Simulated runs


def test_a_run_that_groks_goes_through_its_phases_in_order():
    record = grokking()
    seen = [name(until(record, n)) for n in range(1, 61)]
    changes = [seen[0], *(after for before, after in pairwise(seen) if before != after)]
    assert changes == ["fitting", "memorised", "transition", "generalised"]
    known = 5 + 0.5 * np.log(0.99 / 0.01)  # where the training accuracy passes .99
    assert seen.index("memorised") == int(np.ceil(known))
    passes = 40 + 1.5 * np.log((0.89 / 0.9) / (1 - 0.89 / 0.9))
    assert seen.index("generalised") == int(np.ceil(passes))


def test_a_run_that_collapses_alone_is_told_from_one_that_waits():
    at = np.arange(40)
    waiting = run(np.ones(40), np.full(40, 0.1), train__rnc1=np.full(40, 0.5), train__spectral_entropy=0.7 - 0.001 * at)
    assert name(waiting) == "memorised"
    # Truong et al.'s MLP control: entropy from .76 to .15, and nothing on the test set
    alone = waiting | {"train/spectral_entropy": np.linspace(0.76, 0.15, 40)}
    phase = phase_of(alone)
    assert phase.name == "collapsed without generalising"
    assert phase.because.startswith(
        "spectral entropy is 0.15, at most 0.5 of its largest value 0.76, and test accuracy"
    )
    assert name(waiting | {"train/rnc1": np.geomspace(0.5, 0.02, 40)}) == "collapsed without generalising"


@pytest.mark.parametrize(
    ("loss", "diverges"),
    [
        ([1.0, 0.1, 0.01, np.nan], True),
        ([1.0, 0.1, 0.01, np.inf], True),
        ([1.0, 0.1, 0.01, 1.01], True),  # 101 times its lowest, and above its first
        ([1.0, 0.1, 0.01, 0.99], False),  # 99 times
        ([2.0, 0.1, 0.01, 1.01], False),  # below its first: forgetting, no divergence
        ([0.001, 1.0], False),  # from the start a loss may rise for a while
    ],
)
def test_divergence_is_a_loss_that_is_no_number_or_far_above_its_lowest_and_its_first(loss, diverges):
    assert (name(run(np.zeros(len(loss)), train__loss=loss)) == "diverging") is diverges


def test_a_weight_that_is_no_number_is_a_divergence_and_a_split_that_was_left_out_is_none():
    record = run([0.5, 0.5, 0.5], [0.1, 0.1, 0.1], train__loss=[1.0, 0.9, 0.8], weight_norm=[1.0, 1.0, np.nan])
    assert name(record) == "diverging"
    left_out = run([0.5, 0.5, np.nan], [0.1, 0.1, 0.1], train__loss=[1.0, 0.9, np.nan])
    assert name(left_out) == "fitting"
    nothing_is_a_number = run([0.5, 0.5, np.nan], [0.1, 0.1, np.nan], train__loss=[1.0, 0.9, np.nan])
    assert name(nothing_is_a_number) == "diverging"


# Boundaries


@pytest.mark.parametrize(
    ("train", "test", "phase"),
    [
        ([0.98999], [0.99], "fitting"),
        ([0.99], [0.0], "memorised"),
        ([0.99], [0.98999], "memorised"),
        ([0.99], [0.99], "generalised"),
        ([1.0, 0.5], [1.0, 0.2], "generalised"),  # it was there
        ([1.0, 1.0], [0.125, 0.1875], "transition"),
        ([1.0, 1.0], [0.125, 0.175], "memorised"),
        ([1.0, 1.0], [0.3, 0.1], "memorised"),
    ],
)
def test_a_phase_begins_at_its_bound(train, test, phase):
    assert name(run(train, test)) == phase


def test_a_rise_of_exactly_the_bound_is_no_transition():
    assert name(run(np.ones(2), [0.125, 0.1875]), rise=0.0625) == "memorised"
    assert name(run(np.ones(2), [0.125, 0.1875]), rise=0.0624) == "transition"


def test_a_rise_before_the_window_is_over():
    test = [0.1, 0.5, *[0.5] * 9]
    assert name(run(np.ones(11), test), window=11) == "transition"
    assert name(run(np.ones(11), test), window=10) == "memorised"


def test_a_measure_that_is_exactly_at_its_share_has_collapsed():
    record = run(np.ones(2), [0.1, 0.1], train__rnc1=[0.5, 0.025])
    assert name(record, spread_share=0.05) == "collapsed without generalising"
    assert name(record, spread_share=0.0499) == "memorised"


def test_a_run_that_has_generalised_in_part_is_not_one_that_collapsed_without_it():
    for test, phase in ((0.494, "collapsed without generalising"), (0.495, "memorised"), (0.97, "memorised")):
        assert name(run(np.ones(12), np.full(12, test), train__rnc1=np.geomspace(0.5, 0.01, 12))) == phase


# What is missing


def test_without_what_a_rule_needs_it_says_so():
    assert phase_of({"step": np.array([])}) == Phase("unknown", "nothing was observed yet")
    assert phase_of({"step": np.array([0])}) == Phase("unknown", "training accuracy is not observed")
    assert "without test data more cannot be told" in phase_of(run([1.0])).because
    assert name(run([np.nan], [0.5])) == "unknown"


def test_single_values_that_are_no_numbers_change_nothing():
    record, gaps = grokking(), grokking()
    for measure in ("train/accuracy", "test/accuracy", "train/rnc1"):
        gaps[measure][-1] = np.nan
    shorter = until(record, 59)
    assert phase_of(gaps).name == phase_of(shorter).name
    waiting = run(np.ones(12), [*[0.1] * 11, np.nan], train__rnc1=[*[0.5] * 11, np.nan])
    assert name(waiting) == "memorised"
    assert "nan" not in str(phase_of(waiting))


def test_one_observation_has_a_phase_and_no_trend():
    assert "over the last observation," in str(phase_of(run([1.0], [0.1])))
    trend = trend_of(np.array([0]), np.array([0.3]))
    assert (trend.direction, trend.last, trend.first, trend.n) == ("unknown", 0.3, 0.3, 1)
    assert str(trend) == "0.3 (fewer than 5 observations)"
    assert str(trend_of(np.array([]), np.array([]))) == "nan (fewer than 5 observations)"


# Rules


def test_bounds_are_those_of_the_declared_events():
    rules = [
        {"name": "memorised", "measure": "train/accuracy", "at_least": 0.9},
        {"name": "generalised", "measure": "test/accuracy", "at_least": 0.85},
        {"name": "tau_2", "measure": "train/rnc1", "at_most": 0.01},
    ]
    assert PhaseRules.declared(rules) == PhaseRules(memorised=0.9, generalised=0.85)
    assert PhaseRules.declared([]) == PhaseRules()
    elsewhere = [{"name": "generalised", "measure": "test/loss", "at_least": 0.1}]
    assert PhaseRules.declared(elsewhere) == PhaseRules()


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"window": 1}, "window = 1: must be 2 observations or more"),
        ({"rise": 0.0}, "rise = 0.0: must be above 0 and at most 1"),
        ({"memorised": 99}, "memorised = 99: must be above 0"),
        ({"spread_share": float("nan")}, "spread_share = nan"),
        ({"divergence": 1.0}, "divergence = 1.0: must be above 1"),
    ],
)
def test_bounds_that_mean_nothing_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        PhaseRules(**bounds)


# Trends


def test_the_slope_is_the_median_of_all_slopes_and_an_outlier_does_not_move_it():
    steps = np.arange(0, 900, 100)
    values = 2.0 + 0.003 * steps
    assert trend_of(steps, values).slope == pytest.approx(3.0)
    values[4] = 1e6
    assert trend_of(steps, values).slope == pytest.approx(3.0)
    assert trend_of(steps, values).direction == "rising"


# Of n values in random order, 1, n − 1, … have 0, 1, … inversions, and as many have the most. Two-sided p < .05 leaves
# the two extreme orders of 120, and of 720 those with at most one inversion or one short of all: 2 (1 + 5).
@pytest.mark.parametrize(("n", "share"), [(4, 0), (5, 2 / 120), (6, 12 / 720)])
def test_by_chance_a_trend_is_seen_as_often_as_kendalls_exact_distribution_says(n, share):
    steps = np.arange(n)
    found = [trend_of(steps, np.array(order, float)).direction for order in permutations(range(n))]
    assert np.mean([each in ("rising", "falling") for each in found]) == pytest.approx(share)


def test_a_trend_is_blind_to_the_scale_of_the_measure():
    steps, draw = np.arange(0, 1_000, 100), np.random.default_rng(0)
    values = np.exp(-np.arange(10) / 3) + 0.01 * draw.random(10)
    plain, scaled = trend_of(steps, values), trend_of(steps, 1e-12 * values)
    assert (plain.direction, plain.p) == (scaled.direction, scaled.p) == ("falling", plain.p)
    assert scaled.slope == pytest.approx(1e-12 * plain.slope)


def test_only_the_window_counts_and_what_is_no_number_is_passed_over():
    steps, values = np.arange(30), np.concatenate([np.linspace(5, 0, 20), np.linspace(0, 1, 10)])
    assert trend_of(steps, values, window=10).direction == "rising"
    assert trend_of(steps, values, window=30).direction == "falling"
    values[25] = np.nan
    trend = trend_of(steps, values, window=9)
    assert (trend.n, trend.first, trend.last, trend.direction) == (9, 0.0, 1.0, "rising")


def test_a_measure_that_does_not_change_is_flat():
    assert str(trend_of(np.arange(5), np.full(5, 2.0))) == "2, flat (+0 per 1,000 steps, p = 1)"
