"""What a push did to every measure, the one that it was meant for and the others: whether it was pushed, and alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import paired_difference
from afterfit.studies.adjudication.leads import outcomes
from afterfit.studies.adjudication.pushes import DIRECTIONS, is_baseline, which
from afterfit.studies.adjudication.rivals import MEASURED, Rival, as_quantity
from afterfit.studies.adjudication.sweeps import PUSHED, PUSHES, Push, push_sweep_name
from afterfit.studies.evidence import Evidence
from afterfit.studies.paired import Course, mean_gap

if TYPE_CHECKING:
    import pandas as pd

    from afterfit.lab.runs import Runs

ARMS = ("arm", "control")
Courses = Mapping[int, Course]


def moved(evidence: Evidence) -> pd.DataFrame:
    """One row a push, direction, measure and what it is held against: by what factor the measure differs.

    The logarithm of the quotient of two paired runs, averaged over the steps at which both were observed, up to the
    baseline's generalisation: while the outcome was open. Then averaged over seeds, with an interval over these.
    """
    import pandas as pd

    rows = [row for task in PUSHED for push in PUSHES for row in _moved(evidence, task, push)]
    return pd.DataFrame(rows)


def _moved(evidence: Evidence, task: str, push: Push) -> list[dict[str, Any]]:
    runs, base = evidence.runs[push_sweep_name(task, push)], evidence.runs[task]
    baseline = is_baseline(base, task, runs.observations["seed"].values)
    seeds = base.observations["seed"].values[baseline]
    until = dict(zip(seeds.tolist(), outcomes(base)[baseline].time.tolist(), strict=True))
    rows = []
    for rival in MEASURED:
        start = courses(base, baseline, rival)
        for direction in DIRECTIONS:
            arm, control = (courses(runs, which(runs, push, name, direction), rival) for name in ARMS)
            for against, other in (("baseline", start), ("control", control)):
                row = {"task": task, "push": push.name, "direction": direction, "measure": rival.name}
                rows.append(row | {"against": against} | factor(arm, other, until))
    return rows


def courses(runs: Runs, chosen: np.ndarray, rival: Rival) -> Courses:
    """The logarithm of a measure's quantity in some members, by seed: steps and values, those that are finite."""
    observations, experiment = runs.observations, runs.experiment
    steps, seeds = observations["step"].values, observations["seed"].values
    grid = observations[rival.column_of(experiment)].transpose("member", "step").values
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(as_quantity(rival, grid, experiment))
    return {
        int(seeds[member]): (steps[np.isfinite(logs[member])], logs[member][np.isfinite(logs[member])])
        for member in np.flatnonzero(chosen)
    }


def factor(arm: Courses, other: Courses, until: Mapping[int, float]) -> dict[str, float]:
    """How many times as large a quantity is in one arm as in another; nothing of fewer than two pairs of courses."""
    gaps = [mean_gap(course, other[seed], until[seed]) for seed, course in arm.items() if seed in other]
    gaps = [gap for gap in gaps if not math.isnan(gap)]
    if len(gaps) < 2:
        return {"n": len(gaps)}
    found = paired_difference(gaps, np.zeros(len(gaps)))
    assert found.interval
    low, high = (math.exp(min(end, 700.0)) for end in found.interval)
    return {"n": len(gaps), "factor": math.exp(found.estimate), "factor_low": low, "factor_high": high}
