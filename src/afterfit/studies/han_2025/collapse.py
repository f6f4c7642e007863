"""B2: whether networks that are kept from collapsing, or pushed to collapse, generalise as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterfit.studies.han_2025.readings import (
    ACCURACY,
    CLUSTERING,
    FLATNESS,
    STRENGTH,
    Arm,
    arm,
    difference,
    diverged,
    doublings,
    ends,
    last_values,
    log_row,
    longer,
    row,
    strengths,
    times,
)
from afterfit.studies.rules import Ruling, alike, all_of, direction
from afterfit.studies.study import Finding, Measured

if TYPE_CHECKING:
    from afterfit.analysis.results import Comparison
    from afterfit.studies.evidence import Evidence

SETTINGS = {"collapse": "modular addition", "mnist-collapse": "MNIST"}
MARGIN = (-0.02, 0.02)  # of test accuracy
FACTOR = (-1.0, 1.0)  # log₂ of times: between half and twice as long
MOVED = 1.0  # log₂ of NCC that a penalty must have moved to count: a factor of two
SIDES = {-1: "kept from collapsing", 1: "pushed to collapse"}
PUBLISHED = {-1: "accuracy unchanged, NCC stays up (λ = 10⁻³, CIFAR-10, ResNet-18)", 1: "named, not shown"}


def moved(evidence: Evidence, sweep: str, strength: float) -> Ruling:
    """Whether a penalty did to NCC what it was meant to do: twice as large, or half as large, at the end."""
    observations = evidence.observations(sweep)
    treated, control = arm(observations, {STRENGTH: strength}), arm(observations, {STRENGTH: 0.0})
    found = doublings(*ends((observations, treated), (observations, control), CLUSTERING))
    sign = -1 if strength > 0 else 1
    return direction(f"log₂ of NCC at {strength:g} over NCC without", found, above=sign * MOVED, sign=sign)


def gentlest(evidence: Evidence, sweep: str, side: int) -> float | None:
    """The smallest strength on a side at which the penalty did what it was meant to do, whatever came of it."""
    doses = sorted((dose for dose in strengths(evidence.observations(sweep)) if dose * side > 0), key=abs)
    return next((dose for dose in doses if moved(evidence, sweep, dose).verdict == "reproduced"), None)


def as_well(evidence: Evidence, sweep: str, strength: float) -> Ruling:
    """Whether an arm generalises as well as its control: accuracy within the margin, time within the factor."""
    observations = evidence.observations(sweep)
    treated, control = arm(observations, {STRENGTH: strength}), arm(observations, {STRENGTH: 0.0})
    accuracy = difference(*(last_values(observations, each, ACCURACY) for each in _paired(treated, control)))
    time = _longer(evidence, sweep, treated, control)
    return all_of(
        alike(f"{SETTINGS[sweep]} at {strength:g}: test accuracy less the control's", accuracy, MARGIN),
        alike("log₂ of the time to generalise over the control's", time, FACTOR),
    )


def _paired(treated: Arm, control: Arm) -> tuple[Arm, Arm]:
    """Both with the seeds that both have."""
    common = [seed for seed in treated if seed in control]
    return {seed: treated[seed] for seed in common}, {seed: control[seed] for seed in common}


def _longer(evidence: Evidence, sweep: str, treated: Arm, control: Arm) -> Comparison | None:
    events, budget = evidence.events(sweep), evidence.runs[sweep].experiment.steps
    a, b = _paired(treated, control)
    if not a:
        return None
    return longer(times(events, a, "generalised", budget), times(events, b, "generalised", budget), budget)


def generalise_as_well(evidence: Evidence) -> Finding:
    """B2."""
    told, silent, measured, notes = [], [], [], []
    for sweep, setting in SETTINGS.items():
        for side, name in SIDES.items():
            dose = gentlest(evidence, sweep, side)
            if dose is None:
                silent.append(f"{setting}: no strength that was run moved NCC twofold, so nothing was {name}")
            else:
                told.append(as_well(evidence, sweep, dose))
        for dose in strengths(evidence.observations(sweep)):
            if dose:
                measured += described(evidence, sweep, dose)
        notes += _lost(evidence, sweep)
    measured += norm_control(evidence)
    if not told:
        return Finding("inconclusive", "; ".join(silent), tuple(measured), tuple(notes))
    return Finding(*all_of(*told), measured=tuple(measured), notes=(*silent, *notes))


def described(evidence: Evidence, sweep: str, strength: float) -> list[Measured]:
    """What a strength did: NCC, flatness, accuracy and time against the control's."""
    observations = evidence.observations(sweep)
    treated, control = arm(observations, {STRENGTH: strength}), arm(observations, {STRENGTH: 0.0})
    pair = (observations, treated), (observations, control)
    name, published = f"{SETTINGS[sweep]}, strength {strength:g}", PUBLISHED[1 if strength > 0 else -1]
    late, plain = (last_values(observations, each, ACCURACY) for each in _paired(treated, control))
    ncc, kappa = (ends(*pair, measure) for measure in (CLUSTERING, FLATNESS[evidence.choices["flatness"]]))
    time = _longer(evidence, sweep, treated, control)
    return [
        log_row(f"{name}: log₂ of NCC over the control's, end", *ncc),
        log_row(f"{name}: log₂ of flatness over the control's, end", *kappa, "0" if strength < 0 else ""),
        row(f"{name}: test accuracy less the control's", late, plain, published),
        Measured.of(f"{name}: log₂ of the time to generalise over the control's", time),
    ]


def norm_control(evidence: Evidence) -> list[Measured]:
    """The penalties once more, with the norm of all parameters held to the paired run's: what is not the norm."""
    observations, plain = evidence.observations("collapse-norm"), evidence.observations("collapse")
    control = arm(plain, {STRENGTH: 0.0})
    events = evidence.events("collapse-norm"), evidence.events("collapse")
    found: list[Measured] = []
    budget = min(evidence.runs[sweep].experiment.steps for sweep in ("collapse-norm", "collapse"))
    for dose in strengths(observations):
        treated, paired = _paired(arm(observations, {STRENGTH: dose}), control)
        name = f"modular addition, strength {dose:g}, norm as the control's"
        ncc = ends((observations, treated), (plain, paired), CLUSTERING)
        found.append(log_row(f"{name}: log₂ of NCC over the control's, end", *ncc))
        if treated:
            of_arms = zip(events, (treated, paired), strict=True)
            late, plain_times = (times(table, each, "generalised", budget) for table, each in of_arms)
            ratio = longer(late, plain_times, budget)
            found.append(Measured.of(f"{name}: log₂ of the time to generalise over the control's", ratio))
    return found


def _lost(evidence: Evidence, sweep: str) -> list[str]:
    """A line for each strength at which runs diverged: their last finite values count, and they never generalise."""
    observations, found = evidence.observations(sweep), []
    for dose in strengths(observations):
        members = arm(observations, {STRENGTH: dose})
        count = diverged(observations, members)
        if count:
            found.append(f"{SETTINGS[sweep]}, strength {dose:g}: {count} of {len(members)} runs diverged.")
    return found
