"""What the claims read from a sweep's observations: arms by seed, values at common steps, times, differences by seed.

All of it is plain functions of observations and events, so that the claims can be tried on runs whose truth is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import paired_difference
from afterfit.analysis.results import Comparison
from afterfit.analysis.times import Times
from afterfit.studies.paired import Course, mean_gap
from afterfit.studies.study import Measured

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

STRENGTH = "interventions.0.strength"
USUAL_FRACTION = 0.5  # of the pairs, by the paper's text; its code has .2
LEAST_PAIRS = 3  # with two, an interval says next to nothing
FLATNESS = {"exact": "train/relative_flatness", "bound": "train/relative_flatness_bound"}
CLUSTERING, ACCURACY, NORM = "train/cdnv", "test/accuracy", "weight_norm"

Arm = Mapping[int, int]
"""Member by seed."""


def arm(observations: xr.Dataset, labels: Mapping[str, Any] | None = None) -> dict[int, int]:
    """The members whose varied fields have these values, by seed."""
    there = np.ones(observations.sizes["member"], dtype=bool)
    for field, value in (labels or {}).items():
        if field not in observations.coords:
            return {}
        held = observations[field].values
        there &= np.isclose(held, value) if held.dtype.kind in "if" else held == str(value)
    seeds, members = observations["seed"].values[there], observations["member"].values[there]
    return dict(sorted(zip(seeds.tolist(), members.tolist(), strict=True)))


def strengths(observations: xr.Dataset) -> list[float]:
    """The strengths of the penalty that were run, in order."""
    return sorted(set(observations[STRENGTH].values.tolist())) if STRENGTH in observations.coords else []


def course(observations: xr.Dataset, member: int, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one member's measure, where it was observed and finite."""
    values = np.asarray(observations[measure].sel(member=member).values, dtype=float)
    there = np.isfinite(values)
    return np.asarray(observations["step"].values)[there], values[there]


def value_at(observations: xr.Dataset, member: int, measure: str, step: float = np.inf) -> float:
    """A member's last finite value up to a step; NaN where there is none."""
    steps, values = course(observations, member, measure)
    before = values[steps <= step]
    return float(before[-1]) if len(before) else np.nan


def last_step(observations: xr.Dataset, member: int) -> int:
    """The last step at which a member was observed."""
    everything = np.stack([each.sel(member=member).values for each in observations.data_vars.values()])
    return int(observations["step"].values[np.isfinite(everything).any(axis=0)][-1])


def ends(
    treated: tuple[xr.Dataset, Arm], control: tuple[xr.Dataset, Arm], measure: str, step: float = np.inf
) -> tuple[list[float], list[float]]:
    """A measure of both arms, seed by seed, at the last step (up to `step`) at which both of a pair were observed."""
    (a, of_a), (b, of_b) = treated, control
    pairs = [(of_a[seed], of_b[seed]) for seed in of_a if seed in of_b]
    until = [min(last_step(a, i), last_step(b, j), step) for i, j in pairs]
    found = [
        (value_at(a, i, measure, at), value_at(b, j, measure, at)) for (i, j), at in zip(pairs, until, strict=True)
    ]
    return [x for x, _ in found], [y for _, y in found]


def mean_doublings(
    treated: tuple[xr.Dataset, Arm], control: tuple[xr.Dataset, Arm], measure: str, until: Mapping[int, float]
) -> list[float]:
    """log₂ of the ratio of a measure in both arms, seed by seed: the mean over common steps up to one for each seed.

    A seed without such a step, or with a value that is not above 0, gives NaN.
    """
    (a, of_a), (b, of_b) = treated, control
    pairs = {seed: (_logs(a, of_a[seed], measure), _logs(b, of_b[seed], measure)) for seed in of_a if seed in of_b}
    return [mean_gap(*pair, until.get(seed, -1)) for seed, pair in pairs.items()]


def _logs(observations: xr.Dataset, member: int, measure: str) -> Course:
    steps, values = course(observations, member, measure)
    return steps, np.array(logarithms(values))


def last_values(observations: xr.Dataset, members: Arm, measure: str) -> list[float]:
    """Every member's own last value, in the order of seeds."""
    return [value_at(observations, member, measure) for member in members.values()]


def times(events: pd.DataFrame, members: Arm, event: str, budget: int) -> Times:
    """When an event came in each run of an arm.

    A run without it is censored at the budget, also one that diverged: it is known not to have the event within it.
    """
    rows = events.loc[list(members.values())]
    censored = rows[f"{event}_censored"].to_numpy(dtype=bool)
    seen, after = (rows[name].to_numpy(dtype=float, na_value=np.nan) for name in (event, f"{event}_after"))
    seeds = np.array(list(members), dtype=int)
    return Times(np.where(censored, budget, seen), censored, np.where(np.isnan(after), -1, after), seeds)


def difference(a: Sequence[float], b: Sequence[float]) -> Comparison | None:
    """The mean of a − b over pairs, with its interval; None with fewer than three pairs of finite numbers.

    Student's interval: of four or five seeds, with times that tie, percentile-t has no ends.
    """
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    there = np.isfinite(x) & np.isfinite(y)
    enough = there.sum() >= LEAST_PAIRS
    return paired_difference(x[there], y[there], interval="student") if enough else None


def mean_of(values: Sequence[float]) -> Comparison | None:
    """The mean over runs, with its interval; None with fewer than three finite numbers."""
    return difference(values, [0.0] * len(values))


def doublings(a: Sequence[float], b: Sequence[float]) -> Comparison | None:
    """The mean of log₂(a/b) over pairs of numbers above 0: 1 for twice as large, −1 for half."""
    return difference(logarithms(a), logarithms(b))


def logarithms(values: Sequence[float] | np.ndarray) -> list[float]:
    """log₂ of numbers above 0; NaN for others."""
    numbers = np.asarray(values, dtype=float)
    return np.log2(np.where(numbers > 0, numbers, np.nan)).tolist()


def row(what: str, a: Sequence[float], b: Sequence[float], published: str = "") -> Measured:
    """The mean of a − b over pairs; without an interval of fewer than three pairs."""
    found = difference(a, b)
    if found is not None:
        return Measured.of(what, found, published)
    gaps = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    there = gaps[np.isfinite(gaps)]
    return Measured(what, float(there.mean()) if len(there) else None, None, len(there) or None, published)


def log_row(what: str, a: Sequence[float], b: Sequence[float], published: str = "") -> Measured:
    """The mean of log₂(a/b) over pairs; without an interval of fewer than three pairs."""
    return row(what, logarithms(a), logarithms(b), published)


def longer(a: Times, b: Times, budget: int) -> Comparison | None:
    """The mean of log₂ of the ratio of times, both no longer than the budget; None if no run has the event."""
    if not (len(a) and len(b)) or not (a.events or b.events):
        return None
    first, second = (dict(zip(each.seed.tolist(), each.restricted(budget), strict=True)) for each in (a, b))  # type: ignore[union-attr]
    common = [seed for seed in first if seed in second]
    return doublings([first[seed] for seed in common], [second[seed] for seed in common])


def diverged(observations: xr.Dataset, members: Arm) -> int:
    """How many members of an arm diverged."""
    return int(np.sum(observations["status"].sel(member=list(members.values())).values == "diverged"))
