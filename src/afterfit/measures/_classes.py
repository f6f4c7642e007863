"""Class means and residuals that stay exact when a class is a thousand times smaller than the rounding of its mean.

A float32 mean of many samples carries a rounding error that can exceed the spread of a collapsed class. So every
sample is first compared with another sample of its own class (a difference of close floats is exact), the mean of these
small differences is taken, and only then subtracted. Class means are kept relative to one common sample for the same
reason: distances between close class means do not cancel either.

All measures of classes call `class_statistics` with the same arguments, so that XLA computes it once for all of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from afterfit.measures._arrays import (
    Array,
    arange,
    as_index,
    as_matrix,
    compacted,
    constant,
    diagonal,
    known_labels,
    product,
    require_range,
    squared_norms,
)


class ClassStatistics(NamedTuple):
    """N samples of d features in K classes; what a class without samples has is zero."""

    xp: Any
    counts: Array
    """Samples of each class, shape (K,), in the dtype of the features."""
    present: Array
    """Whether a class has samples, shape (K,)."""
    members: Array
    """One-hot labels, shape (N, K), in the dtype of the features."""
    reference: Array
    """The sample from which class means are told, shape (d,)."""
    offsets: Array
    """Class means minus the reference, shape (K, d)."""
    residuals: Array
    """Samples minus the mean of their class, shape (N, d)."""

    @property
    def num_present(self) -> Array:
        """How many classes have samples, in the dtype of the features."""
        return self.xp.sum(self.xp.astype(self.present, self.counts.dtype))

    @property
    def pairs(self) -> Array:
        """Which ordered pairs (c, c') are two different classes with samples, shape (K, K)."""
        other = ~diagonal(self.xp, self.counts.shape[0], self.counts)
        return self.present[:, None] & self.present[None, :] & other

    @property
    def class_variances(self) -> Array:
        """V_c: mean of ‖z_i − μ_c‖² over the samples of class c, shape (K,)."""
        squares = squared_norms(self.xp, self.residuals)[None, :]
        return product(self.xp, squares, self.members)[0, :] / self.xp.where(self.present, self.counts, 1.0)

    def centred_means(self) -> Array:
        """Class means minus the (unweighted) mean of class means, shape (K, d)."""
        mean = self.xp.sum(self.offsets, axis=0) / self.num_present
        return self.xp.where(self.present[:, None], self.offsets - mean, 0.0)


def class_statistics(features: Array, labels: Array, num_classes: int | None) -> ClassStatistics:
    """Check the input and compute what the measures of classes share. Cost O(N K d) in one matrix product."""
    xp, features, labels, num_classes = labelled(features, labels, num_classes)
    belongs = labels[:, None] == arange(xp, num_classes, features)[None, :]
    members = xp.astype(belongs, features.dtype)
    counts = xp.sum(members, axis=0)
    present = counts > 0
    some_member = xp.max(xp.where(belongs, arange(xp, features.shape[0], features)[:, None], 0), axis=0)
    # the result does not depend on which sample is the shift, so no gradient needs to flow through it
    shift = constant(xp, xp.take(features, some_member, axis=0))
    shifted = features - xp.take(shift, labels, axis=0)
    correction = product(xp, xp.permute_dims(members, (1, 0)), shifted) / xp.where(present, counts, 1.0)[:, None]
    reference = shift[0, :]
    return ClassStatistics(
        xp=xp,
        counts=counts,
        present=present,
        members=members,
        reference=reference,
        offsets=xp.where(present[:, None], (shift - reference) + correction, 0.0),
        residuals=shifted - xp.take(correction, labels, axis=0),
    )


def labelled(features: Array, labels: Array, num_classes: int | None) -> tuple[Any, Array, Array, int]:
    """Namespace, real features (N, d), labels in [0, K), and K: `num_classes`, or how many classes occur."""
    xp, features = as_matrix("features", features)
    labels = known_labels(xp, labels, features, "features")
    if num_classes is None:
        labels, num_classes = compacted(labels)
    else:
        require_range(labels, num_classes)
    return xp, features, as_index(xp, labels, features), num_classes
