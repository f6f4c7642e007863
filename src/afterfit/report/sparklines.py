"""Curves in a line of text."""

from __future__ import annotations

import math

import numpy as np

BLOCKS = "▁▂▃▄▅▆▇█"
DECADES = 2.0  # values that span more are drawn by their logarithms


def sparkline(steps: np.ndarray, values: np.ndarray, width: int, limits: tuple[float, float] | None = None) -> str:
    """A measure over a run in `width` characters, from its first to its last step.

    Character i shows the last value seen by step first + (last − first)·(i+1)/width, at one of eight heights between
    the limits, or between the smallest and the largest value; by logarithms if these are above 0 and lie more than two
    decades apart. A space where nothing was seen yet; a middle height where all values are equal.

    Args:
        steps: shape (n,), increasing.
        values: shape (n,); what is not finite is passed over.
        width: characters.
        limits: of the scale, for measures that have one.

    >>> sparkline(np.arange(8), np.arange(8.0), 8)
    '▁▂▃▄▅▆▇█'
    """
    there = np.isfinite(values)
    steps, values = np.asarray(steps, float)[there], np.asarray(values, float)[there]
    if not len(values):
        return " " * width
    low, high = limits or (float(values.min()), float(values.max()))
    if limits is None and low > 0 and math.log10(high / low) > DECADES:
        values, low, high = np.log(values), math.log(low), math.log(high)
    ends = steps[0] + (steps[-1] - steps[0]) * np.arange(1, width + 1) / width
    last = np.searchsorted(steps, ends * (1 + 1e-12), side="right") - 1
    if high == low:
        return BLOCKS[3] * width
    heights = np.clip((values[last] - low) / (high - low), 0, 1) * (len(BLOCKS) - 1)
    return "".join(BLOCKS[int(height)] for height in np.round(heights))
