"""How often something happens: shares of runs, with exact intervals."""

from __future__ import annotations

import numpy as np

from .results import Interval, Quantity


def share(count: int, n: int, *, level: float = 0.95) -> Quantity:
    """count / n with Clopper and Pearson's interval, which holds at least its level for every n and every share.

    Beta quantiles B(α/2; k, n - k + 1) and B(1 - α/2; k + 1, n - k). None of 20 gives [0, .168]: that something was
    never seen does not say that it never happens.

    Raises:
        ValueError: n below 1, or a count outside [0, n].

    Source: Clopper & Pearson 1934.

    >>> found = share(0, 20)
    >>> found.estimate, round(found.interval.high, 3)
    (0.0, 0.168)
    """
    if not (n >= 1 and 0 <= count <= n):
        raise ValueError(f"a share needs 0 ≤ count ≤ n and n of 1 or more, not {count} of {n}")
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, tail))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, 1 - tail))
    return Quantity(count / n, Interval(low, high, level), n, count, 0, "share, Clopper–Pearson")


def wilson(estimate: float, n: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval for a share of n, which holds its level on average over shares, not for every one.

    (p + z²/2n ± z √(p(1 - p)/n + z²/4n²)) / (1 + z²/n), z the normal quantile of (1 + level)/2. The share may be a mean
    of n shares, each between 0 and 1: their variance is p(1 - p) at most, so the interval is then wider than need be.

    Args:
        estimate: p, between 0 and 1.
        n: of how many independent ones.
        level: of the interval.

    Raises:
        ValueError: n below 1, or a share outside [0, 1].

    Source: Wilson 1927.

    >>> print(wilson(0.8, 10))
    [0.490162, 0.943318] (95 %)
    """
    if not (n >= 1 and 0 <= estimate <= 1):
        raise ValueError(f"a share needs to lie between 0 and 1, of 1 or more, not {estimate!r} of {n}")
    from scipy.special import ndtri

    z = float(ndtri((1 + level) / 2))
    middle = (estimate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(estimate * (1 - estimate) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = float(middle - half), float(middle + half)
    return Interval(0.0 if estimate == 0 else low, 1.0 if estimate == 1 else high, level)


def fractional_order_interval(values: np.ndarray, q: float, level: float) -> Interval:
    """An interval for a quantile from the order statistics, interpolated so that its level is nearly the one asked for.

    The ends are the order statistics of the fractional ranks (n + 1) u with I_q((n+1)u, (n+1)(1-u)) = (1 ± level)/2.
    Where n is too small for such a rank the end is infinite. Values may be infinite themselves.

    Source: Hutson 1999, equation 2.
    """
    from scipy.optimize import brentq
    from scipy.special import betainc

    n, ordered = len(values), np.sort(np.asarray(values, dtype=float))

    def rank(tail: float) -> float:
        return float(brentq(lambda u: betainc((n + 1) * u, (n + 1) * (1 - u), q) - tail, 1e-9, 1 - 1e-9))  # type: ignore[arg-type]

    low, high = (n + 1) * rank((1 + level) / 2), (n + 1) * rank((1 - level) / 2)
    return Interval(_at_rank(ordered, low, -np.inf), _at_rank(ordered, high, np.inf), level)


def _at_rank(ordered: np.ndarray, rank: float, beyond: float) -> float:
    if not 1 <= rank <= len(ordered):
        return beyond
    below = int(np.floor(rank))
    a, b = ordered[below - 1], ordered[min(below, len(ordered) - 1)]
    part = rank - below
    if part == 0 or a == b:
        return float(a)
    if np.isinf(a) or np.isinf(b):  # between a number and no number: the one that is further out
        return float(a if beyond < 0 else b)
    return float(a + part * (b - a))
