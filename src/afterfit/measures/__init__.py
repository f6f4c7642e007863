"""Measures of a network's features, head and outputs: pure functions from arrays to a number.

NumPy, PyTorch and JAX arrays go in, and a 0-d array of the same kind, dtype and device comes out (of `class_means` a
matrix). They work inside `jit`, `vmap` and autograd; there, those that take labels need `num_classes`, because which
classes occur is not known while tracing. Half precision is computed, and answered, in float32.
"""

from afterfit.measures.class_geometry import nc2, nc3, nc4, nearest_class_mean_accuracy
from afterfit.measures.collapse import (
    between_class_variance,
    cdnv,
    class_means,
    nc1,
    rnc1,
    within_class_variance,
)
from afterfit.measures.entropy import effective_rank, participation_ratio, spectral_entropy
from afterfit.measures.fit import accuracy, cross_entropy, squared_error
from afterfit.measures.flatness import relative_flatness, relative_flatness_bound
from afterfit.measures.norms import stable_rank, weight_norm
from afterfit.measures.numerics import softmax_collapse

__all__ = [
    "accuracy",
    "between_class_variance",
    "cdnv",
    "class_means",
    "cross_entropy",
    "effective_rank",
    "nc1",
    "nc2",
    "nc3",
    "nc4",
    "nearest_class_mean_accuracy",
    "participation_ratio",
    "relative_flatness",
    "relative_flatness_bound",
    "rnc1",
    "softmax_collapse",
    "spectral_entropy",
    "squared_error",
    "stable_rank",
    "weight_norm",
    "within_class_variance",
]
