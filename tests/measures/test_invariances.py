"""What a measure must not notice, on random problems."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterfit import measures as m

OF_CLASSES = {
    "nc1": m.nc1,
    "nc1-pinv": lambda z, y: m.nc1(z, y, definition="pinv"),
    "rnc1": m.rnc1,
    "rnc1-max": lambda z, y: m.rnc1(z, y, scale="max_norm"),
    "nc2": m.nc2,
    "nc2-etf": lambda z, y: m.nc2(z, y, definition="etf_distance"),
    "nc2-equinorm": lambda z, y: m.nc2(z, y, definition="equinorm"),
    "nc2-equiangularity": lambda z, y: m.nc2(z, y, definition="equiangularity"),
    "cdnv": m.cdnv,
    "spectral_entropy": lambda z, y: m.spectral_entropy(z),
    "effective_rank": lambda z, y: m.effective_rank(z),
    "participation_ratio": lambda z, y: m.participation_ratio(z),
}
SHIFTED = {"nc1", "nc1-pinv", "nc2-etf", "nc2-equinorm", "nc2-equiangularity", "cdnv"} | {
    "spectral_entropy",
    "effective_rank",
    "participation_ratio",
}
few = settings(max_examples=25, deadline=None)


@st.composite
def problems(draw):
    """Features, labels of two or more classes (three or more samples each), and a generator for what is done to it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    num_classes, width = draw(st.integers(2, 6)), draw(st.integers(2, 8))
    labels = np.concatenate([np.repeat(np.arange(num_classes), 3), rng.integers(0, num_classes, 10)])
    return rng.normal(size=(num_classes, width))[labels] + 0.5 * rng.normal(size=(len(labels), width)), labels, rng


def agree(name, first, second):
    assert float(second) == pytest.approx(float(first), rel=1e-5, abs=1e-8), name


@few
@given(problems(), st.floats(1e-3, 1e3))
def test_turning_and_scaling_all_features_changes_nothing(problem, factor):
    features, labels, rng = problem
    turn = np.linalg.qr(rng.normal(size=(features.shape[1],) * 2))[0]
    for name, measure in OF_CLASSES.items():
        agree(name, measure(features, labels), measure(factor * features @ turn, labels))


@few
@given(problems())
def test_neither_the_order_of_samples_nor_the_names_of_classes_count(problem):
    features, labels, rng = problem
    order, names = rng.permutation(len(labels)), rng.permutation(labels.max() + 1)
    for name, measure in OF_CLASSES.items():
        agree(name, measure(features, labels), measure(features[order], names[labels][order]))


@few
@given(problems())
def test_moving_all_features_changes_only_what_looks_at_the_origin(problem):
    features, labels, rng = problem
    moved = features + 3 * rng.normal(size=features.shape[1])
    for name in SHIFTED:
        agree(name, OF_CLASSES[name](features, labels), OF_CLASSES[name](moved, labels))


@few
@given(problems())
def test_every_measure_stays_in_its_range(problem):
    features, labels, _ = problem
    values = {name: float(measure(features, labels)) for name, measure in OF_CLASSES.items()}
    assert min(values.values()) >= 0
    assert values["spectral_entropy"] <= 1 + 1e-9
    assert values["participation_ratio"] <= values["effective_rank"] ** 2 + 1e-9
    assert max(values["participation_ratio"], values["effective_rank"]) <= features.shape[1] * (1 + 1e-9)
    assert values["rnc1-max"] <= values["rnc1"] + 1e-12
    assert values["nc2"] >= 1 - 1e-9


@few
@given(problems(), st.floats(-50, 50))
def test_flatness_sees_what_the_network_does_and_the_bound_sees_more(problem, size):
    features, labels, rng = problem
    weight, bias = rng.normal(size=(labels.max() + 1, features.shape[1])), rng.normal(size=labels.max() + 1)
    common = size * rng.normal(size=features.shape[1])
    value, bound = m.relative_flatness(features, weight, bias), m.relative_flatness_bound(features, weight, bias)
    agree("flatness", value, m.relative_flatness(features, weight + common, bias))
    assert 0 <= float(value) <= float(bound) * (1 + 1e-9)
    turn = np.linalg.qr(rng.normal(size=(features.shape[1],) * 2))[0]
    agree("flatness", value, m.relative_flatness(features @ turn, weight @ turn, bias))
    # features of a layer divided, and the head multiplied, by one number: the same network
    agree("flatness", value, m.relative_flatness(features / 7, weight * 7, bias))
    agree("bound", bound, m.relative_flatness_bound(features / 7, weight * 7, bias))
