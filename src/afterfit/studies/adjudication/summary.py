"""The table of the adjudication: rows measures, columns the five questions, each with its interval.

It is made with the default choices. What each column rests on:

- lead: median over all runs that generalise, of all tasks, of (T − t)/T, t the step of the measure's event; order
  statistics over runs. Runs of one task are more alike than runs of two: it holds for runs of these tasks.
- auc: mean over tasks of the area under the ROC on held-out seeds; percentile-t over tasks, cut at 0 and 1.
- alarms: share of the runs that do not generalise within the budget in which the event came; Clopper–Pearson.
- error: median over held-out runs of all tasks of the run's median |T̂ − T|/T; order statistics over runs.
- push: how many times as late runs generalise that are pushed against the measure as their controls are (of the norm:
  controls as the baseline, see `Push.isolating`), and the same for pushes along it; paired by seed, percentile-t of the
  logarithm. For the measures that were pushed only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import paired_difference
from afterfit.analysis.proportions import fractional_order_interval
from afterfit.analysis.results import Comparison, Interval, Quantity
from afterfit.studies.adjudication.forecasts import SHARES, TOGETHER, forecasts
from afterfit.studies.adjudication.leads import ALL, leads, row_of
from afterfit.studies.adjudication.pushes import DIRECTIONS, ISOLATED, pushes
from afterfit.studies.adjudication.rivals import BY_NAME, RIVALS
from afterfit.studies.adjudication.sweeps import PUSHED, PUSHES, SWEEPS, TASKS
from afterfit.studies.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd

PUSH_OF = {push.rival: push.name for push in PUSHES}
LABELS = {**{rival.name: rival.label for rival in RIVALS}, TOGETHER: "all of them together"}


def leads_of(evidence: Evidence) -> pd.DataFrame:
    """The table of leads and false alarms."""
    return evidence.table("leads", leads, needs=TASKS)


def forecasts_of(evidence: Evidence) -> pd.DataFrame:
    """The table of forecasts."""
    return evidence.table("forecasts", forecasts, needs=TASKS)


def pushes_of(evidence: Evidence) -> pd.DataFrame:
    """The table of pushes."""
    return evidence.table("pushes", pushes, needs=SWEEPS)


def summary(evidence: Evidence) -> pd.DataFrame:
    """One row a measure, one column a question; and a row for all measures together, which can only forecast."""
    import pandas as pd

    told, forecast, pushed = leads_of(evidence), forecasts_of(evidence), pushes_of(evidence)
    rows = []
    for name in LABELS:
        row: dict[str, Any] = {"measure": name, "label": LABELS[name]}
        row["family"] = BY_NAME[name].family if name in BY_NAME else "baseline"
        found = row_of(told, task=ALL, measure=name, rule="halved")
        for column, source in (("lead", "relative_lead"), ("led", "led"), ("alarms", "alarms")):
            row |= _renamed(found, column, source)
        row |= _quantity("auc", mean_auc(forecast, name)) | _quantity("error", median_error(forecast, name))
        for task in PUSHED:
            for direction in DIRECTIONS:
                wanted = {"task": task, "push": PUSH_OF.get(name), "direction": direction}
                row |= _renamed(row_of(pushed, comparison=ISOLATED, **wanted), f"{task}_pushed_{direction}", "times")
        rows.append(row)
    return pd.DataFrame(rows)


def _renamed(found: Any, column: str, source: str) -> dict[str, float]:
    """The three columns of an estimate under another name; NaN where there is none."""
    return {f"{column}{end}": (found or {}).get(f"{source}{end}", math.nan) for end in ("", "_low", "_high")}


def _quantity(column: str, found: Quantity | Comparison | None) -> dict[str, float]:
    if found is None or found.interval is None:
        return {f"{column}{end}": math.nan for end in ("", "_low", "_high")}
    return {column: found.estimate, f"{column}_low": found.interval.low, f"{column}_high": found.interval.high}


def aucs(table: pd.DataFrame, measure: str, setting: str = "failure times", share: float = SHARES[0]) -> pd.Series:
    """The areas by task, those that could be told."""
    chosen: Any = table[(table["kind"] == "task") & (table["measure"] == measure) & (table["setting"] == setting)]
    chosen = chosen[np.isclose(chosen["share"].to_numpy(dtype=float), share)]
    return chosen.set_index("task")["auc"].dropna()


def mean_auc(
    table: pd.DataFrame, measure: str, setting: str = "failure times", share: float = SHARES[0]
) -> Quantity | None:
    """The mean over tasks; nothing of fewer than two."""
    found = aucs(table, measure, setting, share)
    if len(found) < 2:
        return None
    above = paired_difference(found.to_numpy(), np.zeros(len(found)))
    assert above.interval
    n, within = len(found), Interval(max(above.interval.low, 0.0), min(above.interval.high, 1.0))
    return Quantity(above.estimate, within, n, n, 0, "mean over tasks, percentile-t, within [0, 1]")


def errors(table: pd.DataFrame, measure: str, setting: str = "failure times") -> pd.Series:
    """The errors of held-out runs, by task, seed and weight decay."""
    chosen: Any = table[(table["kind"] == "run") & (table["measure"] == measure) & (table["setting"] == setting)]
    columns = ["task", "seed", "decay"]
    return chosen.set_index(columns)["error"]


def median_error(table: pd.DataFrame, measure: str) -> Quantity | None:
    """The median over held-out runs of all tasks; nothing without any."""
    found = errors(table, measure).to_numpy(dtype=float)
    if not len(found):
        return None
    middle = float(np.quantile(found, 0.5, method="linear" if np.isfinite(found).all() else "higher"))
    interval = fractional_order_interval(found, 0.5, 0.95)
    return Quantity(middle, interval, len(found), len(found), 0, "median over held-out runs, order statistics")
