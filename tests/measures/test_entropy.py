"""Spectra whose entropy and rank are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from afterfit import measures as m

RANKS = {"effective_rank": m.effective_rank, "participation_ratio": m.participation_ratio}


def cross(scales: np.ndarray) -> np.ndarray:
    """Two samples ± on each axis: mean 0, covariance diag(scales²)/d."""
    return np.concatenate([np.diag(scales), -np.diag(scales)])


@pytest.mark.parametrize("directions", [1, 3, 8])
def test_equal_spread_in_n_directions_gives_rank_n_and_entropy_log_n(directions, single):
    features = single(5 + cross((np.arange(8) < directions) * 2.0))
    entropy = float(m.spectral_entropy(features))
    assert entropy == pytest.approx(np.log(directions) / np.log(8), abs=1e-5)
    for rank in RANKS.values():
        assert float(rank(features)) == pytest.approx(directions, rel=1e-4)


def test_spectral_entropy_of_a_known_spectrum(single):
    p = np.array([0.5, 0.25, 0.125, 0.125])
    expected = 1.75 * np.log(2) / np.log(4)
    assert float(m.spectral_entropy(single(cross(np.sqrt(p))))) == pytest.approx(expected, rel=single.tolerance)
    assert float(m.participation_ratio(single(cross(np.sqrt(p))))) == pytest.approx(1 / (p**2).sum(), rel=1e-5)
    assert float(m.effective_rank(single(cross(p)))) == pytest.approx(2**1.75, rel=single.tolerance)


def test_without_centring_a_far_mean_is_the_only_direction(single):
    features = 1e3 + cross(np.ones(4))
    assert float(m.spectral_entropy(single(features))) == pytest.approx(1, abs=1e-5)
    assert float(m.spectral_entropy(single(features), center=False)) < 1e-4


def test_centring_keeps_the_digits_of_a_spread_of_a_millionth(single):
    features = (1 + 1e-6 * np.random.default_rng(0).normal(size=(512, 8))).astype(np.float32)
    expected = float(m.spectral_entropy(features.astype(np.float64)))
    assert float(m.spectral_entropy(single(features))) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("shape", [(6, 4), (1, 4), (3, 8)])
def test_features_that_are_all_equal_have_no_direction(shape, single):
    features = single(np.full(shape, 0.1))
    assert float(m.spectral_entropy(features)) == 0
    assert [float(rank(features)) for rank in RANKS.values()] == [0, 0]
    assert float(m.stable_rank(single(np.zeros(shape)))) == 0


def test_with_one_feature_the_entropy_is_zero(single):
    value = m.spectral_entropy(single(np.random.default_rng(0).normal(size=(9, 1))))
    assert single.owns(value)
    assert float(value) == 0


def test_the_gradient_at_equal_and_at_zero_eigenvalues_is_finite():
    features = torch.asarray(cross(np.array([1.0, 1.0, 0.0]))).requires_grad_(True)
    m.spectral_entropy(features).backward()
    assert features.grad is not None
    assert bool(torch.isfinite(features.grad).all())
