"""How early each measure's event comes before generalisation, and how often it comes for nothing.

Every run of a task counts: those that generalise give leads, those that do not within the budget give false alarms. A
measure that did not fall by the time a run was stopped (generalised, and the patience over) counts as not announced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import Times
from afterfit.analysis.lead_times import LeadTimes, false_alarm_rate, lead_times
from afterfit.studies.adjudication.rivals import MEASURED, RULES, as_quantity, fall
from afterfit.studies.adjudication.sweeps import DECAY, TASKS
from afterfit.studies.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd

    from afterfit.lab.runs import Runs

ALL = "all"
COLUMNS = (
    "task", "decay", "measure", "rule", "runs", "generalised", "never", "alarms", "alarms_low", "alarms_high", "lead",
    "lead_low", "lead_high", "relative_lead", "relative_lead_low", "relative_lead_high", "led", "led_low", "led_high",
)  # fmt: skip


@dataclass(frozen=True)
class Announced:
    """When some runs generalised, and when a measure's event came in them, in the same order.

    Attributes:
        outcome, event: times; runs that never did are censored at the budget, or where they were stopped.
    """

    outcome: Times
    event: Times

    def relative(self) -> Announced:
        """In units of the step of each run's generalisation, or of its budget: so runs of all tasks can be pooled."""
        unit = np.maximum(self.outcome.time, 1.0)
        return Announced(
            Times(self.outcome.time / unit, self.outcome.censored), Times(self.event.time / unit, self.event.censored)
        )

    def some(self, chosen: np.ndarray) -> Announced:
        """Some of the runs."""
        return Announced(self.outcome[chosen], self.event[chosen])


def together(parts: list[Announced]) -> Announced:
    """The runs of several tasks as one population."""
    joined = [
        Times(
            np.concatenate([getattr(part, name).time for part in parts]),
            np.concatenate([getattr(part, name).censored for part in parts]),
        )
        for name in ("outcome", "event")
    ]
    return Announced(*joined)


def outcomes(runs: Runs) -> Times:
    """When each member generalised; one that did not, or that diverged, is known not to have by the budget."""
    events = runs.events()
    censored = events["generalised_censored"].to_numpy(bool)
    seen = events["generalised"].to_numpy(dtype=float, na_value=np.nan)
    return Times(np.where(censored, float(runs.experiment.steps), seen), censored)


def announced(runs: Runs) -> dict[tuple[str, str], Announced]:
    """Of every measure and rule, when its event came in every member."""
    observations, experiment, outcome = runs.observations, runs.experiment, outcomes(runs)
    memorised = runs.events()["memorised"].to_numpy(dtype=float, na_value=np.nan)
    steps = observations["step"].values
    found = {}
    for rival in MEASURED:
        grid = observations[rival.column_of(experiment)].transpose("member", "step").values
        quantities = as_quantity(rival, grid, experiment)
        for rule, (factor, since) in RULES.items():
            begins = [0.0 if since == "start" else None if np.isnan(each) else each for each in memorised]
            seen = [
                fall(steps[there], row[there], factor, begin)
                for row, begin in zip(quantities, begins, strict=True)
                for there in [np.isfinite(row)]
            ]
            found[rival.name, rule] = Announced(outcome, _event_times(seen, outcome.time))
    return found


def _event_times(seen: list[int | None], ends: np.ndarray) -> Times:
    """Events that came, the others censored at the end of their run."""
    censored = np.array([step is None for step in seen])
    return Times(np.array([end if step is None else step for step, end in zip(seen, ends, strict=True)]), censored)


def leads(evidence: Evidence) -> pd.DataFrame:
    """One row a task, weight decay, measure and rule, and a row over all tasks for each measure and rule."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    pooled: dict[tuple[str, str], list[Announced]] = {}
    for task in TASKS:
        runs = evidence.runs[task]
        decays = runs.observations[DECAY].values
        for (measure, rule), found in announced(runs).items():
            pooled.setdefault((measure, rule), []).append(found.relative())
            for decay in np.unique(decays):
                of_decay = found.some(decays == decay)
                rows.append({"task": task, "decay": decay, "measure": measure, "rule": rule, **described(of_decay)})
    for (measure, rule), parts in pooled.items():
        told = described(together(parts))
        rows.append({"task": ALL, "decay": np.nan, "measure": measure, "rule": rule, **told})
    return pd.DataFrame(rows, columns=COLUMNS)


def described(found: Announced) -> dict[str, float]:
    """The median lead in steps and as a share of the time to generalisation, how often it led, and false alarms."""
    runs, generalised = len(found.outcome), found.outcome.events
    told: dict[str, float] = {"runs": runs, "generalised": generalised, "never": runs - generalised}
    if told["never"]:
        told |= _entries("alarms", false_alarm_rate(found.outcome, found.event))
    if generalised:
        in_steps, relative = (_leads(each) for each in (found, found.relative()))
        told |= _entries("lead", in_steps.median) | _entries("relative_lead", relative.median)
        told |= _entries("led", in_steps.led)
    return told


def _leads(found: Announced) -> LeadTimes:
    return lead_times(found.outcome, found.event, quantiles=(), draws=99)  # of which the median and the share are read


def _entries(name: str, quantity: Any) -> dict[str, float]:
    low, high = quantity.interval
    return {name: quantity.estimate, f"{name}_low": low, f"{name}_high": high}


def row_of(table: pd.DataFrame, **wanted: Any) -> Mapping[str, Any] | None:
    """The one row with these values, or None."""
    chosen: Any = table
    for name, value in wanted.items():
        chosen = chosen[chosen[name] == value]
    return None if chosen.empty else chosen.iloc[0].to_dict()


def arms_that_generalise(table: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """The tasks and weight decays of which at least half of the runs generalise."""
    first: Any = table[(table["task"] != ALL) & (table["measure"] == table["measure"].iloc[0])]
    for (task, decay), rows in first.groupby(["task", "decay"], sort=False):
        row = rows.iloc[0]
        if row["generalised"] >= row["runs"] / 2:
            yield task, decay
