"""B1 and what belongs to figure 1: clustering and flatness up to memorisation, and from there to generalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import share
from afterfit.analysis.lead_times import lead_times
from afterfit.analysis.times import Times
from afterfit.studies.han_2025.readings import (
    CLUSTERING,
    FLATNESS,
    STRENGTH,
    USUAL_FRACTION,
    Arm,
    arm,
    course,
    doublings,
    log_row,
    mean_of,
    row,
    times,
    value_at,
)
from afterfit.studies.han_2025.tables import VIEWED, along_training
from afterfit.studies.rules import UNDETERMINED, Ruling, all_of, direction
from afterfit.studies.study import Finding, Measured

if TYPE_CHECKING:
    from afterfit.studies.evidence import Evidence

FRACTION = "task.train_fraction"
HALVED = -1.0  # log₂ of a half
PUBLISHED = (
    "45–51, then 4 at 3,000 and < 1 after 20,000 steps; memorised at 10,000", "2·10⁴ to 3.3·10⁵", "3.3·10⁵ to 4·10⁴",
)  # fmt: skip
WATCHED = {"addition": "the paper's network", "collapse": "one layer, without a penalty"}


def untreated(evidence: Evidence, sweep: str) -> Arm:
    """The members of a sweep that train without any penalty, on the chosen share of the pairs."""
    observations = evidence.observations(sweep)
    if sweep == "addition":
        return arm(observations, {FRACTION: evidence.choices["train_fraction"]})
    return arm(observations, {STRENGTH: 0.0})


def phases(evidence: Evidence, sweep: str, measure: str) -> dict[str, list[float]]:
    """A measure at the start, when memorised, and when generalised, one value a run; NaN for what did not happen."""
    observations, events = evidence.observations(sweep), evidence.events(sweep)
    found: dict[str, list[float]] = {"start": [], "memorised": [], "generalised": []}
    for member in untreated(evidence, sweep).values():
        found["start"].append(value_at(observations, member, measure, 0))
        for event in ("memorised", "generalised"):
            seen = not events.loc[member, f"{event}_censored"]
            step = float(events.loc[member, event]) if seen else np.nan  # type: ignore[arg-type]
            found[event].append(value_at(observations, member, measure, step) if seen else np.nan)
    return found


def kept_sums(evidence: Evidence, sweep: str, column: str = "ncc_sum") -> dict[str, list[float]]:
    """Clustering of the paper's text at the start and at the last kept step up to memorisation, one value a run."""
    table: Any = evidence.table("along_training", along_training, VIEWED)
    events = evidence.events(sweep)
    found: dict[str, list[float]] = {"start": [], "memorised": []}
    for member in untreated(evidence, sweep).values():
        rows = table[(table["sweep"] == sweep) & (table["member"] == member)].sort_values("step")
        seen = not events.loc[member, "memorised_censored"]
        before = rows[rows["step"] <= events.loc[member, "memorised"]] if seen else rows[:0]
        found["start"].append(float(rows[column].iloc[0]) if len(rows) else np.nan)
        # at the start itself nothing can have fallen yet
        found["memorised"].append(float(before[column].iloc[-1]) if len(before) > 1 else np.nan)
    return found


def memorising(evidence: Evidence) -> Finding:
    """B1."""
    flatness, fraction = FLATNESS[evidence.choices["flatness"]], evidence.choices["train_fraction"]
    if not untreated(evidence, "addition"):
        return Finding("inconclusive", f"the paper's network was not run on {fraction:g} of the pairs")
    parts, measured, enough = [], [], []
    for sweep, name in WATCHED.items():
        mean = evidence.choices["clustering"] == "mean"
        clusters = phases(evidence, sweep, CLUSTERING) if mean else kept_sums(evidence, sweep)
        kappa = phases(evidence, sweep, flatness)
        fall, rise = (doublings(*after_and_before(each)) for each in (clusters, kappa))
        late = doublings(kappa["generalised"], kappa["memorised"])
        parts.append(_phases_ruling(name, fall, rise, late))
        enough.append(None not in (fall, rise, late))
        texts = (f"{name}: log₂ of {each} when memorised, over the start" for each in ("NCC", "flatness"))
        for text, values, published in zip(texts, (clusters, kappa), PUBLISHED, strict=False):
            measured.append(log_row(text, *after_and_before(values), published))
        text = f"{name}: log₂ of flatness when generalised, over when memorised"
        measured.append(log_row(text, kappa["generalised"], kappa["memorised"], PUBLISHED[2]))
        measured += _timing(evidence, sweep, name, flatness)
    if not enough[0] and fraction != USUAL_FRACTION:  # the other network was not run on this share
        said = f"the paper's network on {fraction:g} of the pairs: {UNDETERMINED}"
        return Finding("inconclusive", said, tuple(measured))
    place = 0 if enough[0] else 1
    names = list(WATCHED.values())
    other = parts[1 - place]
    notes = (f"Decided by: {names[place]}.", f"{names[1 - place]}: {other.verdict}: {other.because}")
    return Finding(*parts[place], measured=tuple(measured), notes=notes)


def after_and_before(found: dict[str, list[float]]) -> tuple[list[float], list[float]]:
    """Values when memorised, and at the start."""
    return found["memorised"], found["start"]


def _phases_ruling(name: str, fall: Any, rise: Any, late: Any) -> Ruling:
    return all_of(
        direction(f"{name}: log₂ NCC while memorising", fall, above=HALVED, sign=-1),
        direction("log₂ flatness while memorising", rise),
        direction("log₂ flatness from memorised to generalised", late, above=HALVED, sign=-1),
    )


def half_of_peak(observations: Any, member: int, measure: str) -> float:
    """The first step after its largest value at which a measure is at most half of that; infinite if none is."""
    steps, values = course(observations, member, measure)
    if not len(values):
        return np.inf
    peak = int(np.argmax(values))
    below = np.flatnonzero(values[peak:] <= values[peak] / 2)
    return float(steps[peak + below[0]]) if len(below) else np.inf


def _timing(evidence: Evidence, sweep: str, name: str, flatness: str) -> list[Measured]:
    """How early NCC has halved before a run generalises, and whether flatness turns after memorisation."""
    observations, members = evidence.observations(sweep), untreated(evidence, sweep)
    if not members:
        return []
    events, budget = evidence.events(sweep), evidence.runs[sweep].experiment.steps
    outcome, memorised = (times(events, members, event, budget) for event in ("generalised", "memorised"))
    found = []
    for what, measure in (("NCC", CLUSTERING), ("flatness", flatness)):
        at = np.array([half_of_peak(observations, member, measure) for member in members.values()])
        halved = Times(np.where(np.isfinite(at), at, budget), ~np.isfinite(at), None, outcome.seed)
        if outcome.events:
            lead = lead_times(outcome, halved).median
            text = f"{name}: steps by which {what} has fallen to half of its peak before the run generalises"
            found.append(Measured.of(text, lead, unit="steps"))
        both = ~memorised.censored & ~halved.censored
        if both.any():
            after = int((halved.time[both] > memorised.time[both]).sum())
            text = f"{name}: share of runs in which {what} falls to half of its peak after memorisation"
            found.append(Measured.of(text, share(after, int(both.sum()))))
    return found


def representative(evidence: Evidence) -> Finding:
    """B6: what is left of the largest representativeness where a run has generalised."""
    table: Any = evidence.table("along_training", along_training, VIEWED)
    column = f"representativeness_{evidence.choices['kernel']}"
    left, measured = [], []
    for sweep, name in WATCHED.items():
        shares = [_left(evidence, sweep, member, table, column) for member in untreated(evidence, sweep).values()]
        left += shares
        text = f"{name}: share of the largest representativeness that is left"
        measured.append(row(text, shares, [0.0] * len(shares)))
    found = mean_of(left)
    ruling = direction("share of the largest representativeness that is left", found, above=0.1, sign=-1)
    return Finding(*ruling, measured=(*measured, Measured.of("both together", found, "0")))


def _left(evidence: Evidence, sweep: str, member: int, table: Any, column: str) -> float:
    """R at the last kept step over the largest R; NaN for a run that has not generalised by then."""
    events: Any = evidence.events(sweep)
    if events.loc[member, "generalised_censored"]:
        return np.nan
    rows = table[(table["sweep"] == sweep) & (table["member"] == member)].sort_values("step").dropna(subset=column)
    if not len(rows) or rows["step"].iloc[-1] < events.loc[member, "generalised"] or rows[column].max() <= 0:
        return np.nan
    return float(rows[column].iloc[-1] / rows[column].max())


def stand_in(evidence: Evidence) -> Finding:
    """B7: by how much the plotted bound overstates exact κ, at the start and at the end."""
    parts, measured = [], []
    for sweep, name in WATCHED.items():
        exact, bound = (phases(evidence, sweep, FLATNESS[each]) for each in ("exact", "bound"))
        factors = {phase: np.array(bound[phase]) / np.array(exact[phase]) for phase in exact}
        for phase, values in factors.items():
            measured.append(log_row(f"{name}: log₂ of bound over κ, {phase}", values.tolist(), [1.0] * len(values)))
        changes = doublings(factors["generalised"].tolist(), factors["start"].tolist())
        parts.append(changes)
        text = f"{name}: log₂ of its change from start to generalised"
        measured.append(log_row(text, factors["generalised"].tolist(), factors["start"].tolist()))
    decided = next((each for each in parts if each is not None), None)
    if decided is None or decided.interval is None:
        return Finding("inconclusive", "fewer than three runs that generalise", tuple(measured))
    sign = 1 if decided.estimate >= 0 else -1
    return Finding(*direction("log₂ of the change of bound/κ", decided, above=sign * 1.0, sign=sign), tuple(measured))
