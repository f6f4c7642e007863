"""The last layer: logits W z + b, what softmax makes of them, and labels as rows of W."""

from __future__ import annotations

from typing import Any

from afterfit.measures._arrays import Array, as_real, compacted, known_labels, product, squared_norms, within


def require_head(features: Array, head_weight: Array, head_bias: Array | None = None) -> None:
    """Refuse a head (K, d) and (K,) that does not fit features (N, d)."""
    d, shape = features.shape[1], tuple(head_weight.shape)
    if len(shape) != 2 or shape[0] == 0 or shape[1] != d:
        raise ValueError(f"head_weight must have shape (classes, {d}) for {d} features, got {shape}")
    if head_bias is not None and tuple(head_bias.shape) != shape[:1]:
        bias = tuple(head_bias.shape)
        raise ValueError(f"head_bias must have shape ({shape[0]},), one a row of head_weight, got {bias}")


def head_logits(features: Array, head_weight: Array, head_bias: Array | None) -> Array:
    """W z + b of every sample, shape (N, K), once the shapes are known to fit."""
    require_head(features, head_weight, head_bias)
    xp, features, head_weight = as_real(features, head_weight)
    logits = product(xp, features, xp.permute_dims(head_weight, (1, 0)))
    return logits if head_bias is None else logits + as_real(head_bias)[1]


def softmax(xp: Any, logits: Array) -> Array:
    """e^{f_c} / Σ e^f of every sample, shape (N, K)."""
    weights = xp.exp(logits - xp.max(logits, axis=1, keepdims=True))
    return weights / xp.sum(weights, axis=1, keepdims=True)


def other_weights(xp: Any, logits: Array) -> tuple[Array, Array]:
    """Σ e_c and Σ e_c² over all classes but the likeliest, e_c = e^{f_c − max f}, both of shape (N,).

    They keep their digits where a softmax close to one-hot has none left: 1 − p_max = Σ e / (1 + Σ e). The maximum is
    found by comparing, classes that share it are counted: on a CPU that is several times cheaper than the argmax.
    """
    gaps = logits - xp.max(logits, axis=1, keepdims=True)
    shared = xp.sum(xp.astype(gaps == 0, logits.dtype), axis=1) - 1
    weights = xp.where(gaps < 0, xp.exp(gaps), 0.0)
    return xp.sum(weights, axis=1) + shared, squared_norms(xp, weights) + shared


def rows_of_head(features: Array, labels: Array, head_weight: Array, num_classes: int | None) -> tuple[Array, int]:
    """Labels as rows of the head, and how many rows it has."""
    require_head(features, head_weight)
    rows, shape = head_weight.shape[0], tuple(head_weight.shape)
    if num_classes not in (None, rows):
        raise ValueError(f"num_classes = {num_classes}, but head_weight of shape {shape} has {rows} rows")
    labels = known_labels(as_real(features)[0], labels, features, "features")
    if num_classes is None and within(labels, rows) is False:
        labels, found = compacted(labels)
        if found != rows:
            raise ValueError(
                f"labels must be rows of head_weight, 0 to {rows - 1}, or name {rows} classes; got {found}"
            )
    return labels, rows
