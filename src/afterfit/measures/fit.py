"""How well the outputs fit the labels: accuracy, cross-entropy, squared error.

Logits have shape (N, K) and labels are their columns, in [0, K). `num_classes` may be given, as to every measure of
labels, and must be K. Half-precision input is computed, and answered, in float32.
"""

from __future__ import annotations

from typing import Any

from afterfit.measures._arrays import (
    Array,
    arange,
    as_index,
    as_matrix,
    known_labels,
    require_range,
    scalar,
    squared_norms,
)
from afterfit.measures._head import other_weights


def accuracy(logits: Array, labels: Array, *, num_classes: int | None = None) -> Array:
    r"""Share of samples whose largest logit is that of their label: (1/N) Σ_i [argmax_c f_c(x_i) = y_i].

    Of equal logits the first is taken.

    Args:
        logits: shape (N, K).
        labels: integers in [0, K), shape (N,).
        num_classes: K; may be left out.

    Raises:
        ValueError: empty logits, labels of another length or outside [0, K).

    >>> import numpy as np
    >>> float(accuracy(np.array([[2.0, 1.0], [3.0, 0.0]]), np.array([0, 1])))
    0.5
    """
    xp, logits, offsets = columns(logits, labels, num_classes)
    return scalar(xp.mean(xp.astype(is_decided(xp, logits, offsets), logits.dtype)))


def cross_entropy(logits: Array, labels: Array, *, num_classes: int | None = None) -> Array:
    r"""Mean cross-entropy after softmax: (1/N) Σ_i (log Σ_c e^{f_c(x_i)} − f_{y_i}(x_i)), in nats.

    With m the largest logit, the first term is m + log1p(sum of e^{f_c − m} over the other classes): unlike the usual
    formula, which rounds to zero below 1e-7 in float32, this one tells 1e-20 from 1e-30. So it shows the loss as it is,
    not as a training loop sees it; for that see `softmax_collapse`.

    Args:
        logits: shape (N, K).
        labels: integers in [0, K), shape (N,).
        num_classes: K; may be left out.

    Raises:
        ValueError: empty logits, labels of another length or outside [0, K).

    >>> import numpy as np
    >>> float(cross_entropy(np.array([[0.0, 0.0], [0.0, 50.0]]), np.array([0, 1]))).__round__(6)
    0.346574
    """
    xp, logits, offsets = columns(logits, labels, num_classes)
    lost = xp.max(logits, axis=1) - own_logits(xp, logits, offsets)
    return scalar(xp.mean(lost + xp.log1p(other_weights(xp, logits)[0])))


def squared_error(logits: Array, labels: Array, *, num_classes: int | None = None) -> Array:
    r"""Squared error to one-hot labels, summed over classes: (1/N) Σ_i Σ_c (f_c(x_i) − [y_i = c])².

    Divide by K for the mean over classes, and multiply by N for the sum over samples.

    Args:
        logits: f, shape (N, K).
        labels: integers in [0, K), shape (N,).
        num_classes: K; may be left out.

    Raises:
        ValueError: empty logits, labels of another length or outside [0, K).

    >>> import numpy as np
    >>> float(squared_error(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1])))
    1.0
    """
    xp, logits, offsets = columns(logits, labels, num_classes)
    return scalar(xp.mean(squared_norms(xp, logits - xp.astype(offsets == 0, logits.dtype))))


def columns(logits: Array, labels: Array, num_classes: int | None) -> tuple[Any, Array, Array]:
    """Namespace, real logits (N, K), and how far each column is to the right of the label's, shape (N, K)."""
    xp, logits = as_matrix("logits", logits)
    labels = known_labels(xp, labels, logits, "logits")
    if num_classes not in (None, logits.shape[1]):
        raise ValueError(f"num_classes = {num_classes}, but logits have shape {tuple(logits.shape)}")
    require_range(labels, logits.shape[1])
    own = as_index(xp, labels, logits)[:, None]
    return xp, logits, arange(xp, logits.shape[1], logits)[None, :] - own


def is_decided(xp: Any, logits: Array, offsets: Array) -> Array:
    """Whether the label's is the first of the largest logits, shape (N,). By comparing, so no NaN is ever right."""
    own = own_logits(xp, logits, offsets)[:, None]
    return xp.all((logits < own) | ((logits == own) & (offsets >= 0)), axis=1)


def own_logits(xp: Any, logits: Array, offsets: Array) -> Array:
    """The logit of the label, shape (N,)."""
    return xp.sum(xp.where(offsets == 0, logits, 0.0), axis=1)
