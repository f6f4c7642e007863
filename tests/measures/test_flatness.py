"""Relative flatness against a dense Hessian, close to one-hot, and the published numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afterfit import measures as m

from . import oracles
from .oracles import simplex_frame


def problem(scale: float = 1.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    features, weight, bias = rng.normal(size=(12, 4)), rng.normal(size=(5, 4)), rng.normal(size=5)
    return features, scale * weight, bias, rng.integers(0, 5, 12)


def cross_entropy(logits, labels):
    return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels].mean()


def squared_error(logits, labels):
    return ((logits - jax.nn.one_hot(labels, logits.shape[1])) ** 2).sum(1).mean() / 2


@pytest.mark.parametrize("loss", [cross_entropy, squared_error])
@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_relative_flatness_is_the_weighted_trace_of_the_dense_hessian(loss, scale):
    features, weight, bias, labels = problem(scale)
    with jax.enable_x64(True):
        z, w, b = map(jnp.asarray, (features, weight, bias))
        hessian = jax.jit(jax.hessian(lambda w: loss(z @ w.T + b, labels)))(w)
        expected = float(jnp.einsum("sd,td,sete->", w, w, hessian))
        found = m.relative_flatness(z, w, b, loss=loss.__name__)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_the_published_comparison_on_a_random_head():
    """64 samples, d = 12, K = 6 (PAPERS, B): the bound is several times κ and never below it."""
    ratios = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        features, weight, bias = rng.normal(size=(64, 12)), rng.normal(size=(6, 12)), np.zeros(6)
        ratios.append(float(m.relative_flatness_bound(features, weight)) / float(m.relative_flatness(features, weight)))
        assert ratios[-1] > 1
        assert float(m.relative_flatness(features, weight)) == float(m.relative_flatness(features, weight, bias))
    assert 4 < np.mean(ratios) < 15


def test_one_vector_added_to_all_rows_leaves_flatness_and_moves_the_bound(single):
    features, weight, bias, _ = problem()
    shifted = weight + 10 * np.random.default_rng(2).normal(size=4)
    values = [float(m.relative_flatness(single(features), single(w), single(bias))) for w in (weight, shifted)]
    bounds = [float(m.relative_flatness_bound(single(features), single(w), single(bias))) for w in (weight, shifted)]
    assert values[0] == pytest.approx(values[1], rel=20 * single.tolerance)
    assert bounds[1] > 5 * bounds[0]


@pytest.mark.parametrize("growth", [1.0, 10.0, 40.0])
def test_on_a_simplex_frame_flatness_has_its_closed_form_down_to_tiny_values(growth, single):
    """Rows w_c = λ μ_c, radius M: at the end 1 − p_max is 1e-20, of which a float32 softmax shows nothing."""
    count, radius = 6, 1.0
    frame = simplex_frame(count, 8, radius)
    gap = growth * radius**2 * count / (count - 1)
    q = np.exp(-gap) / (1 + (count - 1) * np.exp(-gap))  # of each other class
    p = 1 - (count - 1) * q
    # rows w_s lie at squared distance 2 λ² M² k/(k−1) from each other
    distance = 2 * growth**2 * radius**2 * count / (count - 1)
    pairs = 2 * p * (count - 1) * q + (count - 1) * (count - 2) * q * q
    e = np.exp(-gap)
    trace = radius**2 * (count - 1) * e * (2 + (count - 2) * e) / (1 + (count - 1) * e) ** 2
    assert radius**2 * pairs == pytest.approx(trace, rel=1e-9)  # Tr H as it is published with Proposition 5.3
    value = m.relative_flatness(single(frame.astype(np.float32)), single((growth * frame).astype(np.float32)))
    assert float(value) == pytest.approx(radius**2 * distance * pairs / 2, rel=1e-4)
    # Proposition 5.3 of Han et al. 2025 bounds it
    assert float(value) <= growth**2 * count**3 * radius**4 * e / (1 + (count - 1) * e) ** 2
    size = growth**2 * count * radius**2
    bound = m.relative_flatness_bound(single(frame.astype(np.float32)), single((growth * frame).astype(np.float32)))
    assert float(bound) == pytest.approx(size * pairs * radius**2, rel=1e-4)


def test_the_bound_takes_all_of_equal_classes_into_account(single):
    """No head at all: p = 1/K."""
    features = np.random.default_rng(0).normal(size=(10, 3))
    weight = np.zeros((4, 3))
    assert float(m.relative_flatness(single(features), single(weight))) == 0
    weight[:] = 1.0
    expected = 12 * (1 - 1 / 4) * (features**2).sum(1).mean()
    assert float(m.relative_flatness_bound(single(features), single(weight))) == pytest.approx(expected, rel=1e-5)
    assert float(m.relative_flatness(single(features), single(weight))) == pytest.approx(0, abs=1e-6)


def test_one_class_is_perfectly_flat(single):
    features, weight = single(np.ones((3, 2))), single(np.ones((1, 2)))
    assert float(m.relative_flatness(features, weight)) == 0
    assert float(m.relative_flatness_bound(features, weight)) == 0


def test_half_precision_features_and_a_float32_head_go_together():
    features, weight, bias, _ = problem()
    half = jnp.asarray(features, jnp.bfloat16)
    value = m.relative_flatness(half, jnp.asarray(weight, jnp.float32), jnp.asarray(bias, jnp.float32))
    expected = oracles.relative_flatness(np.asarray(half).astype(np.float64), weight, bias)
    assert value.dtype == jnp.float32
    assert float(value) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("growth", [1.0, 10.0, 25.0])
@pytest.mark.parametrize("offset", [0.0, 1.0], ids=["centred", "with an offset"])
def test_the_gradient_of_flatness_keeps_its_digits_where_softmax_is_close_to_one_hot(growth, offset):
    """κ as differences of float64 say it; with growth 25 all but one probability are below 1e-13."""
    frame = simplex_frame(6, 8, 1.0)
    weight = (growth * frame + offset * np.random.default_rng(6).normal(size=8)).astype(np.float32)
    features = frame.astype(np.float32)

    def naive(z, w):
        p = jax.nn.softmax(z @ w.T)
        return jnp.mean(
            jnp.sum(z**2, 1) * jnp.einsum("is,it,st->i", p, p, jnp.sum((w[:, None] - w[None]) ** 2, -1)) / 2
        )

    found = jax.grad(m.relative_flatness, (0, 1))(jnp.asarray(features), jnp.asarray(weight))
    with jax.enable_x64(True):
        expected = jax.grad(naive, (0, 1))(jnp.asarray(features, float), jnp.asarray(weight, float))
    for ours, theirs in zip(map(np.asarray, found), map(np.asarray, expected), strict=True):
        assert np.linalg.norm(ours - theirs) <= 1e-4 * np.linalg.norm(theirs)
