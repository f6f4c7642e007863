"""Collapse: exact points, spreads below the rounding of the mean, and classes that are missing or alone."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from afterfit import measures as m
from afterfit.measures._arrays import squared_distances

from . import oracles

OF_CLASSES = {
    "within": m.within_class_variance,
    "between": m.between_class_variance,
    "nc1": m.nc1,
    "nc1-pinv": lambda *a, **k: m.nc1(*a, definition="pinv", **k),
    "rnc1": m.rnc1,
    "cdnv": m.cdnv,
    "nc2": m.nc2,
    "nc2-etf": lambda *a, **k: m.nc2(*a, definition="etf_distance", **k),
    "nc2-equinorm": lambda *a, **k: m.nc2(*a, definition="equinorm", **k),
    "nc2-equiangularity": lambda *a, **k: m.nc2(*a, definition="equiangularity", **k),
    "nearest": m.nearest_class_mean_accuracy,
}
over_measures = pytest.mark.parametrize("measure", OF_CLASSES.values(), ids=OF_CLASSES.keys())


def tight_classes(count: int, spread: float, num_classes: int = 10, width: int = 16):
    """Features in float32 whose distance from their class mean is `spread` times the norm of the mean."""
    rng = np.random.default_rng(count)
    centres = rng.normal(size=(num_classes, width)) + 3
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    labels = rng.integers(0, num_classes, count)
    noise = spread / np.sqrt(width) * rng.normal(size=(count, width))
    return (centres[labels] + noise).astype(np.float32), labels


@pytest.mark.parametrize("count", [300, 5_000, 60_000])
@pytest.mark.parametrize("spread", [1e-2, 1e-4, 1e-6])
def test_the_spread_of_a_tight_class_is_right_to_a_thousandth_in_float32(count, spread, single):
    features, labels = tight_classes(count, spread)
    exact = features.astype(np.float64)

    def battery(z, y):
        return {f.__name__: f(z, y, num_classes=10) for f in (m.within_class_variance, m.rnc1, m.cdnv, m.nc1)}

    found = (jax.jit(battery) if single.library == "jax" else battery)(single(features), single(labels))
    expected = {name: float(value) for name, value in battery(exact, labels).items()}
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-3)
    assert float(m.within_class_variance(exact, labels)) == pytest.approx(oracles.within(exact, labels), rel=1e-6)


def test_one_pass_in_float32_would_be_wrong_where_the_published_code_is():
    """The reason for two passes: E‖z‖² − ‖μ‖² has lost the spread at 1e-4 of the mean."""
    features, labels = tight_classes(5_000, 1e-4)
    one_pass = sum(
        (group**2).sum() - len(group) * (group.mean(0) ** 2).sum() for group in oracles.groups(features, labels)
    ) / len(features)
    exact = oracles.within(features.astype(np.float64), labels)
    assert not 0.5 < one_pass / exact < 2
    assert float(m.within_class_variance(features, labels)) == pytest.approx(exact, rel=1e-3)


def test_close_class_means_keep_their_distance_in_float32(single):
    """Means 1e-3 apart, far from the origin and among others 1 apart: a Gram matrix would lose their distance."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(6, 8)) + 5
    centres[1] = centres[0] + 1e-3 / np.sqrt(8)
    labels = np.repeat(np.arange(6), 50)
    features = (centres[labels] + 1e-5 * rng.normal(size=(300, 8))).astype(np.float32)
    expected = oracles.cdnv(features.astype(np.float64), labels)
    assert float(m.cdnv(single(features), single(labels))) == pytest.approx(expected, rel=1e-3)


def test_an_outlier_does_not_spoil_the_rest_of_its_class(single):
    """The sample from which a class is told may be the outlier itself."""
    features = (1 + 1e-3 * np.random.default_rng(0).normal(size=(1_000, 4))).astype(np.float32)
    for index in (0, 999):
        far = features.copy()
        far[index] = 1e3
        expected = oracles.within(far.astype(np.float64), np.zeros(1_000))
        assert float(m.within_class_variance(single(far), single(np.zeros(1_000, int)))) == pytest.approx(
            expected, 1e-4
        )


def test_rnc1_is_zero_exactly_when_every_class_is_a_point(single):
    points = np.array([[0.1, 0.7], [0.3, 1e-3], [1e4, 1 / 3]])
    labels = np.array([0, 1, 2, 2, 1, 0, 0])
    for z in (points[labels], 1e-3 * points[labels], 0 * points[labels], points[0 * labels]):
        assert float(m.rnc1(single(z), single(labels))) == 0
    moved = points[labels].copy()
    moved[0, 0] *= 1 + 1e-6
    assert float(m.rnc1(single(moved), single(labels))) > 0


def test_nc1_does_not_vanish_when_all_features_go_to_one_point_but_rnc1_does():
    features, labels = np.random.default_rng(0).normal(size=(60, 4)), np.arange(60) % 3
    shrunk = 1 + 1e-5 * features
    assert float(m.nc1(shrunk, labels)) == pytest.approx(float(m.nc1(features, labels)), rel=1e-6)
    assert float(m.rnc1(shrunk, labels)) < 1e-9


def test_within_and_between_add_up_to_the_total_variance(single):
    features, labels = np.random.default_rng(0).normal(size=(50, 6)), np.random.default_rng(1).integers(0, 4, 50)
    total = ((features - features.mean(0)) ** 2).sum(1).mean()
    parts = [
        measure(single(features), single(labels)) for measure in (m.within_class_variance, m.between_class_variance)
    ]
    assert float(sum(parts)) == pytest.approx(total, rel=single.tolerance)


@over_measures
def test_class_numbers_do_not_matter_unless_num_classes_is_given(measure, single):
    features, labels = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 3
    value = float(measure(single(features), single(np.array([100, 3, 7])[labels])))
    assert value == pytest.approx(
        float(measure(single(features), single(labels[::-1] * 0 + labels))), rel=1e-5, abs=1e-6
    )


@over_measures
def test_classes_without_samples_are_left_out_of_every_mean(measure, single):
    """Classes 0, 4 and 5 of six occur; inside jit too, and without a NaN gradient."""
    features, labels = np.random.default_rng(0).normal(size=(30, 7)), np.array([5, 0, 4])[np.arange(30) % 3]
    z, y = single(features), single(labels)
    expected = pytest.approx(float(measure(features, labels)), rel=1e-4, abs=1e-6)
    if single.library != "jax":
        assert float(measure(z, y, num_classes=6)) == expected
        return
    value, gradient = jax.jit(jax.value_and_grad(lambda z, y: measure(z, y, num_classes=6)))(z, y)
    assert float(value) == expected
    assert bool(jnp.isfinite(gradient).all())


def test_the_mean_of_a_class_without_samples_is_nan(single):
    means = np.asarray(m.class_means(single([[1.0, 2.0], [3.0, 2.0]]), single([2, 2]), num_classes=4))
    assert np.isnan(means[[0, 1, 3]]).all()
    assert means[2].tolist() == [2, 2]


def test_a_class_with_one_sample_has_no_spread(single):
    features, labels = np.random.default_rng(0).normal(size=(5, 3)), np.arange(5)
    for measure in (m.within_class_variance, m.rnc1, m.nc1, m.cdnv):
        assert float(measure(single(features), single(labels))) == 0
    assert float(m.nearest_class_mean_accuracy(single(features), single(labels))) == 1


def test_with_one_class_there_is_nothing_to_compare_with(single):
    features, labels = single(np.random.default_rng(0).normal(size=(9, 3))), single(np.full(9, 7))
    assert float(m.within_class_variance(features, labels)) > 0
    assert float(m.between_class_variance(features, labels)) == 0
    assert [float(m.nc1(features, labels, definition=d)) for d in ("trace_ratio", "pinv")] == [np.inf, np.inf]
    assert np.isnan(float(m.nc1(features[:1, :], labels[:1])))
    assert np.isnan(float(m.cdnv(features, labels)))
    assert float(m.nearest_class_mean_accuracy(features, labels)) == 1
    assert float(m.nc2(features, labels)) == pytest.approx(1)
    for definition in ("etf_distance", "equinorm", "equiangularity"):
        assert np.isnan(float(m.nc2(features, labels, definition=definition)))
    assert np.isnan(float(m.nc3(features, labels * 0, single([[1.0, 2.0, 3.0]]))))


def test_two_classes_in_one_place_are_infinitely_mixed_up_or_undefined(single):
    labels = single([0, 0, 1, 1])
    assert float(m.cdnv(single([[1.0], [2.0], [2.0], [1.0]]), labels)) == np.inf
    assert np.isnan(float(m.cdnv(single(np.ones((4, 1))), labels)))
    assert float(m.nc1(single([[1.0], [2.0], [2.0], [1.0]]), labels)) == np.inf
    assert np.isnan(float(m.nc1(single(np.ones((4, 1))), labels)))


@pytest.mark.parametrize("shape", [(20, 1), (20, 3), (8, 40)], ids=["d=1", "K>d", "N<d"])
def test_shapes_at_the_edge_give_finite_values_that_agree_across_precisions(shape, single):
    features = np.round(np.random.default_rng(3).normal(size=shape) * 1024) / 1024
    labels = np.arange(shape[0]) % 7

    def battery(z, y):
        return {name: measure(z, y, num_classes=7) for name, measure in OF_CLASSES.items()}

    found = (jax.jit(battery) if single.library == "jax" else battery)(single(features), single(labels))
    expected = {name: float(value) for name, value in battery(features, labels).items()}
    assert np.isfinite(list(expected.values())).all()
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_under_jit_the_statistics_of_classes_are_computed_once_for_all_measures():
    def work(*measures):
        def battery(z, y):
            return [measure(z, y, num_classes=50) for measure in measures]

        cost = jax.jit(battery).lower(jnp.zeros((500, 64)), jnp.zeros(500, int)).compile().cost_analysis()
        return cost["flops"]

    assert work(m.within_class_variance, m.between_class_variance, m.nc1, m.rnc1) < 1.2 * work(m.nc1)


def test_torch_gradients_flow_through_the_spread():
    """A class of two points at ±a: the spread is a², its gradient ∓a at each of them."""
    features = torch.tensor([[1.0], [3.0]], requires_grad=True)
    m.within_class_variance(features, torch.tensor([0, 0])).backward()
    assert features.grad is not None
    assert features.grad.tolist() == [[-1.0], [1.0]]


def _class_means(distance: float):
    """Two groups of 15 class means each, a unit apart; within a group they lie at some distance."""
    rng = np.random.default_rng(3)
    places = np.repeat(rng.normal(size=(2, 1, 16)), 15, axis=1).reshape(30, 16) / 4
    return (places + distance / 4 * rng.normal(size=(30, 16))).astype(np.float32)


@pytest.mark.parametrize("distance", [1.0, 1e-2, 1e-4])
def test_distances_by_jax_are_the_differences_and_their_gradient_is_off_by_rounding_of_the_radius_only(distance):
    rows = _class_means(distance)
    weights = np.random.default_rng(4).uniform(size=(30, 30)).astype(np.float32)
    np.fill_diagonal(weights, 1e9)  # of no pair, so it must not count
    found, gradient = jax.value_and_grad(lambda x: jnp.sum(squared_distances(jnp, x) * weights))(jnp.asarray(rows))
    exact, pairs = rows.astype(np.float64), np.where(np.eye(30), 0, weights.astype(np.float64))
    gaps = exact[:, None] - exact[None]
    assert float(found) == pytest.approx(float((pairs * (gaps**2).sum(-1)).sum()), rel=1e-5)
    expected = 2 * ((pairs + pairs.T)[:, :, None] * gaps).sum(1)
    radius = np.linalg.norm(exact - exact.mean(0), axis=1).max()
    rounding = 2**-24 * radius * (pairs + pairs.T).sum(1)
    assert np.all(np.linalg.norm(np.asarray(gradient) - expected, axis=1) <= 8 * rounding)


@pytest.mark.parametrize("distance", [1.0, 1e-2])
def test_the_gradient_of_cdnv_is_that_of_its_definition_down_to_close_means(distance):
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(30), 4)
    features = (_class_means(distance)[labels] + 0.1 * distance * rng.normal(size=(120, 16))).astype(np.float32)
    expected = _gradient_of_cdnv(features.astype(np.float64), labels)
    gradient = jax.grad(lambda z: m.cdnv(z, labels, num_classes=30))(jnp.asarray(features))
    # features are rounded to 6e-8 of their size, so their distances to 6e-8/distance
    assert np.linalg.norm(np.asarray(gradient) - expected) <= 2e-6 / distance * np.linalg.norm(expected)


def _gradient_of_cdnv(z, labels):
    """By hand, in float64: of V_c it is 2 (z − μ_c)/n_c, of a mean 1/n_c."""
    count = len(np.unique(labels))
    sizes, mu = np.bincount(labels), oracles.means(z, labels)
    v, gaps = np.array(oracles.variances(z, labels)), mu[:, None] - mu[None]
    squares = (gaps**2).sum(-1) + np.eye(count)
    off = 1 - np.eye(count)
    of_v = (off / squares).sum(1)
    of_mu = -2 * ((off * (v[:, None] + v[None]) / squares**2)[:, :, None] * gaps).sum(1)
    found = of_v[labels][:, None] * 2 * (z - mu[labels]) / sizes[labels][:, None] + (of_mu / sizes[:, None])[labels]
    return found / (count * (count - 1))


def test_distances_can_be_differentiated_twice_and_forwards():
    rows, other = _class_means(1.0)[:5], _class_means(1.0)[5:10]
    spread = lambda f: lambda x: jnp.sum(jnp.log1p(f(x)) * jnp.arange(25.0).reshape(5, 5))  # noqa: E731
    plain = lambda x: jnp.sum((x[:, None] - x[None]) ** 2, axis=-1)  # noqa: E731
    with jax.enable_x64(True):
        x, change = jnp.asarray(rows, float), jnp.asarray(other, float)
        for derive in (jax.grad, jax.hessian, lambda f: lambda x: jax.jvp(f, (x,), (change,))[1]):
            ours, theirs = (derive(spread(f))(x) for f in (partial(squared_distances, jnp), plain))
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
