"""A history holds what a list of dictionaries would hold, in eight bytes a number."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from afterfit.watch.history import History

NAMES = st.sampled_from(["train/loss", "test/loss", "weight_norm"])
ROWS = st.lists(st.dictionaries(NAMES, st.floats(allow_nan=False), max_size=3), max_size=12)


@given(rows=ROWS, cut=st.integers(-1, 40))
def test_it_is_a_list_of_observations_that_can_be_cut(rows, cut):
    history, plain = History(), []
    for step, values in enumerate(rows):
        history.add(3 * step, values)
        plain.append((3 * step, values))
    assert list(history) == plain
    assert history.before(cut) == max((step for step, _ in plain if step < cut), default=None)
    kept = [(step, values) for step, values in plain if step <= cut]
    assert history.forget_after(cut) == (len(kept) < len(plain))
    assert list(history) == kept
    assert len(history) == len(kept)
    assert history.last == history.before(None) == (kept[-1][0] if kept else None)
    record = history.record()
    assert record["step"].tolist() == [step for step, _ in kept]
    for name in ("train/loss", "weight_norm"):
        expected = [values.get(name, np.nan) for _, values in kept]
        np.testing.assert_array_equal(history.column(name), expected)
        np.testing.assert_array_equal(record.get(name, np.full(len(kept), np.nan)), expected)


def test_what_is_no_number_is_as_good_as_not_observed():
    history = History()
    history.add(0, {"train/loss": float("nan"), "weight_norm": 1.0})
    assert list(history) == [(0, {"weight_norm": 1.0})]
    assert np.isnan(history.column("train/loss")).all()
