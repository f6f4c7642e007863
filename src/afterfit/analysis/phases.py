"""In which phase a run is, and where its measures are going: by declared rules, each with the number behind it.

Phases, the first that fits:

- diverging: a loss or a parameter is no finite number, or the training loss is far above its lowest;
- fitting: training accuracy has not yet been at the bound of "memorised";
- generalised: test accuracy has been at its bound, whether or not it has left it since;
- transition: test accuracy rose by more than `rise` over the last `window` observations;
- collapsed without generalising: the within-class spread (RNC1) or the spectral entropy of the training features has
  fallen to a share of its largest value, and test accuracy is neither halfway to its bound nor is it rising;
- memorised: the training set is fitted, and nothing moves on the test set yet.

Truong et al. 2026 have three of them (I: train < .95; II: waiting; III: after); the others are what users have to tell
apart from waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

PhaseName = Literal[
    "fitting", "memorised", "transition", "generalised", "diverging", "collapsed without generalising", "unknown"
]
Direction = Literal["rising", "falling", "flat", "unknown"]
SPREAD, ENTROPY = "train/rnc1", "train/spectral_entropy"
# What is said of a run in words; all other trends can be asked for.
MAIN: Mapping[str, str] = {
    "test/accuracy": "test accuracy",
    SPREAD: "RNC1",
    "train/nc2": "NC2",
    ENTROPY: "spectral entropy",
    "train/relative_flatness": "relative flatness",
    "weight_norm": "weight norm",
}
FEWEST = 5  # observations, for a trend: of four, every order has p ≥ 1/12


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
        halfway: share of `generalised`, from which on a test accuracy is not one of a run that does not generalise.
        divergence: how many times its lowest the training loss may be.

    Raises:
        ValueError: a window of fewer than two observations, or a bound that no accuracy and no share can be at.
    """

    memorised: float = 0.99
    generalised: float = 0.99
    rise: float = 0.05
    window: int = 10
    spread_share: float = 0.05
    entropy_share: float = 0.5
    halfway: float = 0.5
    divergence: float = 100.0

    def __post_init__(self) -> None:
        """Refuse bounds that mean nothing."""
        if self.window < 2:
            raise ValueError(f"window = {self.window}: must be 2 observations or more")
        for name in ("memorised", "generalised", "rise", "spread_share", "entropy_share", "halfway"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be above 0 and at most 1")
        if not self.divergence > 1:
            raise ValueError(f"divergence = {self.divergence}: must be above 1")

    @classmethod
    def declared(cls, rules: Iterable[Mapping[str, Any]]) -> PhaseRules:
        """The usual bounds, with those of the events "memorised" and "generalised" where a run declares them.

        Args:
            rules: as the store keeps them: {"name": "generalised", "measure": "test/accuracy", "at_least": .85, …}.
        """
        measures = {"memorised": "train/accuracy", "generalised": "test/accuracy"}
        named = [rule for rule in rules if measures.get(rule.get("name", "")) == rule.get("measure", "none")]
        bounds = {rule["name"]: rule["at_least"] for rule in named if rule.get("at_least") is not None}
        return replace(cls(), **bounds)


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
        direction: "rising" or "falling" when p < .05, else "flat"; "unknown" for fewer than five observations.
        slope: median change per 1,000 steps (Theil & Sen).
        p: of Kendall's test of no trend, two-sided.
        last: the last value.
        n: observations.
        first: the value at the beginning of the window.
    """

    direction: Direction
    slope: float
    p: float
    last: float
    n: int
    first: float = float("nan")

    def __str__(self) -> str:
        """One line."""
        if self.direction == "unknown":
            return f"{self.last:.4g} (fewer than {FEWEST} observations)"
        return f"{self.last:.4g}, {self.direction} ({self.slope:+.3g} per 1,000 steps, p = {self.p:.2g})"


Record = Mapping[str, np.ndarray]


def phase_of(record: Record, rules: PhaseRules = PhaseRules()) -> Phase:
    """The phase at the last observation.

    Args:
        record: {"step": (n,), "train/loss": (n,), …}; measures that are missing are done without, and so are single
            values of accuracies, RNC1 and entropy that are NaN.
        rules: the bounds.
    """
    if not len(record["step"]):
        return Phase("unknown", "nothing was observed yet")
    diverging = _diverging(record, rules)
    if diverging:
        return Phase("diverging", diverging)
    train = _seen(record, "train/accuracy")
    if not len(train):
        return Phase("unknown", "training accuracy is not observed")
    if train.max() < rules.memorised:
        return Phase("fitting", f"training accuracy was {train.max():.3f} at best, below {rules.memorised}")
    fitted = f"training accuracy {train.max():.3f} has reached {rules.memorised}"
    test = _seen(record, "test/accuracy")
    if not len(test):
        return Phase("memorised", f"{fitted}; without test data more cannot be told")
    if test.max() >= rules.generalised:
        return Phase("generalised", f"test accuracy {test.max():.3f} has reached {rules.generalised}")
    recent = test[-rules.window :]
    rise = float(recent[-1] - recent.min())
    moved = f"test accuracy {test[-1]:.3f} rose by {rise:.3f} over the last {_observations(len(recent))}"
    if rise > rules.rise:
        return Phase("transition", f"{moved}, more than {rules.rise}")
    moved += f", not more than {rules.rise}"
    collapsed = _collapsed(record, rules)
    if collapsed and test.max() < rules.halfway * rules.generalised:
        return Phase("collapsed without generalising", f"{collapsed}, and {moved}")
    return Phase("memorised", f"{fitted}, and {moved}")


def trend_of(steps: np.ndarray, values: np.ndarray, *, window: int = 10) -> Trend:
    """Where a measure is going over its last observations.

    The slope is the median of all slopes between two observations; the test is Kendall's τ of value and step, exact for
    few observations. Both are blind to the measure's scale and to single outliers. Kendall's test takes observations
    for independent, which those of one run are not: p tells strong trends from weak ones, and is no error rate.

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
        return Trend("unknown", float("nan"), float("nan"), last, len(values), *values[:1])
    if np.ptp(values) == 0:
        return Trend("flat", 0.0, 1.0, last, len(values), last)
    slopes: Any = theilslopes(values, steps)
    test: Any = kendalltau(steps, values)
    slope, p = 1_000 * float(slopes.slope), float(test.pvalue)
    direction: Direction = "flat" if p >= 0.05 or slope == 0 else "rising" if slope > 0 else "falling"
    return Trend(direction, slope, p, last, len(values), float(values[0]))


def _seen(record: Record, name: str) -> np.ndarray:
    """A measure's finite values; none of one that is not observed."""
    values = np.asarray(record.get(name, ()), float)
    return values[np.isfinite(values)]


def _observations(count: int) -> str:
    return "observation" if count == 1 else f"{count} observations"


def _diverging(record: Record, rules: PhaseRules) -> str | None:
    for name in ("train/loss", "weight_norm"):
        if name in record and not np.isfinite(record[name][-1]) and _was_looked_at(record, name):
            return f"{name} is {record[name][-1]} at step {int(record['step'][-1]):,}"
    loss = _seen(record, "train/loss")
    # The first observation is the untrained network's: a loss may well rise from there for a while.
    if len(loss) > 2 and loss[-1] > rules.divergence * loss.min() and loss[-1] > loss[0]:
        lowest = f"more than {rules.divergence:g} times its lowest {loss.min():.4g} and above its first {loss[0]:.4g}"
        return f"the training loss is {loss[-1]:.4g}, {lowest}"
    return None


def _was_looked_at(record: Record, name: str) -> bool:
    """Whether a value of the last observation came out as no number, and not because its split was left out.

    Both are NaN. A split was left out when none of its measures has a value there, and something else has.
    """
    split, slash, _ = name.partition("/")
    if not slash or np.isinf(record[name][-1]):
        return True
    finite = {other: bool(np.isfinite(values[-1])) for other, values in record.items() if other != "step"}
    return any(there for other, there in finite.items() if other.startswith(f"{split}/")) or not any(finite.values())


def _collapsed(record: Record, rules: PhaseRules) -> str | None:
    for name, share in ((SPREAD, rules.spread_share), (ENTROPY, rules.entropy_share)):
        values = _seen(record, name)
        if len(values) and values[-1] <= share * values.max():
            return f"{MAIN[name]} is {values[-1]:.4g}, at most {share} of its largest value {values.max():.4g}"
    return None
