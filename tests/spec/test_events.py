"""A rule holds from the first observation on which it is within its bounds for as long as it must be sustained."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.analysis.events import first_crossing
from afterfit.spec import GENERALISED, MEMORISED, Streak, Threshold

values_strategy = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, math.nan]), max_size=25)
bounds = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


def by_definition(steps, values, rule: Threshold) -> int | None:
    """The min of { steps_i : all of the observations i, …, i + sustained − 1 are there and within the bounds }."""
    low = -math.inf if rule.at_least is None else rule.at_least
    high = math.inf if rule.at_most is None else rule.at_most
    for i in range(len(steps) - rule.sustained + 1):
        if all(low <= value <= high for value in values[i : i + rule.sustained]):
            return steps[i]
    return None


def streamed(steps, values, rule: Threshold) -> Streak:
    streak = Streak()
    for step, value in zip(steps, values, strict=True):
        streak = rule.advance(streak, step, value)
    return streak


@given(values_strategy, bounds, st.integers(1, 4), st.booleans())
def test_streaming_equals_the_definition_and_the_analysis(values, bound, sustained, from_below):
    steps = [10 * i for i in range(len(values))]
    side = {"at_least": bound} if from_below else {"at_most": bound}
    rule = Threshold(measure="m", sustained=sustained, **side)
    expected = by_definition(steps, values, rule)
    assert streamed(steps, values, rule).event == expected
    assert rule({"step": steps, "m": values}) == expected
    assert first_crossing(np.array(steps), np.array(values), sustained=sustained, **side) == expected


@given(values_strategy, bounds, bounds, st.integers(1, 3))
def test_a_band_must_hold_on_both_sides(values, one, other, sustained):
    steps = list(range(len(values)))
    rule = Threshold(measure="m", at_least=min(one, other), at_most=max(one, other), sustained=sustained)
    assert streamed(steps, values, rule).event == by_definition(steps, values, rule)


@given(values_strategy, st.integers(0, 25))
def test_a_streak_that_was_kept_goes_on_as_if_it_had_never_been_put_down(values, cut):
    steps = list(range(len(values)))
    rule = Threshold(measure="m", at_least=0.5, sustained=2)
    kept = Streak(*list(streamed(steps[:cut], values[:cut], rule)))
    for step, value in zip(steps[cut:], values[cut:], strict=True):
        kept = rule.advance(kept, step, value)
    assert kept == streamed(steps, values, rule)


def test_an_event_that_has_happened_stays():
    rule = Threshold(measure="m", at_least=0.9)
    assert streamed([0, 1, 2], [0.0, 0.95, 0.0], rule) == Streak(since=1, length=1, event=1)


@pytest.mark.parametrize("rule", [MEMORISED, GENERALISED])
def test_the_usual_rules_ask_for_99_percent(rule):
    observations = {"step": [0, 100, 200], rule.measure: [0.1, 0.9899, 0.99]}
    assert rule(observations) == 200
