"""Differences between arms: paired by seed, in units of spread, and many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from ._resampling import DRAWS, how, share_as_extreme, sign_flips
from .proportions import share
from .rank_tests import few_rearrangements, order_matrix
from .results import Comparison, Interval, number
from .survival import kaplan_meier
from .times import Times, TimesLike, as_times, counts, paired, pooled


def paired_difference(
    a: TimesLike,
    b: TimesLike,
    *,
    tau: float | None = None,
    interval: Literal["percentile_t", "student"] = "percentile_t",
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    r"""By how much a differs from b on average, seed by seed.

    d_i = a_i - b_i. `p` is the share of all 2^n choices of signs whose |Σ ± d_i| is as large as |Σ d_i|: exact when a
    and b are exchangeable within a seed, that is when the difference is as often d as -d. (Dividing by a standard error
    changes nothing: Σ d² is the same for all signs.) The interval is percentile-t: quantiles of (d̄* - d̄)/s(d̄*) of
    resampled differences, so that it is right to second order when differences are skew. BCa and plain percentiles
    are too narrow with ten seeds; docs/statistics.md has the measured coverage of both.

    Args:
        a: one value a seed: numbers of any kind (a final measure, a step), or `Times`.
        b: the same of the control. `Times` with seeds are put in the order of their seeds.
        tau: for times of which some are censored: compare min(T, tau), a horizon fixed before looking, such as the
            budget. A run that never has the event then counts tau. Runs that ended before tau cannot be compared so:
            see `paired_rank_test`.
        interval: "percentile_t", or "student": d̄ ± t s(d)/√n with n - 1 degrees of freedom, right for normal
            differences. With three to five pairs, or ties, many resamples have no spread, and percentile-t no ends.
        level: of the interval.
        draws: resamples, and random signs unless all are no more than that.
        seed: of both.

    Raises:
        ValueError: censored times without tau, or a run lost before tau; seeds that do not match; fewer than two pairs.

    Source: Fisher 1935; Pitman 1937 (signs); Efron 1981, Hall 1988 (percentile-t). Cost O(draws n).

    >>> found = paired_difference([5000, 5200, 6100, 7000, 5600, 5900], [4000, 4500, 4700, 5100, 5000, 5100])
    >>> found.estimate.__round__(2), found.p
    (1066.67, 0.03125)
    """
    (x, y), runs = _numbers(a, b, tau, by_seed=True)
    differences = _differences(x, y)
    flips, exact = sign_flips(len(differences), draws, seed)
    sums = flips @ differences
    student = interval == "student"
    found, warning = _student(differences, level) if student else percentile_t(differences, level, draws, seed)
    within = "" if tau is None else f" of min(T, {number(tau)})"
    name = "Student's" if student else "percentile-t"
    return Comparison(
        float(differences.mean()),
        found,
        share_as_extreme(sums),
        float(sums[0]),
        **runs,
        method=f"paired difference{within}, p from {how(exact, len(flips), seed)}, {name} interval",
        warning=few_rearrangements(exact, len(flips)) or warning,
    )


def _numbers(
    a: TimesLike, b: TimesLike, tau: float | None, *, by_seed: bool
) -> tuple[tuple[np.ndarray, np.ndarray], dict[str, tuple[int, ...]]]:
    """The values of both arms, restricted to tau, in the same order if by seed; and what is told about the runs."""
    arms = (as_times(a), as_times(b))
    arms = paired(*arms) if by_seed else arms
    if tau is not None:
        return (arms[0].restricted(tau), arms[1].restricted(tau)), counts(arms)
    censored = len(arms[0]) + len(arms[1]) - arms[0].events - arms[1].events
    if censored:
        other = " or use paired_rank_test" if by_seed else " or use mann_whitney"
        raise ValueError(f"{censored} of {len(arms[0]) + len(arms[1])} runs are censored: give tau,{other}")
    return (arms[0].time, arms[1].time), counts(arms)


def _differences(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if len(x) < 2:
        raise ValueError(f"two pairs at least are needed, not {len(x)}")
    return x - y


def _student(values: np.ndarray, level: float) -> tuple[Interval, str | None]:
    """Student's interval for a mean, and what is wrong with it, if anything."""
    from scipy.special import stdtrit

    n, mean = len(values), float(values.mean())
    half = float(stdtrit(n - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(n))
    return Interval(mean - half, mean + half, level), None if half > 0 else "all values are equal: they bound nothing"


def percentile_t(values: np.ndarray, level: float, draws: int, seed: int) -> tuple[Interval, str | None]:
    """An interval for a mean from resampled t statistics, and what is wrong with it, if anything."""
    n, mean, error = len(values), values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    if not error > 1e-12 * np.abs(values).max(initial=0):
        return Interval(float(mean), float(mean), level), "all values are equal: they bound nothing"
    samples = values[np.random.default_rng(seed).integers(0, n, (draws, n))]
    errors = samples.std(axis=1, ddof=1) / np.sqrt(n)
    shifts = samples.mean(axis=1) - mean
    spread = np.where(errors > 1e-9 * error, errors / error, 0.0)  # all alike, but for rounding: no spread
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(np.abs(shifts) > 1e-9 * error, shifts / error / spread, 0.0)
    low, high = np.quantile(t, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    interval = Interval(float(mean - high * error), float(mean - low * error), level)
    bounded = np.isfinite(interval.low) and np.isfinite(interval.high)
    return interval, None if bounded else "too few different values to bound the mean"


def paired_rank_test(
    a: TimesLike, b: TimesLike, *, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    r"""Whether the event comes later in a than in b, seed by seed, with any runs censored: Prentice–Wilcoxon.

    Every run gets a score from the Kaplan–Meier curve S of all runs of both arms together, larger for later:
    1 - S(t) - S(t-) for an event at t, 1 - S(t) for a run censored at t. `p` is the share of all 2^n choices of signs
    whose |Σ ± (score_a - score_b)| is as large as the observed: exact when a and b are exchangeable within a seed, the
    censoring included (the same budget for both), and right for many pairs when they only spread differently, each
    symmetrically about the same middle.

    The estimate is the share of pairs in which a is later, of those whose order is known, with Clopper and Pearson's
    interval. For differences of rates late in training, use `log_rank` with `by_seed`.

    Args:
        a: times of one arm.
        b: times of the other.
        level: of the interval.
        draws: random signs, unless all are no more than that.
        seed: of the random signs.

    Source: O'Brien & Fleming 1987; Peto & Peto 1972 (scores with ties). Cost O(draws n).

    >>> a = Times([5000, 5200, 6100, 8000, 5600, 8000], [False, False, False, True, False, True])
    >>> found = paired_rank_test(a, [4000, 4500, 4700, 5100, 5000, 5100])
    >>> found.estimate, found.p
    (1.0, 0.03125)
    """
    first, second = paired(as_times(a), as_times(b))
    n = len(first)
    if n < 2:
        raise ValueError(f"two pairs at least are needed, not {n}")
    together = pooled([first, second])
    scores = _scores(together)
    flips, exact = sign_flips(n, draws, seed)
    sums = flips @ (scores[:n] - scores[n:])
    order = order_matrix(together)[np.arange(n), n + np.arange(n)]
    known = int(np.sum(order != 0.5))
    later = share(int(np.sum(order == 1)), known, level=level) if known else None
    return Comparison(
        np.nan if later is None else later.estimate,
        None if later is None else later.interval,
        share_as_extreme(sums),
        float(sums[0]),
        **counts((first, second)),
        method=f"paired Prentice–Wilcoxon, p from {how(exact, len(flips), seed)}",
        warning=few_rearrangements(exact, len(flips)) or (None if known else "no pair whose order is known"),
    )


def _scores(times: Times) -> np.ndarray:
    """Prentice–Wilcoxon scores, which sum to 0."""
    curve = kaplan_meier(times)
    values = np.concatenate([[1.0], curve.survival])
    place = np.searchsorted(curve.time, times.time, side="right")
    return 1 - values[place] - np.where(times.censored, 0.0, values[np.maximum(place - 1, 0)])


def hedges_g(
    a: TimesLike, b: TimesLike, *, by_seed: bool = False, tau: float | None = None, level: float = 0.95
) -> Comparison:
    r"""The difference of means in units of the spread, (ā - b̄) / √((s_a² + s_b²)/2), corrected for small samples.

    The estimate is multiplied by 1 - 3/(4 ν - 1), ν the degrees of freedom; the interval is Bonett's, around the
    uncorrected quotient, with variance

        unpaired: δ²(s_a⁴/ν_a + s_b⁴/ν_b)/(8 s⁴) + (s_a²/ν_a + s_b²/ν_b)/s²
        by seed:  δ²(s_a⁴ + s_b⁴ + 2 r² s_a² s_b²)/(8 ν s⁴) + (s_a² + s_b² - 2 r s_a s_b)/(ν s²)

    with ν = n - 1 and s² = (s_a² + s_b²)/2. Neither takes the arms to spread alike; both take normal values. The unit
    is the spread between runs in both cases, so a paired and an unpaired g can be compared. `p` is NaN: test with
    `paired_difference` or `mann_whitney`.

    Args:
        a: values of one arm.
        b: values of the other.
        by_seed: whether they are paired.
        tau: for times of which some are censored, compare min(T, tau).
        level: of the interval.

    Source: Hedges 1981; Bonett 2008, equations 10 and 13. Cost O(n).

    >>> found = hedges_g([5.0, 6.0, 7.0, 8.0], [4.0, 5.0, 6.0, 7.0])
    >>> round(found.estimate, 3)
    0.674
    """
    (x, y), runs = _numbers(a, b, tau, by_seed=by_seed)
    if min(len(x), len(y)) < 2 or (by_seed and len(x) != len(y)):
        raise ValueError(f"two runs an arm at least are needed, and as many in both by_seed: {len(x)} and {len(y)}")
    spread = (x.var(ddof=1) + y.var(ddof=1)) / 2
    if not spread > 0:
        raise ValueError("all values are equal in each arm: there is no spread to measure by")
    freedom = len(x) - 1 if by_seed else len(x) + len(y) - 2
    delta = float((x.mean() - y.mean()) / np.sqrt(spread))
    half = NormalDist().inv_cdf((1 + level) / 2) * np.sqrt(_bonett(x, y, delta, spread, by_seed))
    method = f"Hedges' g{' by seed' if by_seed else ''}, Bonett's interval"
    interval = Interval(delta - half, delta + half, level)
    return Comparison(delta * (1 - 3 / (4 * freedom - 1)), interval, np.nan, delta, **runs, method=method, warning=None)


def _bonett(x: np.ndarray, y: np.ndarray, delta: float, spread: float, by_seed: bool) -> float:
    a, b = x.var(ddof=1) / spread, y.var(ddof=1) / spread
    if not by_seed:
        nu_a, nu_b = len(x) - 1, len(y) - 1
        return delta**2 * (a**2 / nu_a + b**2 / nu_b) / 8 + a / nu_a + b / nu_b
    nu, both = len(x) - 1, float(np.cov(x, y)[0, 1]) / spread
    return delta**2 * (a**2 + b**2 + 2 * both**2) / (8 * nu) + (a + b - 2 * both) / nu


@dataclass(frozen=True)
class Adjusted:
    """P values of several tests, adjusted so that one false rejection among all of them has at most the level.

    Attributes:
        p: adjusted, by name, in the order given.
        rejected: whether each is at or below the level.
        level: of the whole.
        method: what was done.
    """

    p: Mapping[Any, float]
    rejected: Mapping[Any, bool]
    level: float
    method: str = "Holm"

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {p:.3g}{' *' if self.rejected[name] else ''}" for name, p in self.p.items())
        return f"{shown} ({self.method}, * at {self.level:g} for all together)"


def holm(p: Mapping[Any, float], *, level: float = 0.05) -> Adjusted:
    """P values of several measures tested at once: p_(i) becomes max_{j ≤ i} min(1, (m - j + 1) p_(j)).

    However the tests depend on each other, all rejections at the level are right with probability 1 - level at least.
    All measures that were looked at must be among them.

    Source: Holm 1979.

    >>> {name: round(p, 3) for name, p in holm({"rnc1": 0.01, "entropy": 0.04, "flatness": 0.03}).p.items()}
    {'rnc1': 0.03, 'entropy': 0.06, 'flatness': 0.06}
    """
    given = np.array(list(p.values()), dtype=float)
    if not len(given) or not np.all((given >= 0) & (given <= 1)):
        raise ValueError(f"p values must lie in [0, 1], and be one at least, not {given.tolist()}")
    order = np.argsort(given, kind="stable")
    raised = np.minimum(1.0, np.maximum.accumulate(given[order] * (len(given) - np.arange(len(given)))))
    adjusted = np.empty(len(given))
    adjusted[order] = raised
    values = dict(zip(p, adjusted.tolist(), strict=True))
    return Adjusted(values, {name: each <= level for name, each in values.items()}, level)
