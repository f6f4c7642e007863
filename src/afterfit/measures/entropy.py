"""How many directions features use: entropy, effective rank and participation ratio of their spectrum.

Features have shape (N, d). Half-precision input is computed, and answered, in float32.
"""

from __future__ import annotations

import math
from typing import Any

from afterfit.measures._arrays import Array, as_matrix, constant, product, ratio, scalar


def spectral_entropy(features: Array, *, center: bool = True) -> Array:
    r"""Entropy of the spectrum of the feature covariance: H̃ = −Σ_k p_k log p_k / log d, in [0, 1].

    p_k = λ_k/Σλ, with λ_k the d eigenvalues of Σ = (1/N) Σ_i (z_i − z̄)(z_i − z̄)ᵀ. 1 when features spread equally in all
    directions, 0 when they lie on a line; at most log(N − 1)/log d with N ≤ d samples. Unchanged by rotation and by one
    factor for all features. Features that are all equal, and features with d = 1, have no spectrum to speak of: 0.

    In float32 eigenvalues below 1e-7 of the largest are rounding, which adds up to about 1e-4; pass float64 for less.

    Args:
        features: shape (N, d).
        center: subtract the mean first. False gives Σ = E[zzᵀ] as the formula reads in the paper, which does not
            say whether features were centred; a mean far from zero then dominates.

    Raises:
        ValueError: features without two dimensions, or empty.

    Source: Truong et al. 2026 (their probe: 512 training samples). Cost O(N d min(N, d) + min(N, d)³).

    >>> import numpy as np
    >>> float(spectral_entropy(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))).__round__(6)
    1.0
    """
    xp, features = _spread(features, center)
    num_features = features.shape[1]
    if num_features == 1:
        return scalar(0 * xp.sum(features))
    # rounding can make an eigenvalue that is zero slightly negative
    eigenvalues = xp.clip(xp.linalg.eigvalsh(_gram(xp, features)), min=0)
    return scalar(_entropy(xp, eigenvalues) / math.log(num_features))


def effective_rank(features: Array, *, center: bool = True) -> Array:
    r"""Effective number of directions: exp(−Σ_k p_k log p_k) with p_k = σ_k/Σσ, in [1, min(N, d)].

    σ_k are the singular values of the features (N, d), their mean subtracted. n when n directions share the spread
    equally. Small directions count for more than in `spectral_entropy`, which weighs by σ². Features that are all equal
    have no direction: 0, the rank of a zero matrix.

    Args:
        features: shape (N, d).
        center: subtract the mean first.

    Raises:
        ValueError: features without two dimensions, or empty.

    Source: Roy & Vetterli 2007. Cost O(N d min(N, d)).

    >>> import numpy as np
    >>> float(effective_rank(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))).__round__(6)
    2.0
    """
    xp, features = _spread(features, center)
    values = xp.linalg.svdvals(features)
    return scalar(xp.where(xp.sum(values) == 0, 0.0, xp.exp(_entropy(xp, values))))


def participation_ratio(features: Array, *, center: bool = True) -> Array:
    r"""Number of directions that take part in the variance: (Σ_k λ_k)² / Σ_k λ_k², in [1, min(N, d)].

    λ_k are the eigenvalues of the covariance Σ; computed as (Tr Σ)²/‖Σ‖²_F without finding them. n when n directions
    share the variance equally. Features that are all equal have no direction: 0.

    Args:
        features: shape (N, d).
        center: subtract the mean first.

    Raises:
        ValueError: features without two dimensions, or empty.

    Source: Gao et al. 2017, "A theory of multineuronal dimensionality". Cost O(N d min(N, d)).

    >>> import numpy as np
    >>> float(participation_ratio(np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))).__round__(6)
    1.470588
    """
    xp, features = _spread(features, center)
    gram = _gram(xp, features)
    trace = xp.sum(features * features) / features.shape[0]
    return scalar(ratio(xp, trace * trace, xp.sum(gram * gram), zero_by_zero=0.0))


def _spread(features: Array, center: bool) -> tuple[Any, Array]:
    """The namespace, and the features minus their mean (from a sample first, so that a far mean does not round)."""
    xp, features = as_matrix("features", features)
    if not center:
        return xp, features
    shifted = features - constant(xp, features[:1, :])
    return xp, shifted - xp.mean(shifted, axis=0, keepdims=True)


def _gram(xp: Any, features: Array) -> Array:
    """(1/N) ZᵀZ or (1/N) ZZᵀ, whichever is smaller: they share all eigenvalues but zeros."""
    transposed = xp.permute_dims(features, (1, 0))
    wide = features.shape[0] < features.shape[1]
    return (product(xp, features, transposed) if wide else product(xp, transposed, features)) / features.shape[0]


def _entropy(xp: Any, weights: Array) -> Array:
    """−Σ p log p of weights ≥ 0 brought to sum one; 0 if all are zero. Zeros add nothing, nor to the gradient."""
    shares = ratio(xp, weights, xp.sum(weights), zero_by_zero=0.0)
    return 0.0 - xp.sum(shares * xp.log(xp.where(shares > 0, shares, 1.0)))  # a plain minus would give -0.0
