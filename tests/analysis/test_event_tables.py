"""When something first happened, and what is not known about it."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from afterfit.analysis.events import first_crossing, table

NAN = np.nan


def by_hand(steps, values, bound, sustained):
    """The definition, one observation after the other."""
    for i in range(len(values) - sustained + 1):
        if all(value >= bound for value in values[i : i + sustained]):
            return int(steps[i])
    return None


VALUES = st.lists(st.sampled_from([0.0, 0.5, 1.0, NAN, np.inf, -np.inf]), max_size=12)


@given(values=VALUES, sustained=st.integers(1, 4), gaps=st.data())
def test_a_crossing_is_its_definition(values, sustained, gaps):
    widths = gaps.draw(st.lists(st.integers(1, 100), min_size=len(values), max_size=len(values)))
    steps = np.cumsum(np.array(widths, dtype=int))
    assert first_crossing(steps, np.array(values), at_least=0.5, sustained=sustained) == by_hand(
        steps, values, 0.5, sustained
    )


@given(values=VALUES, sustained=st.integers(1, 4))
def test_at_most_is_at_least_of_the_mirrored_values(values, sustained):
    steps, values = np.arange(len(values)), np.array(values)
    mirrored = first_crossing(steps, -values, at_least=-0.5, sustained=sustained)
    assert first_crossing(steps, values, at_most=0.5, sustained=sustained) == mirrored


@given(values=VALUES, more=VALUES)
def test_what_comes_later_never_changes_a_crossing_that_was_seen(values, more):
    first = first_crossing(np.arange(len(values)), np.array(values), at_least=0.5, sustained=2)
    longer = first_crossing(np.arange(len(values + more)), np.array(values + more), at_least=0.5, sustained=2)
    assert first is None or longer == first


def test_nan_breaks_a_sustained_crossing():
    assert first_crossing(np.arange(4), np.array([1, NAN, 1, 1]), at_least=0.5, sustained=2) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one"),
        ({"at_least": 1.0, "at_most": 2.0}, "exactly one"),
        ({"at_least": 1.0, "sustained": 0}, "sustained"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        first_crossing(np.arange(3), np.arange(3.0), **options)


def test_steps_that_do_not_increase_or_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="increase"):
        first_crossing(np.array([0, 0]), np.array([1.0, 1.0]), at_least=0)
    with pytest.raises(ValueError, match="alike"):
        first_crossing(np.array([0, 1]), np.array([1.0]), at_least=0)


@pytest.fixture
def observations():
    """Four members: sees it at 20, sees it at once, never sees it and ends early, has no rows."""
    accuracy = [[0.1, 0.5, 1.0, 1.0], [1.0, NAN, 1.0, 1.0], [0.1, 0.2, 0.3, NAN], [NAN] * 4]
    return xr.Dataset(
        {"test/accuracy": (("member", "step"), accuracy), "loss": (("member", "step"), np.array(accuracy) * 2)},
        {
            "member": [0, 1, 2, 5],
            "step": [0, 10, 20, 30],
            "status": ("member", ["finished", "stopped", "diverged", "waiting"]),
            "optimizer.weight_decay": ("member", [0.1, 0.2, 0.3, 0.4]),
            "seed": ("member", [1, 2, 3, 4]),
        },
    )


def generalised(record):
    return first_crossing(record["step"], record["test/accuracy"], at_least=0.9)


def test_a_table_says_between_which_observations_it_happened_and_what_was_not_seen(observations):
    found = table(observations, {"generalised": generalised})
    expected = pd.DataFrame(
        {
            "seed": [1, 2, 3, 4],
            "optimizer.weight_decay": [0.1, 0.2, 0.3, 0.4],
            "status": ["finished", "stopped", "diverged", "waiting"],
            "generalised": pd.array([20, 0, None, None], dtype="Int64"),
            "generalised_after": pd.array([10, None, 20, None], dtype="Int64"),
            "generalised_censored": [False, False, True, True],
        },
        index=pd.Index([0, 1, 2, 5], name="member"),
    )
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert [str(found.dtypes[name]) for name in expected.columns[3:]] == ["Int64", "Int64", "bool"]


def test_a_rule_sees_only_the_observations_of_its_member(observations):
    seen = []
    table(observations, {"look": lambda record: seen.append(record["step"].tolist())})
    assert seen == [[0, 10, 20, 30], [0, 20, 30], [0, 10, 20], []]


def test_every_rule_has_its_columns_in_the_order_given(observations):
    found = table(observations, {"b": generalised, "a": lambda record: 15})
    names = ["b", "b_after", "b_censored", "a", "a_after", "a_censored"]
    assert list(found.columns[3:]) == names
    assert found["a_after"].tolist()[:3] == [10, 0, 10]


def test_a_missing_measure_is_named_with_the_rule(observations):
    with pytest.raises(LookupError) as caught:
        table(observations, {"memorised": lambda record: record["train/accuracy"]})
    assert str(caught.value) == (
        "rule 'memorised' needs the measure 'train/accuracy', which was not observed; there are: test/accuracy, loss"
    )


@pytest.mark.parametrize("event", [True, 1.5, np.bool_(False)])
def test_an_event_that_is_no_step_is_refused(observations, event):
    with pytest.raises(ValueError, match="'odd' must give a step or None"):
        table(observations, {"odd": lambda record: event})


@pytest.mark.parametrize("name", ["seed", "member", "optimizer.weight_decay"])
def test_a_rule_named_like_a_column_is_refused(observations, name):
    with pytest.raises(ValueError, match="rename the rule"):
        table(observations, {name: generalised})


def test_an_event_may_be_a_numpy_integer(observations):
    assert table(observations, {"e": lambda record: np.int64(20)})["e"].tolist() == [20] * 4
