"""How well each measure tells, on seeds that it was not fitted on, whether and when a run will generalise.

Per task and measure one model is fitted on the first half of the seeds and judged on the other half, all weight decays
in both. It sees the measure's last value and slope and the steps elapsed; the baseline sees the steps elapsed alone.
All models are fitted without calibration runs: what is judged is a ranking and a median, not an interval.

"Within h steps": h is a share of the Kaplan-Meier median time to generalisation of the fitted runs with weight decay,
so that a window is as long for a slow task as for a quick one, and no held-out run decides it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import median_time
from afterfit.analysis.forecast import fit
from afterfit.analysis.forecast_models import Model
from afterfit.analysis.forecast_regressions import AcceleratedFailure, DiscreteHazard
from afterfit.studies.adjudication.leads import outcomes
from afterfit.studies.adjudication.rivals import BY_NAME, MEASURED, RIVALS
from afterfit.studies.adjudication.sweeps import DECAY, TASKS
from afterfit.studies.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from afterfit.analysis.evaluation import Evaluation
    from afterfit.lab.runs import Runs
    from afterfit.spec import Experiment

TOGETHER = "together"  # all measures in one model: how much there is to be known at all
SHARES = (0.25, 0.1, 0.5)  # of the median time to generalisation: h
LANDMARKS = 40  # observations a run at which it is forecast, at most
DRAWS = 299
COLUMNS = (
    "task", "setting", "measure", "kind", "share", "h", "runs", "generalised", "auc", "auc_low", "auc_high", "seed",
    "decay", "error", "why",
)  # fmt: skip
NAMES = (*(rival.name for rival in RIVALS), TOGETHER)
# What is fitted, and on which runs. With the runs without weight decay the question "will it at all?" is asked too.
SETTINGS = {
    "failure times": ("failure times", "all"),
    "hazards": ("hazards", "all"),
    "with decay": ("failure times", "with decay"),
}


def halves(seeds: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """The seeds that fit and those that judge, fixed by their order."""
    half = len(seeds) // 2
    return sorted(seeds)[:half], sorted(seeds)[half:]


def model_of(kind: str, measure: str, experiment: Experiment) -> Model:
    """The regression on one measure, on all of them, or on none but the steps elapsed."""
    chosen = MEASURED if measure == TOGETHER else (BY_NAME[measure],)
    over = tuple(column for rival in chosen if (column := rival.column_of(experiment)))
    return AcceleratedFailure(over=over) if kind == "failure times" else DiscreteHazard(over=over)


def thinned(observations: xr.Dataset) -> xr.Dataset:
    """Every k-th observation of all, so that no run has more than `LANDMARKS`."""
    every = -(-observations.sizes["step"] // LANDMARKS)
    return observations.isel(step=slice(None, None, every))


def forecasts(evidence: Evidence) -> pd.DataFrame:
    """One row a task, setting and measure with the area under the ROC, and one a held-out run with its error."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for task in TASKS:
        evidence.tell(f"forecasting {task}")
        for setting in SETTINGS:
            rows += [{"task": task, "setting": setting, **row} for row in of_task(evidence.runs[task], setting)]
    return pd.DataFrame(rows, columns=COLUMNS)


def of_task(runs: Runs, setting: str) -> list[dict[str, Any]]:
    """The rows of one task and setting; where nothing can be fitted or judged they say why."""
    kind, population = SETTINGS[setting]
    fitted, judged = halves(tuple(runs.meta["seeds"]))
    decays, seeds = (runs.observations[name].values for name in (DECAY, "seed"))
    chosen = (decays > 0) | (population == "all")
    observations = thinned(runs.observations).isel(member=np.flatnonzero(chosen))
    events: Any = runs.events()[chosen]
    here = outcomes(runs)[(decays > 0) & np.isin(seeds, fitted)]
    median = median_time(here).estimate
    rows: list[dict[str, Any]] = []
    for measure in NAMES:
        model = model_of(kind, measure, runs.experiment)
        try:
            forecast = fit(observations, events, model=model, seeds=fitted, calibration_seeds=())
            found = forecast.evaluate(observations, events, seeds=judged)
        except (ValueError, ArithmeticError) as error:  # too few runs with the event, say: the table tells the reason
            rows.append({"measure": measure, "kind": "task", "why": str(error)})
            continue
        rows += _roc_rows(measure, found, median, shares=SHARES if setting == "failure times" else SHARES[:1])
        rows += _run_rows(measure, found)
    return rows


def _roc_rows(measure: str, found: Evaluation, median: float, shares: tuple[float, ...]) -> list[dict[str, Any]]:
    rows = []
    for share in shares:
        row: dict[str, Any] = {"measure": measure, "kind": "task", "share": share, "h": share * median}
        row |= {"runs": found.n, "generalised": found.events}
        try:
            area = found.roc(row["h"], draws=DRAWS).area
        except ValueError as error:
            row["why"] = str(error)
        else:
            row |= {"auc": area.estimate, "auc_low": area.interval.low, "auc_high": area.interval.high}
        rows.append(row)
    return rows


def _run_rows(measure: str, found: Evaluation) -> list[dict[str, Any]]:
    """The error of every held-out run that generalised: the median over its landmarks of |T̂ − T|/T."""
    return [
        {
            "measure": measure,
            "kind": "run",
            "seed": course.run.used.seed,
            "decay": course.run.varied[DECAY],
            "error": float(np.median(course.errors)),
        }
        for course in found.courses
        if not course.censored
    ]
