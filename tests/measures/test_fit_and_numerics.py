"""Fit to the labels, and the rounding that can end it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from afterfit import measures as m

from . import oracles


def test_of_equal_logits_the_first_decides_and_nan_is_never_right(single):
    logits = np.array([[1.0, 1.0], [1.0, 1.0], [np.nan, 0.0], [np.nan, np.nan]])
    assert float(m.accuracy(single(logits), single([0, 1, 1, 0]))) == 0.25


def test_cross_entropy_keeps_losses_that_float32_rounds_to_zero(single):
    for gap in (5.0, 20.0, 60.0):
        value = m.cross_entropy(single(np.array([[gap, 0.0, 0.0]])), single(np.array([0])))
        assert float(value) == pytest.approx(np.log1p(2 * np.exp(-gap)), rel=1e-5)


def test_cross_entropy_and_its_gradient_stay_finite_for_huge_and_equal_logits(single):
    logits = np.array([[1e30, -1e30, 0.0], [2.0, 2.0, 2.0], [5.0, 5.0, 1.0]])
    labels = np.array([0, 2, 1])
    assert np.isfinite(float(m.cross_entropy(single(logits), single(labels))))
    with jax.enable_x64(True):
        gradient = jax.grad(m.cross_entropy)(jnp.asarray(logits), labels)
    np.testing.assert_allclose(gradient, (oracles.softmax(logits) - np.eye(3)[labels]) / 3, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
def test_softmax_collapse_counts_the_samples_whose_loss_rounds_to_zero(dtype):
    """The loss as a training loop takes it: log of the sum of exponentials, in the dtype of the logits."""
    rng = np.random.default_rng(0)
    given = torch.asarray((20 if dtype == "float64" else 8) * rng.normal(size=(400, 3))).to(getattr(torch, dtype))
    labels = torch.asarray(rng.integers(0, 3, 400))
    weights = torch.exp((given - given.max(1, keepdim=True).values).double())
    others = weights.sum(1) - weights.max(1).values
    rounded = (1 + others.to(given.dtype) == 1) & (given.argmax(1) == labels)
    value = m.softmax_collapse(given, labels)
    assert float(value) == pytest.approx(float(rounded.double().mean()), abs=1e-6)
    assert 0 < float(value) < 1
    if dtype == "float32":
        losses = torch.nn.functional.cross_entropy(given, labels, reduction="none")
        assert float(value) == pytest.approx(float((losses == 0).float().mean()), abs=0.01)
    library = jnp.asarray(given.double().numpy()).astype(dtype) if dtype != "float64" else given.numpy()
    assert float(m.softmax_collapse(library, labels.numpy())) == pytest.approx(float(value), abs=1e-6)
    assert float(m.softmax_collapse(np.asarray(library), labels.numpy())) == pytest.approx(float(value), abs=1e-6)


def test_squared_error_sums_over_classes(single):
    value = m.squared_error(single([[0.0, 3.0, 0.0], [0.0, 1.0, 0.0]]), single([0, 1]), num_classes=3)
    assert float(value) == 5


def test_weight_norm_takes_names_lists_generators_and_mixed_precision(single):
    arrays = [single([[3.0]]), single([0.0, 4.0]), single(12.0)]
    for parameters in (arrays, iter(arrays), dict(enumerate(arrays))):
        value = m.weight_norm(parameters)
        assert single.owns(value)
        assert float(value) == pytest.approx(13)
    half = torch.full((3,), 2.0, dtype=torch.bfloat16)
    mixed = m.weight_norm([half, torch.full((1,), 2.0)])
    assert mixed.dtype == torch.float32
    assert float(mixed) == 4


def test_the_norm_of_a_module_that_is_all_zero_has_a_gradient():
    layer = torch.nn.Linear(2, 2)
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    m.weight_norm(layer.parameters()).backward()
    assert layer.weight.grad is not None
    assert float(layer.weight.grad.abs().sum()) == 0


@pytest.mark.parametrize("matrix", [np.eye(4), np.ones((3, 5)), np.diag([2.0, 1.0, 1.0])])
def test_stable_rank_is_the_squared_ratio_of_two_norms(matrix, single):
    assert float(m.stable_rank(single(matrix))) == pytest.approx(oracles.stable_rank(matrix), rel=single.tolerance)
    assert float(m.stable_rank(single(matrix.T))) == pytest.approx(oracles.stable_rank(matrix), rel=single.tolerance)
