"""What the claims read from a run's observations: values near a step, events, and when a course is half way.

All of it is plain functions of a sweep's observations, so that the claims can be tried on runs whose truth is known.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import by_arm, paired_difference, scaling_law_of
from afterfit.analysis.results import Comparison
from afterfit.analysis.scaling_laws import ScalingLaw
from afterfit.analysis.times import Times
from afterfit.spec import Threshold

if TYPE_CHECKING:
    import xarray as xr

    from afterfit.studies.evidence import Evidence

DECAY = "optimizer.weight_decay"
NEAR = 0.05  # an observation within this share of a step stands for it: the paper looks every 666 steps
RISEN = Threshold(name="risen", measure="test/accuracy", at_least=0.5)
LATE_GAIN, LATE = 0.2, 2  # a run groks that gains this much test accuracy later than so many times its memorisation
LAST = 5  # observations whose median is the end of a course
SCALES = {"mean_norm": "train/rnc1", "max_norm": "train/rnc1[scale=max_norm]"}
# ε₂ of RNC1 by the mean norm, which is .4 before it falls; by the largest norm it is .065 there, a sixth.
THRESHOLDS = {"loose": 0.2, "middle": 0.1, "tight": 0.03}


def rnc1_name(evidence: Evidence) -> str:
    """The observed RNC1 under the choice of its scale."""
    return SCALES[evidence.choices["rnc1_scale"]]


def epsilon_2(evidence: Evidence) -> float:
    """ε₂ under the choices of itself and of the scale of RNC1."""
    bound = THRESHOLDS[evidence.choices["epsilon_2"]]
    return bound if evidence.choices["rnc1_scale"] == "mean_norm" else bound / 6


def collapsed(evidence: Evidence) -> Threshold:
    """The event τ₂: RNC1 ≤ ε₂, under the choices of both."""
    return Threshold(name="tau2", measure=rnc1_name(evidence), at_most=epsilon_2(evidence))


def times(
    evidence: Evidence, sweep: str, rule: Threshold, fields: str | tuple[str, ...] = DECAY
) -> dict[Hashable, Times]:
    """Times of an event by weight decay or by several fields; a run that diverged before it never has it."""
    return by_arm(evidence.runs[sweep].events({rule.name: rule}), rule.name, fields, diverged="never")


def law(
    evidence: Evidence, sweep: str, rule: Threshold, fields: str | tuple[str, ...] = DECAY
) -> tuple[ScalingLaw | None, str]:
    """The power law of an event's times in weight decay (or several fields), or None and why there is none."""
    try:
        return scaling_law_of(times(evidence, sweep, rule, fields), fields), ""
    except (ValueError, ArithmeticError) as error:  # too few events, one decay only, no likelihood to maximise
        return None, str(error)


def by_decay(observations: xr.Dataset) -> dict[float, list[int]]:
    """Members by weight decay, the largest first."""
    found: dict[float, list[int]] = {}
    for member in observations["member"].values.tolist():
        found.setdefault(float(observations[DECAY].sel(member=member)), []).append(member)
    return dict(sorted(found.items(), reverse=True))


def course(observations: xr.Dataset, member: int, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one member's measure, where it was observed and finite."""
    values = np.asarray(observations[measure].sel(member=member).values, dtype=float)
    there = np.isfinite(values)
    return np.asarray(observations["step"].values)[there], values[there]


def value_near(observations: xr.Dataset, member: int, measure: str, step: int) -> float | None:
    """The value at the observation nearest to a step, or None where there is none within `NEAR` of it."""
    steps, values = course(observations, member, measure)
    if not len(steps):
        return None
    nearest = int(np.argmin(np.abs(steps - step)))
    return float(values[nearest]) if abs(steps[nearest] - step) <= NEAR * step else None


def half_way(steps: np.ndarray, values: np.ndarray, *, falls: bool = False) -> int | None:
    """The first step at which a course has gone half of its way to its end; None if it goes nowhere.

    The way begins at the least value (at the largest, of a course that falls), and the end is the median of the last
    five observations. RNC1 rises a little before it falls, and a network may generalise before it memorises: so neither
    the first observation nor memorisation can be the beginning.
    """
    if len(steps) <= LAST:
        return None
    end = float(np.median(values[-LAST:]))
    start = int(np.argmax(values) if falls else np.argmin(values))
    if abs(values[start] - end) < 1e-9:
        return None
    return int(steps[start:][np.argmax((values[start:] - values[start]) / (end - values[start]) >= 0.5)])


def late_gain(observations: xr.Dataset, member: int, memorised: int | None) -> float | None:
    """How much test accuracy a run gains from twice the step of its memorisation on, over what it had then.

    None where the run was not observed for so long, or did not memorise.
    """
    if memorised is None:
        return None
    steps, values = course(observations, member, "test/accuracy")
    late = steps >= LATE * max(memorised, 1)
    return float(values[late].max() - values[late][0]) if late.any() else None


def per_run(evidence: Evidence, sweep: str) -> list[dict[str, Any]]:
    """One dictionary a run: member, decay, memorisation, late gain, whether it rises and groks, and half ways.

    `rises`: test accuracy ends .2 or more above its least; `falls`: RNC1 comes to ε₂. `accuracy` and `rnc1` are the
    steps at which test accuracy and RNC1 (as it is, or its logarithm, by the choice "half_way") are half way, None
    where the run does not rise or, for RNC1, has not come to ε₂: a fall that has just begun has no half way.
    `nc2` is log NC2 at the end over the largest.
    """
    observations, events = evidence.observations(sweep), evidence.events(sweep)
    found = []
    for member in observations["member"].values.tolist():
        row = events.loc[member]
        memorised = None if row["memorised_censored"] else int(row["memorised"])
        gain = late_gain(observations, member, memorised)
        steps, accuracy = course(observations, member, "test/accuracy")
        rises = len(accuracy) > LAST and bool(np.median(accuracy[-LAST:]) - accuracy.min() >= LATE_GAIN)
        run = {"member": member, "seed": int(row["seed"]), "decay": float(row.get(DECAY, np.nan)), "rises": rises}
        run |= {"memorised": memorised, "gain": gain, "groks": gain is not None and gain >= LATE_GAIN}
        run |= {"accuracy": half_way(steps, accuracy) if rises else None, "falls": False, "rnc1": None, "nc2": None}
        found.append(run | (_collapse(evidence, observations, member) if rises else {}))
    return found


def _collapse(evidence: Evidence, observations: xr.Dataset, member: int) -> dict[str, Any]:
    steps, spread = course(observations, member, rnc1_name(evidence))
    falls = bool(len(spread) and spread.min() <= epsilon_2(evidence))
    spread = np.log(np.maximum(spread, 1e-12)) if evidence.choices["half_way"] == "logarithm" else spread
    logs = np.log(np.maximum(course(observations, member, "train/nc2")[1], 1.0))
    known = len(logs) > LAST and logs.max() > 0
    return {
        "falls": falls,
        "rnc1": half_way(steps, spread, falls=True) if falls else None,
        "nc2": float(np.median(logs[-LAST:]) / logs.max()) if known else None,
    }


def mean_of(values: list[float]) -> Comparison | None:
    """The mean over runs with Student's interval; None for fewer than two.

    Of five seeds, with accuracies that tie in steps of .001, percentile-t has no ends.
    """
    numbers = np.array(values, dtype=float)
    return paired_difference(numbers, np.zeros(len(numbers)), interval="student") if len(numbers) >= 2 else None


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Spearman's; None for fewer than four pairs, or where one of them is constant."""
    from scipy.stats import spearmanr

    there = np.isfinite(x) & np.isfinite(y)
    if there.sum() < 4 or np.ptp(x[there]) == 0 or np.ptp(y[there]) == 0:
        return None
    return float(spearmanr(x[there], y[there])[0])  # type: ignore[arg-type]


def counted(runs: list[dict[str, Any]], holds: Callable[[Mapping[str, Any]], bool]) -> tuple[int, int]:
    """In how many of the runs something holds."""
    return sum(bool(holds(run)) for run in runs), len(runs)
