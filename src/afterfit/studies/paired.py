"""Two courses of one seed, held against each other."""

from __future__ import annotations

import math

import numpy as np

Course = tuple[np.ndarray, np.ndarray]
"""Steps and values."""


def mean_gap(a: Course, b: Course, until: float) -> float:
    """The mean of a − b over the steps that both have, up to one; NaN if there is none."""
    common, here, there = np.intersect1d(a[0], b[0], return_indices=True)
    open_yet = common <= until
    return float(np.mean((a[1][here] - b[1][there])[open_yet])) if open_yet.any() else math.nan
