"""In which phase a run is, and where its measures are going: by declared rules, each with the number behind it.

Phases, the first that fits:

- diverging: a loss or a parameter is no finite number, or the training loss is far above its lowest;
- fitting: training accuracy has not yet been at the bound of "memorised";
- generalised: test accuracy has reached its bound;
- transition: test accuracy rose by more than `rise` over the last `window` observations;
- collapsed without generalising: the within-class spread (RNC1) or the spectral entropy of the training features has
  fallen to a share of its largest value, and test accuracy has neither arrived nor is it rising;
- memorised: the training set is fitted, and nothing moves on the test set yet.

Truong et al. 2026 have three of them (I: train < .95; II: waiting; III: after); the others are what users have to tell
apart from waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

PhaseName = Literal[
    "fitting", "memorised", "transition", "generalised", "diverging", "collapsed without generalising", "unknown"
]
Direction = Literal["rising", "falling", "flat", "unknown"]
SPREAD, ENTROPY = "train/rnc1", "train/spectral_entropy"
FEWEST = 4  # observations, for a trend: of three, every order has p ≥ 1/3


@dataclass(frozen=True)
class PhaseRules:
    """The bounds of the phases.

    Attributes:
        memorised: training accuracy from which a run is no longer fitting.
        generalised: test accuracy at which it has arrived.
        rise: of test accuracy, within the window, that makes a transition.
        window: observations that are looked back on.
        spread_share: of its largest value so far, at which RNC1 counts as collapsed.
        entropy_share: of its largest value so far, at which the spectral entropy counts as collapsed.
        divergence: how many times its lowest the training loss may be.
    """

    memorised: float = 0.99
    generalised: float = 0.99
    rise: float = 0.05
    window: int = 10
    spread_share: float = 0.05
    entropy_share: float = 0.5
    divergence: float = 100.0


@dataclass(frozen=True)
class Phase:
    """Where a run is.

    Attributes:
        name: of the phase.
        because: the numbers that put it there.
    """

    name: PhaseName
    because: str

    def __str__(self) -> str:
        """The name and why."""
        return f"{self.name}: {self.because}"


@dataclass(frozen=True)
class Trend:
    """Where a measure is going.

    Attributes:
        direction: "rising" or "falling" when p < .05, else "flat"; "unknown" for fewer than four observations.
        slope: median change per 1,000 steps (Theil & Sen).
        p: of Kendall's test of no trend, two-sided.
        last: the last value.
        n: observations.
    """

    direction: Direction
    slope: float
    p: float
    last: float
    n: int

    def __str__(self) -> str:
        """One line."""
        if self.direction == "unknown":
            return f"{self.last:.4g} (fewer than {FEWEST} observations)"
        return f"{self.last:.4g}, {self.direction} ({self.slope:+.3g} per 1,000 steps, p = {self.p:.2g})"


Record = Mapping[str, np.ndarray]


def phase_of(record: Record, rules: PhaseRules = PhaseRules()) -> Phase:
    """The phase at the last observation.

    Args:
        record: {"step": (n,), "train/loss": (n,), …}; measures that are missing are done without.
        rules: the bounds.
    """
    if not len(record["step"]):
        return Phase("unknown", "nothing was observed yet")
    diverging = _diverging(record, rules)
    if diverging:
        return Phase("diverging", diverging)
    train = record.get("train/accuracy")
    if train is None:
        return Phase("unknown", "training accuracy is not observed")
    best = _largest(train)
    if best < rules.memorised:
        return Phase("fitting", f"training accuracy {best:.3f} is below {rules.memorised}")
    fitted = f"training accuracy {best:.3f} has reached {rules.memorised}"
    test = record.get("test/accuracy")
    if test is None:
        return Phase("memorised", f"{fitted}; without test data more cannot be told")
    if _largest(test) >= rules.generalised:
        return Phase("generalised", f"test accuracy {_largest(test):.3f} has reached {rules.generalised}")
    recent = test[-rules.window :]
    rise = float(recent[-1] - np.nanmin(recent))
    moved = f"test accuracy {test[-1]:.3f} rose by {rise:.3f} over the last {len(recent)} observations"
    if rise > rules.rise:
        return Phase("transition", f"{moved}, more than {rules.rise}")
    collapsed = _collapsed(record, rules)
    if collapsed:
        return Phase("collapsed without generalising", f"{collapsed}, and {moved}")
    return Phase("memorised", f"{fitted}, and {moved}")


def trend_of(steps: np.ndarray, values: np.ndarray, *, window: int = 10) -> Trend:
    """Where a measure is going over its last observations.

    The slope is the median of all slopes between two observations; the test is Kendall's τ of value and step, exact for
    few observations. Both are blind to the measure's scale and to single outliers.

    Args:
        steps: shape (n,).
        values: shape (n,); NaN is passed over.
        window: observations that are looked back on.

    Source: Theil 1950; Sen 1968; Kendall 1938 (Mann 1945).

    >>> str(trend_of(np.arange(0, 1_000, 100), np.linspace(1, 0.1, 10)))
    '0.1, falling (-1 per 1,000 steps, p = 5.5e-07)'
    """
    from scipy.stats import kendalltau, theilslopes

    there = np.isfinite(values)
    steps, values = np.asarray(steps, float)[there][-window:], np.asarray(values, float)[there][-window:]
    last = float(values[-1]) if len(values) else float("nan")
    if len(values) < FEWEST:
        return Trend("unknown", float("nan"), float("nan"), last, len(values))
    if np.ptp(values) == 0:
        return Trend("flat", 0.0, 1.0, last, len(values))
    slopes: Any = theilslopes(values, steps)
    test: Any = kendalltau(steps, values)
    slope, p = 1_000 * float(slopes.slope), float(test.pvalue)
    direction: Direction = "flat" if p >= 0.05 or slope == 0 else "rising" if slope > 0 else "falling"
    return Trend(direction, slope, p, last, len(values))


def _largest(values: np.ndarray) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else float("nan")


def _diverging(record: Record, rules: PhaseRules) -> str | None:
    for name in ("train/loss", "weight_norm"):
        if name in record and not np.isfinite(record[name][-1]):
            return f"{name} is {record[name][-1]} at step {int(record['step'][-1]):,}"
    loss = record.get("train/loss")
    if loss is None:
        return None
    # The first observation is the untrained network's: a loss may well rise from there for a while.
    lowest, last = float(np.nanmin(loss)), float(loss[-1])
    if len(loss) > 2 and last > rules.divergence * lowest and last > float(loss[0]):
        return f"the training loss is {last:.4g}, its lowest was {lowest:.4g} and its first {float(loss[0]):.4g}"
    return None


def _collapsed(record: Record, rules: PhaseRules) -> str | None:
    for name, share in ((SPREAD, rules.spread_share), (ENTROPY, rules.entropy_share)):
        if name in record and record[name][-1] <= share * _largest(record[name]):
            largest = _largest(record[name])
            return f"{name} is {record[name][-1]:.4g}, at most {share} of its largest value {largest:.4g}"
    return None
