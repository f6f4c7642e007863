"""What happens to the time to generalisation when one measure alone is pushed, against an equally large push elsewhere.

Six measures are pushed, each both ways: along the way that its explanation claims to help, and against it.

- collapse: RNC1, or CDNV, of the minibatch is added to the loss (`CollapsePenalty`), or subtracted;
- flatness: κ of the head, exact or its published bound, is added (`FlatnessPenalty`), or subtracted;
- entropy: the spectral entropy of the minibatch is pulled to a low target, or to a high one (`EntropyPenalty`);
- norm: that of all parameters is held at one value (`ConstantNorm`): a small one, or one that the baseline only passes.

The control of a penalty is the same penalty whose gradient is turned into a random direction, of the same size at each
step (`matched="random_direction"`). A projection has no random direction; the control of a norm push is the same
projection with every step as long as the baseline's (`matched="learning_rate"`), which tells whether it is the norm or
the size of steps relative to it. That control has the norm held as well, so what is told of the norm is the control
against the baseline. (First it was written as the arm against its control, for all pushes alike; that this cannot show
an effect of the norm was seen when the quick runs were there. The verdict is the same either way, inconclusive.)

Strengths were fixed on other seeds than those that are run: so that the pushed
measure moves as far as it does without the training data no longer being memorised.

Every arm is paired by seed with the baseline, the run of the task's sweep with the same weight decay, and with its
control. min(T, budget) is compared: a run that never generalises, or diverges, counts as the budget.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import Times, holm, paired_difference
from afterfit.analysis.times import paired
from afterfit.studies.adjudication.leads import outcomes
from afterfit.studies.adjudication.sweeps import DECAY, PUSHED, PUSHES, Push, push_sweep_name
from afterfit.studies.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd

    from afterfit.analysis.results import Comparison
    from afterfit.lab.runs import Runs

COLUMNS = (
    "task", "push", "direction", "value", "comparison", "n", "generalised", "generalised_other", "later", "later_low",
    "later_high", "p", "times", "times_low", "times_high",
)  # fmt: skip
COMPARISONS = {f"{a} − {b}": (a, b) for a, b in (("arm", "control"), ("arm", "baseline"), ("control", "baseline"))}
ISOLATED = "isolated"  # the one of them that leaves the push and nothing else: `Push.isolating`
DIRECTIONS = ("against", "along")
BY_PUSH = {push.name: push for push in PUSHES}


def which(runs: Runs, push: Push, arm: str, direction: str) -> np.ndarray:
    """Which members of a push's sweep are its arm, or its control, in one direction."""
    value = push.values[DIRECTIONS.index(direction)]
    controls = runs.observations["matched"].values.astype(str) == push.matched
    return np.isclose(runs.observations[push.field].values, value) & (controls == (arm == "control"))


def arm_times(evidence: Evidence, task: str, push: Push) -> dict[tuple[str, str], Times]:
    """The times to generalisation of both directions of a push, ("arm" or "control", direction), and the baseline.

    What was not run is not there.
    """
    runs = evidence.runs[push_sweep_name(task, push)]
    times, seeds = outcomes(runs), runs.observations["seed"].values
    found = {("baseline", ""): baseline_times(evidence, task, seeds)}
    for direction in DIRECTIONS:
        for arm in ("arm", "control"):
            there = which(runs, push, arm, direction)
            if there.any():
                found[arm, direction] = _by_seed(times[there], seeds[there])
    return found


def baseline_times(evidence: Evidence, task: str, seeds: np.ndarray) -> Times:
    """Of the task's own sweep at the decay that is pushed, on the seeds that are pushed."""
    runs = evidence.runs[task]
    there = is_baseline(runs, task, seeds)
    return _by_seed(outcomes(runs)[there], runs.observations["seed"].values[there])


def is_baseline(runs: Runs, task: str, seeds: np.ndarray) -> np.ndarray:
    """Which members of a task's sweep are the baselines of its pushes."""
    decay = runs.observations[DECAY].values
    return np.isclose(decay, PUSHED[task]) & np.isin(runs.observations["seed"].values, seeds)


def _by_seed(times: Times, seeds: np.ndarray) -> Times:
    return Times(times.time, times.censored, times.after, seeds)


def pushes(evidence: Evidence) -> pd.DataFrame:
    """One row a task, push, direction and comparison: how many steps later, how many times as late, p and Holm's p.

    Holm's adjustment is over the explanations that are compared, by task, direction and comparison. Where one is pushed
    by more than one of its measures, each is adjusted beside the first measures of the others.
    """
    import pandas as pd

    rows = [row for task in PUSHED for push in PUSHES for row in _compared(evidence, task, push)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table["p_holm"] = math.nan
    first = [push.name for push in PUSHES if push.name == push.explanation]
    for _, family in table.groupby(["task", "direction", "comparison"]):
        told = {str(name): float(p) for name, p in zip(family["push"], family["p"], strict=True) if not math.isnan(p)}
        for row, name in zip(family.index, map(str, family["push"]), strict=True):
            if name in told:
                explanation = BY_PUSH[name].explanation
                others = {each: told[each] for each in first if each in told and each != explanation}
                table.loc[row, "p_holm"] = holm({**others, explanation: told[name]}).p[explanation]
    return table


def _compared(evidence: Evidence, task: str, push: Push) -> list[dict[str, Any]]:
    """The rows of one push."""
    times, budget = arm_times(evidence, task, push), float(evidence.runs[task].experiment.steps)
    rows = []
    for direction, value in zip(DIRECTIONS, push.values, strict=True):
        arms = {name: times.get((name, direction)) for name in ("arm", "control")} | {"baseline": times["baseline", ""]}
        for name, (a, b) in {**COMPARISONS, ISOLATED: push.isolating}.items():
            row = {"task": task, "push": push.name, "direction": direction, "value": value, "comparison": name}
            rows.append(row | compared(arms[a], arms[b], budget))
    return rows


def compared(a: Times | None, b: Times | None, budget: float) -> dict[str, float]:
    """Seed by seed, by how many steps, and how many times, later a is; nothing of fewer than two pairs."""
    if a is None or b is None:
        return {"n": 0}
    row: dict[str, float] = {"n": len(a), "generalised": a.events, "generalised_other": b.events}
    if len(a) < 2:
        return row
    steps = paired_difference(a, b, tau=budget)
    logs = paired_difference(*(np.log(np.maximum(each.restricted(budget), 1.0)) for each in paired(a, b)))
    return row | _entries("later", steps) | {"p": steps.p} | _entries("times", logs, through=math.exp)


def _entries(name: str, found: Comparison, through: Any = float) -> dict[str, float]:
    assert found.interval
    low, high = (through(min(end, 700.0)) if through is math.exp else end for end in found.interval)
    return {name: through(found.estimate), f"{name}_low": low, f"{name}_high": high}
