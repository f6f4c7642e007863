"""Where floating-point rounding, and not the model, decides what can still be learnt."""

from __future__ import annotations

from typing import Any

from array_api_compat import is_numpy_namespace

from afterfit.measures._arrays import Array, scalar
from afterfit.measures._head import other_weights
from afterfit.measures.fit import columns, is_decided


def softmax_collapse(logits: Array, labels: Array, *, num_classes: int | None = None) -> Array:
    r"""Share of samples whose cross-entropy is exactly 0 in the dtype of the logits.

    That is so when the label has the largest logit m and the others are absorbed: 1 + Σ_{c≠y} e^{f_c − m} rounds to 1,
    the sum being at most half the machine epsilon (6e-8 in float32, 0.004 in bfloat16). Such a sample adds no loss and
    almost no gradient, so training can stop before it has generalised, by rounding alone.

    The sum itself is taken in float32 for half precision; the answer is float32 then.

    Args:
        logits: shape (N, K), in the dtype in which the loss is computed in training.
        labels: integers in [0, K), shape (N,).
        num_classes: K; may be left out.

    Raises:
        ValueError: empty logits, labels of another length or outside [0, K).

    Source: Prieto et al. 2025, "Grokking at the edge of numerical stability". Cost O(N K).

    >>> import numpy as np
    >>> logits = np.array([[20.0, 0.0], [10.0, 0.0]], dtype=np.float32)
    >>> float(softmax_collapse(logits, np.array([0, 0])))
    0.5
    """
    given = logits.dtype
    xp, logits, offsets = columns(logits, labels, num_classes)
    absorbed = is_decided(xp, logits, offsets) & (other_weights(xp, logits)[0] <= _epsilon(xp, given, logits) / 2)
    return scalar(xp.mean(xp.astype(absorbed, logits.dtype)))


def _epsilon(xp: Any, given: Any, logits: Array) -> float:
    """Gap between 1 and the next number of the dtype given; of that of the logits, if integers were given."""
    if is_numpy_namespace(xp) and given.kind == "V":  # bfloat16 from JAX
        return float(xp.spacing(xp.ones((), dtype=given)))
    return float(xp.finfo(given if xp.isdtype(given, "real floating") else logits.dtype).eps)
