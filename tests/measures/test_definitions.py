"""Every measure agrees with its published definition, for all array kinds, and inside jit and vmap."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from afterfit import measures as m

from . import oracles
from .conftest import ArrayKind

N, D, K = 60, 7, 5

# name: (the measure, the definition), both of features z, labels y, head weight w and bias b; k goes to num_classes
CASES = {
    "class_means": (lambda z, y, w, b, k: m.class_means(z, y, num_classes=k), lambda z, y, w, b: oracles.means(z, y)),
    "within": (
        lambda z, y, w, b, k: m.within_class_variance(z, y, num_classes=k),
        lambda z, y, w, b: oracles.within(z, y),
    ),
    "between": (
        lambda z, y, w, b, k: m.between_class_variance(z, y, num_classes=k),
        lambda z, y, w, b: oracles.between(z, y),
    ),
    "nc1": (
        lambda z, y, w, b, k: m.nc1(z, y, num_classes=k),
        lambda z, y, w, b: oracles.within(z, y) / oracles.between(z, y),
    ),
    "nc1-pinv": (
        lambda z, y, w, b, k: m.nc1(z, y, definition="pinv", num_classes=k),
        lambda z, y, w, b: oracles.nc1_pinv(z, y),
    ),
    "rnc1": (lambda z, y, w, b, k: m.rnc1(z, y, num_classes=k), lambda z, y, w, b: oracles.rnc1(z, y)),
    "rnc1-max": (
        lambda z, y, w, b, k: m.rnc1(z, y, scale="max_norm", num_classes=k),
        lambda z, y, w, b: oracles.rnc1(z, y, np.max),
    ),
    "cdnv": (lambda z, y, w, b, k: m.cdnv(z, y, num_classes=k), lambda z, y, w, b: oracles.cdnv(z, y)),
    "nc2": (lambda z, y, w, b, k: m.nc2(z, y, num_classes=k), lambda z, y, w, b: oracles.condition_number(z, y)),
    "nc2-etf": (
        lambda z, y, w, b, k: m.nc2(z, y, definition="etf_distance", num_classes=k),
        lambda z, y, w, b: oracles.etf_distance(z, y),
    ),
    "nc2-equinorm": (
        lambda z, y, w, b, k: m.nc2(z, y, definition="equinorm", num_classes=k),
        lambda z, y, w, b: oracles.equinorm(z, y),
    ),
    "nc2-equiangularity": (
        lambda z, y, w, b, k: m.nc2(z, y, definition="equiangularity", num_classes=k),
        lambda z, y, w, b: oracles.equiangularity(z, y),
    ),
    "nc3": (lambda z, y, w, b, k: m.nc3(z, y, w, num_classes=k), lambda z, y, w, b: oracles.nc3(z, y, w)),
    "nc4": (lambda z, y, w, b, k: m.nc4(z, y, w, b, num_classes=k), lambda z, y, w, b: oracles.nc4(z, y, w, b)),
    "nearest": (
        lambda z, y, w, b, k: m.nearest_class_mean_accuracy(z, y, num_classes=k),
        lambda z, y, w, b: (oracles.nearest(z, y) == y).mean(),
    ),
    "spectral_entropy": (
        lambda z, y, w, b, k: m.spectral_entropy(z),
        lambda z, y, w, b: oracles.spectral_entropy(z),
    ),
    "spectral_entropy-uncentred": (
        lambda z, y, w, b, k: m.spectral_entropy(z, center=False),
        lambda z, y, w, b: oracles.spectral_entropy(z, center=False),
    ),
    "spectral_entropy-wide": (
        lambda z, y, w, b, k: m.spectral_entropy(z[:4, :]),
        lambda z, y, w, b: oracles.spectral_entropy(z[:4]),
    ),
    "effective_rank": (lambda z, y, w, b, k: m.effective_rank(z), lambda z, y, w, b: oracles.effective_rank(z)),
    "participation_ratio": (
        lambda z, y, w, b, k: m.participation_ratio(z),
        lambda z, y, w, b: oracles.participation_ratio(z),
    ),
    "stable_rank": (lambda z, y, w, b, k: m.stable_rank(w), lambda z, y, w, b: oracles.stable_rank(w)),
    "relative_flatness": (
        lambda z, y, w, b, k: m.relative_flatness(z, w, b),
        lambda z, y, w, b: oracles.relative_flatness(z, w, b),
    ),
    "relative_flatness-squared": (
        lambda z, y, w, b, k: m.relative_flatness(z, w, b, loss="squared_error"),
        lambda z, y, w, b: (w**2).sum() * (z**2).sum(1).mean(),
    ),
    "relative_flatness_bound": (
        lambda z, y, w, b, k: m.relative_flatness_bound(z, w, b),
        lambda z, y, w, b: oracles.relative_flatness_bound(z, w, b),
    ),
    "weight_norm": (
        lambda z, y, w, b, k: m.weight_norm({"weight": w, "bias": b}),
        lambda z, y, w, b: np.sqrt((w**2).sum() + (b**2).sum()),
    ),
    "accuracy": (
        lambda z, y, w, b, k: m.accuracy(z[:, :K], y, num_classes=k),
        lambda z, y, w, b: oracles.accuracy(z[:, :K], y),
    ),
    "cross_entropy": (
        lambda z, y, w, b, k: m.cross_entropy(z[:, :K], y, num_classes=k),
        lambda z, y, w, b: oracles.cross_entropy(z[:, :K], y),
    ),
    "squared_error": (
        lambda z, y, w, b, k: m.squared_error(z[:, :K], y, num_classes=k),
        lambda z, y, w, b: oracles.squared_error(z[:, :K], y),
    ),
}

over_cases = pytest.mark.parametrize(("measure", "definition"), CASES.values(), ids=CASES.keys())


def sample(seed: int = 0):
    """Overlapping classes of unequal size around a mean away from zero, and a head that is somewhat right."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.concatenate([np.arange(K), rng.integers(0, K, N - K)]))
    centres = rng.normal(size=(K, D)) + 0.5
    features = centres[labels] + 0.7 * rng.normal(size=(N, D))
    # whole multiples of 1/1024 are the same numbers in both precisions
    features, weight, bias = (np.round(x * 1024) / 1024 for x in (features, centres, rng.normal(size=K)))
    return features, labels, weight, bias


def stacked(members):
    return [np.stack(arrays) for arrays in zip(*members, strict=True)]


@over_cases
def test_a_measure_is_its_published_definition(measure, definition, kind):
    arguments = sample()
    value = measure(*map(kind, arguments), None)
    assert kind.owns(value)
    np.testing.assert_allclose(np.asarray(value), definition(*arguments), rtol=kind.tolerance, atol=kind.tolerance)


@over_cases
def test_inside_jit_and_vmap_every_member_gets_its_own_value(measure, definition):
    kind, members = ArrayKind("jax", "float32"), [sample(seed) for seed in range(3)]
    values = jax.jit(jax.vmap(lambda *given: measure(*given, K)))(*map(kind, stacked(members)))
    assert kind.owns(values)
    expected = [definition(*member) for member in members]
    np.testing.assert_allclose(values, expected, rtol=kind.tolerance, atol=kind.tolerance)


@over_cases
def test_inside_the_vmap_of_torch_every_member_gets_its_own_value(measure, definition):
    members = [sample(seed) for seed in range(3)]
    values = torch.func.vmap(lambda *given: measure(*given, K))(*map(torch.asarray, stacked(members)))
    np.testing.assert_allclose(values, [definition(*member) for member in members], rtol=1e-9, atol=1e-9)


@over_cases
@pytest.mark.parametrize("library", ["jax", "torch"])
def test_the_gradient_is_the_slope(measure, definition, library):
    """Along one random direction, against a central difference of the measure itself."""
    features, labels, weight, bias = sample()
    direction = np.random.default_rng(1).normal(size=features.shape)

    def at(z):
        value = measure(z, labels, asarray(weight), asarray(bias), K)
        return value.sum() if value.ndim else value  # class_means is a matrix

    def slope(z):
        if library == "jax":
            return np.asarray(jax.jit(jax.grad(at))(z))
        z.requires_grad_(True)
        value = at(z)
        return torch.autograd.grad(value, z)[0].numpy() if value.requires_grad else np.zeros(z.shape)

    with jax.enable_x64(True):
        asarray = jnp.asarray if library == "jax" else torch.asarray
        found = (slope(asarray(features)) * direction).sum()
        step = 1e-6
        ends = [float(at(asarray(features + sign * step * direction))) for sign in (1, -1)]
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-6)
