"""Views of networks of other frameworks, for `Watch.observe`: JAX, Equinox, Flax, NumPy, whatever has arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afterfit.parts import require
from afterfit.views import View


def view_of(
    features: Any, labels: Any, head_weight: Any, head_bias: Any = None, *,
    parameters: Mapping[str, Any] | None = None, layers: Mapping[str, Any] | None = None,
) -> View:  # fmt: skip
    """A view of some examples; the logits φ Wᵀ + b are computed here.

    Args:
        features: φ, what the head reads, shape (N, d).
        labels: integers in [0, K), shape (N,).
        head_weight: W, shape (K, d); transpose a Flax kernel.
        head_bias: b, shape (K,), or None.
        parameters: all trained arrays by name, for the weight norm.
        layers: other representations by name, shapes (N, …), for measures such as "rnc1@hidden0".

    Raises:
        SpecError: shapes that do not fit.

    >>> import numpy as np
    >>> view = view_of(np.eye(3), np.array([0, 1, 1]), np.ones((2, 3)))
    >>> view.num_classes, view.logits.shape
    (2, (3, 2))
    """
    right = f"must be (classes, {features.shape[-1]}) for features of shape {tuple(features.shape)}"
    fits = features.ndim == head_weight.ndim == 2 and features.shape[1] == head_weight.shape[1]
    require(fits, "head_weight", tuple(head_weight.shape), right)
    count = labels.shape[0]
    require(count == features.shape[0], "labels", tuple(labels.shape), f"must be ({features.shape[0]},), as features")
    logits = features @ head_weight.T
    return View(
        inputs=None, labels=labels, features=features, logits=logits if head_bias is None else logits + head_bias,
        head_weight=head_weight, head_bias=head_bias, num_classes=int(head_weight.shape[0]), layers=layers or {},
        parameters=parameters or {},
    )  # fmt: skip
