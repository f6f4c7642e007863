"""Verdicts follow from numbers by rules that were fixed before."""

import math

import pytest

from afterfit.analysis.results import Interval, Quantity
from afterfit.studies.rules import alike, all_of, all_runs, brief, direction, size


def quantity(estimate, low, high, n=10):
    return Quantity(estimate, Interval(low, high), n, n, 0, "made up")


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.1, 3, "reproduced"), (-3, -0.1, "not reproduced"), (-1, 1, "inconclusive"), (0, 1, "inconclusive")],
)
def test_a_direction_needs_the_whole_interval_on_its_side(low, high, verdict):
    assert direction("x", quantity((low + high) / 2, low, high)).verdict == verdict
    mirrored = direction("x", quantity(-(low + high) / 2, -high, -low), sign=-1)
    assert mirrored.verdict == verdict


def test_a_direction_may_have_another_bound_than_zero():
    assert direction("x", quantity(5, 4, 6), above=3).verdict == "reproduced"
    assert direction("x", quantity(5, 4, 6), above=7).verdict == "not reproduced"
    assert direction("x", quantity(5, 4, math.inf), above=3).verdict == "reproduced"


@pytest.mark.parametrize(
    ("estimate", "low", "high", "verdict"),
    [
        (1.0, 0.95, 1.05, "reproduced"),
        (1.0, 0.7, 1.3, "inconclusive"),  # three times as long as the band
        (1.2, 1.05, 1.3, "inconclusive"),  # touches the band, and lies outside
        (2.0, 1.5, 2.5, "not reproduced"),
        (1.0, 0.9, math.inf, "inconclusive"),
    ],
)
def test_a_size_needs_an_estimate_in_its_band_and_an_interval_that_can_tell(estimate, low, high, verdict):
    assert size("x", quantity(estimate, low, high), (0.9, 1.1)).verdict == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.01, 0.01, "reproduced"),
        (0.001, 0.02, "reproduced"),  # a difference that is sure, and small
        (-0.01, 0.03, "inconclusive"),
        (0.03, 0.05, "not reproduced"),
        (-0.5, 0.5, "inconclusive"),  # that no difference is seen does not make them alike
    ],
)
def test_things_are_alike_when_the_whole_interval_lies_within_the_margin(low, high, verdict):
    assert alike("x", quantity((low + high) / 2, low, high), (-0.02, 0.02)).verdict == verdict
    assert alike("x", None, (-0.02, 0.02)).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("count", "n", "verdict"),
    [
        (10, 10, "reproduced"),
        (9, 10, "reproduced"),
        (2, 2, "inconclusive"),
        (5, 10, "not reproduced"),
        (0, 0, "inconclusive"),
    ],
)
def test_all_runs_needs_enough_of_them(count, n, verdict):
    assert all_runs("x", count, n).verdict == verdict


def test_what_the_runs_do_not_determine_is_inconclusive():
    assert direction("x", None).verdict == size("x", None, (0, 1)).verdict == "inconclusive"
    assert direction("x", quantity(math.nan, -math.inf, math.inf)).verdict == "inconclusive"


def test_a_claim_of_parts_is_as_good_as_its_worst():
    good, open_, bad = (direction("x", quantity(m, m - 1, m + 1)) for m in (2, 0, -2))
    assert all_of(good, good).verdict == "reproduced"
    assert all_of(good, open_).verdict == "inconclusive"
    assert all_of(open_, bad, good).verdict == "not reproduced"
    assert all_of(good, bad).because.count("x is") == 2


@pytest.mark.parametrize(("value", "text"), [
    (-0.0809312, "−0.0809"), (14_360.4, "14,360"), (0.0, "0"), (float("inf"), "∞"), (float("-inf"), "−∞"),
])  # fmt: skip
def test_sentences_have_three_digits(value, text):
    assert brief(value) == text
