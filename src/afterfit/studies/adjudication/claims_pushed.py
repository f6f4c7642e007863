"""What the pushes say, measure by measure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from afterfit.studies.adjudication.claims import LEVEL, MARGIN, SCOPE, quantity
from afterfit.studies.adjudication.leads import row_of
from afterfit.studies.adjudication.moved import moved
from afterfit.studies.adjudication.pushes import COMPARISONS, DIRECTIONS, ISOLATED
from afterfit.studies.adjudication.summary import pushes_of
from afterfit.studies.adjudication.sweeps import LABELS, PUSHED, PUSHES, SWEEPS, Push
from afterfit.studies.evidence import Evidence
from afterfit.studies.rules import Ruling, alike, all_of
from afterfit.studies.study import Finding, Measured

SLIGHT = math.log(1.05)  # a measure that moved by less than that was not moved


def push_of(evidence: Evidence, name: str) -> Push | None:
    """The push of an explanation by the measure that is chosen for it, where there is a choice; None if not pushed."""
    pushes = [push for push in PUSHES if push.explanation == name]
    return next((push for push in pushes if push.rival == evidence.choices.get(name, pushes[0].rival)), None)


def _not_pushed(evidence: Evidence, name: str) -> Finding:
    return Finding("inconclusive", f"{evidence.choices[name]} was not pushed")


def judge_not_needed(evidence: Evidence, name: str) -> Finding:
    """Pushed against the measure, runs generalise as soon as their controls do."""
    push, comparison, other = push_of(evidence, name), _comparison(evidence), evidence.choices["control"]
    if push is None:
        return _not_pushed(evidence, name)
    rulings = []
    for task in PUSHED:
        row = _row(evidence, task, push, "against", comparison)
        what = f"time to generalisation, pushed against {push.label}, over {other} ({LABELS[task]})"
        rulings.append(alike(what, quantity(row, "times", "n"), MARGIN))
    return Finding(*all_of(*rulings), measured=_measured(evidence, push), notes=_notes(evidence, push))


def judge_needed(evidence: Evidence, name: str) -> Finding:
    """Pushed against the measure, runs generalise later than their controls."""
    push, comparison = push_of(evidence, name), _comparison(evidence)
    if push is None:
        return _not_pushed(evidence, name)
    rulings = [delayed(_row(evidence, task, push, "against", comparison), push, task) for task in PUSHED]
    return Finding(*all_of(*rulings), measured=_measured(evidence, push), notes=_notes(evidence, push))


def delayed(row: Mapping[str, Any] | None, push: Push, task: str) -> Ruling:
    """Later by the whole interval and after Holm: reproduced. Not later, or later by no more than the margin: not."""
    later, times = quantity(row, "later", "n"), quantity(row, "times", "n")
    what = f"pushed against {push.label} ({LABELS[task]})"
    if row is None or later is None or times is None:
        return Ruling("inconclusive", f"{what}: the runs do not determine it")
    low, high = later.interval
    said = (
        f"{what}, runs generalise {later.estimate:,.0f} [{low:,.0f}, {high:,.0f}] steps later, {times.estimate:.2f} "
        f"[{times.interval.low:.2f}, {times.interval.high:.2f}] times as late, Holm's p = {row['p_holm']:.3g}"
    )
    if low > 0 and row["p_holm"] <= LEVEL:
        return Ruling("reproduced", said)
    none = high < 0 or (MARGIN[0] <= times.interval.low and times.interval.high <= MARGIN[1])
    return Ruling("not reproduced" if none else "inconclusive", said)


def _comparison(evidence: Evidence) -> str:
    return ISOLATED if evidence.choices["control"] == "control" else "arm − baseline"


def _row(evidence: Evidence, task: str, push: Push, direction: str, comparison: str) -> Mapping[str, Any] | None:
    wanted = {"task": task, "push": push.name, "direction": direction, "comparison": comparison}
    return row_of(pushes_of(evidence), **wanted)


def _measured(evidence: Evidence, push: Push) -> tuple[Measured, ...]:
    """How many times as late, both ways, against the control and the baseline, and the control against the baseline."""
    found = []
    for task in PUSHED:
        for direction in DIRECTIONS:
            for comparison in COMPARISONS:
                row = _row(evidence, task, push, direction, comparison)
                first, second = comparison.split(" − ")
                what = f"{LABELS[task]}: T of {first} pushed {direction} {push.label} / T of {second}"
                found.append(Measured.of(what, quantity(row, "times", "n")))
    return tuple(found)


def _notes(evidence: Evidence, push: Push) -> tuple[str, ...]:
    """What the push did to the measure it was meant for, and what else it moved as much."""
    table: Any = evidence.table("moved", moved, needs=SWEEPS)
    said = []
    for task in PUSHED:
        for direction in DIRECTIONS:
            rows = table[
                (table["task"] == task) & (table["push"] == push.name) & (table["direction"] == direction)
                & (table["against"] == push.isolating[1])
            ]  # fmt: skip
            found = dict(rows.set_index("measure")["factor"].dropna())
            if push.rival in found:
                own = found.pop(push.rival)
                least = max(_size(own), SLIGHT)
                others = {name: factor for name, factor in found.items() if _size(factor) >= least}
                said.append(f"{direction} ({LABELS[task]}): {push.rival} × {own:.2g}" + _also(others))
    notes = [SCOPE]
    if said:
        notes.append(f"What the push moved, against its {push.isolating[1]}: " + "; ".join(said) + ".")
    if push.isolating[1] == "baseline":
        notes.append(NORM_CONTROL)
    return tuple(notes)


NORM_CONTROL = (
    "The control of a norm push has the norm held as well, with steps as long as the baseline's, so it is held against "
    "the baseline. The rule first said arm against control for this push too, which cannot show an effect of the norm; "
    "it was put right after the quick runs had been seen, and both comparisons stand in the table."
)


def _size(factor: float) -> float:
    return abs(math.log(max(factor, 1e-300)))


def _also(others: Mapping[Any, float]) -> str:
    told = ", ".join(f"{name} × {factor:.2g}" for name, factor in others.items())
    return f", and as much or more {told}" if told else ""
