"""What the claims read from runs: entropy, the two events kept apart, leads, and means over runs.

All of it reads observations only, so that the claims can be tried on runs whose truth is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from afterfit.analysis import by_arm, paired_difference
from afterfit.analysis.forecast_inputs import memories
from afterfit.analysis.forecast_models import Fitted
from afterfit.analysis.forecast_runs import Run
from afterfit.analysis.lead_times import LeadTimes, lead_times
from afterfit.analysis.results import Comparison
from afterfit.analysis.rules import first_drop
from afterfit.analysis.times import Times
from afterfit.spec import Threshold
from afterfit.studies.study import Measured
from afterfit.studies.truong_2026.sweeps import EASIER_FRACTION, ENTROPY, PUBLISHED_FRACTION

if TYPE_CHECKING:
    import xarray as xr

    from afterfit.studies.evidence import Evidence

GENERALISED = Threshold(name="generalised", measure="test/accuracy", at_least=0.99)
HALF = Threshold(name="half", measure="test/accuracy", at_least=0.5)
MEMORISED = Threshold(name="memorised", measure="train/accuracy", at_least=0.95)
SWEEPS = {PUBLISHED_FRACTION: "main", EASIER_FRACTION: "easier"}  # by the share of the pairs trained on
Diverged = Literal["never", "censored"]
FEWEST = 2  # runs, for a mean with an interval


def entropy(evidence: Evidence) -> str:
    """The observed H̃ under the choice of centring."""
    return ENTROPY[evidence.choices["center"]]


def addition(evidence: Evidence) -> str:
    """The sweep of a + b under the choice of the train fraction."""
    return SWEEPS[evidence.choices["train_fraction"]]


@dataclass(frozen=True)
class Collapse:
    """T_collapse: the first observation that lies more than `by` below another of its window, from a step on.

    Attributes:
        measure: the name of the observed H̃.
        window: observations, the present one among them.
        begin: observations before this step are left out, as if the run began there.
        by: how far it must fall.
        name: of the event.
    """

    measure: str = ENTROPY[True]
    window: int = 5
    begin: int = 0
    by: float = 0.05
    name: str = "entropy_collapsed"

    def __call__(self, observations: Mapping[str, Any]) -> int | None:
        """The step of the event in one member's observations, or None."""
        steps, values = np.asarray(observations["step"]), np.asarray(observations[self.measure])
        kept = steps >= self.begin
        return first_drop(steps[kept], values[kept], by=self.by, window=self.window)


def collapse(evidence: Evidence) -> Collapse:
    """T_collapse under the choices; under their defaults it is the event that was declared before the run."""
    return Collapse(entropy(evidence), evidence.choices["window"], evidence.choices["begin"])


def times(
    evidence: Evidence, sweep: str, rule: Any, *, arm: str | tuple[str, ...] = (), diverged: Diverged = "never"
) -> dict[Any, Times]:
    """When an event was seen, by arm; a run that diverged before it counts as never having it, or to its end."""
    table = evidence.runs[sweep].events({rule.name: rule})
    return by_arm(table, rule.name, arm, diverged=diverged)


def all_times(evidence: Evidence, sweep: str, rule: Any, diverged: Diverged = "never") -> Times:
    """When an event was seen in all runs of a sweep that has one arm."""
    return times(evidence, sweep, rule, diverged=diverged)["all"]


def leads(outcome: Times, event: Times) -> LeadTimes | None:
    """Leads of an event over an outcome; None where no run has the outcome."""
    return lead_times(outcome, event) if outcome.events else None


def mean_of(values: Sequence[float] | np.ndarray) -> Comparison | None:
    """The mean over runs with its percentile-t interval; None for fewer than two, or where all are equal.

    Runs that all agree bound nothing: times are known to an observation only, so their spread is not none.
    """
    numbers = np.asarray(values, dtype=float)
    if len(numbers) < FEWEST or not np.all(np.isfinite(numbers)) or np.ptp(numbers) == 0:
        return None
    return paired_difference(numbers, np.zeros(len(numbers)))


def mean_measured(what: str, values: Sequence[float] | np.ndarray, published: str = "", unit: str = "") -> Measured:
    """A mean over runs for the table, with its interval where there is one."""
    found = mean_of(values)
    if found is not None:
        return Measured.of(what, found, published, unit)
    mean = float(np.mean(values)) if len(values) and np.all(np.isfinite(values)) else None
    return Measured(what, mean, None, len(values), published, unit)


def course(observations: xr.Dataset, member: int, measure: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one member's measure, where it was observed and finite."""
    values = np.asarray(observations[measure].sel(member=member).values, dtype=float)
    there = np.isfinite(values)
    return np.asarray(observations["step"].values)[there], values[there]


def value_at(observations: xr.Dataset, member: int, measure: str, step: float) -> float | None:
    """The last value by a step, or None where nothing was observed by then."""
    steps, values = course(observations, member, measure)
    before = values[steps <= step]
    return float(before[-1]) if len(before) else None


def first(observations: xr.Dataset, rule: Any, until: float | None = None) -> dict[int, int | None]:
    """By member the step of a rule's event, in the whole record or in what a run that ended at a step would show."""
    found: dict[int, int | None] = {}
    for member in observations["member"].values.tolist():
        steps, values = course(observations, member, rule.measure)
        kept = steps <= (np.inf if until is None else until)
        found[int(member)] = rule({"step": steps[kept], rule.measure: values[kept]})
    return found


def thresholds(evidence: Evidence, sweep: str) -> dict[int, float]:
    """H̃(T_grok) by member, of the runs that generalised."""
    observations, measure = evidence.observations(sweep), entropy(evidence)
    grokked = first(observations, GENERALISED)
    at_event = {
        member: value_at(observations, member, measure, step) for member, step in grokked.items() if step is not None
    }
    return {member: value for member, value in at_event.items() if value is not None}


def relative_errors(fitted: Fitted, run: Run) -> list[float]:
    """|T̂ − T|/T at each observation before the event, T̂ the median of what is predicted there."""
    seen = [each for each in memories(run, fitted.measures, fitted.window) if each.step < run.time]
    ahead = [fitted.ahead(memory, run.varied).quantile(float(np.log(0.5))) for memory in seen]
    return [abs(memory.step + more - run.time) / run.time for memory, more in zip(seen, ahead, strict=True)]


def seeds_of(observations: xr.Dataset) -> dict[int, int]:
    """Seed by member."""
    members, seeds = observations["member"].values.tolist(), observations["seed"].values.tolist()
    return {int(member): int(seed) for member, seed in zip(members, seeds, strict=True)}


def correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Pearson's; None for fewer than four pairs, or where one of them is constant."""
    there = np.isfinite(x) & np.isfinite(y)
    if there.sum() < 4 or np.ptp(x[there]) == 0 or np.ptp(y[there]) == 0:
        return None
    return float(np.corrcoef(x[there], y[there])[0, 1])
