"""B3 and B8: whether networks pushed away from flatness generalise later, and recover when the push ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from afterfit.analysis import log_rank, restricted_mean_difference
from afterfit.studies.han_2025.collapse import MARGIN
from afterfit.studies.han_2025.readings import (
    ACCURACY,
    CLUSTERING,
    FLATNESS,
    LEAST_PAIRS,
    STRENGTH,
    Arm,
    arm,
    difference,
    doublings,
    ends,
    last_values,
    log_row,
    longer,
    mean_doublings,
    mean_of,
    row,
    strengths,
    times,
)
from afterfit.studies.rules import Ruling, alike, all_of, direction
from afterfit.studies.study import Finding, Measured

if TYPE_CHECKING:
    import xarray as xr

    from afterfit.analysis.results import Comparison
    from afterfit.analysis.times import Times
    from afterfit.studies.evidence import Evidence

AWAY = 1.0  # log₂ of flatness over the control's, for a penalty that did what it was meant to do
UNPLUGGED = "mnist-unplug"


def away(evidence: Evidence, strength: float) -> Ruling:
    """Whether the penalty kept κ up: twice the control's, on average until the control generalised."""
    found = _kappa(evidence, "flatness-kept", strength)
    return direction(f"log₂ of flatness at {strength:g} over flatness without", found, above=AWAY)


def _kappa(evidence: Evidence, sweep: str, strength: float) -> Comparison | None:
    return mean_of(_raised(evidence, sweep, strength, FLATNESS[evidence.choices["flatness"]]))


def _raised(evidence: Evidence, sweep: str, strength: float, measure: str) -> list[float]:
    """log₂ of a measure over the control's, seed by seed, on average until the control generalised.

    After that both fall by orders of magnitude, each at a time of its own, and a ratio says little.
    """
    found = both_times(evidence, sweep, strength)
    if found is None:
        return []
    _, plain, budget = found
    until = dict(zip(plain.seed.tolist(), plain.restricted(budget).tolist(), strict=True))  # type: ignore[union-attr]
    return mean_doublings(*_arms(evidence, sweep, strength), measure, until)


def _arms(evidence: Evidence, sweep: str, strength: float) -> tuple[tuple[xr.Dataset, Arm], tuple[xr.Dataset, Arm]]:
    """An arm and its control: the same cap, no penalty at any time. Nothing else changes at this unplug."""
    observations, plain = evidence.observations(sweep), evidence.observations("flatness")
    return (observations, arm(observations, {STRENGTH: strength})), (plain, arm(plain, {STRENGTH: 0.0}))


def gentlest(evidence: Evidence) -> float | None:
    """The weakest penalty that kept κ up, whatever came of it."""
    doses = sorted((dose for dose in strengths(evidence.observations("flatness-kept")) if dose < 0), key=abs)
    return next((dose for dose in doses if away(evidence, dose).verdict == "reproduced"), None)


def both_times(evidence: Evidence, sweep: str, strength: float) -> tuple[Times, Times, int] | None:
    """Times to generalise of an arm and its control, of the seeds that both have, and the common budget."""
    (_, treated), (_, control) = _arms(evidence, sweep, strength)
    common = [seed for seed in treated if seed in control]
    if len(common) < LEAST_PAIRS:
        return None
    budget = min(evidence.runs[name].experiment.steps for name in (sweep, "flatness"))
    pick = [{seed: members[seed] for seed in common} for members in (treated, control)]
    tables = [evidence.events(name) for name in (sweep, "flatness")]
    a, b = (times(table, members, "generalised", budget) for table, members in zip(tables, pick, strict=True))
    return a, b, budget


def delayed(evidence: Evidence) -> Ruling:
    """The part of B3 on modular addition: later while the penalty stays, as good as the control once it is gone."""
    dose = gentlest(evidence)
    if dose is None:
        none = "modular addition: of no penalty that was run could be shown that it kept flatness twice as large"
        return Ruling("inconclusive", none)
    found = both_times(evidence, "flatness-kept", dose)
    time = None if found is None else longer(*found)
    later = direction(f"modular addition at {dose:g}: log₂ of the time to generalise over the control's", time)
    return all_of(later, _recovered(evidence, abs(dose)))


def _recovered(evidence: Evidence, least: float) -> Ruling:
    """As good as the control at the end, at the weakest penalty under which runs had not generalised at the unplug."""
    for dose in sorted((dose for dose in strengths(evidence.observations("flatness")) if dose <= -least), key=abs):
        (a, treated), (b, control) = _arms(evidence, "flatness", dose)
        waiting = _waiting(evidence, treated)
        if len(waiting) >= LEAST_PAIRS:
            common = [seed for seed in waiting if seed in control]
            pair = [{seed: members[seed] for seed in common} for members in (treated, control)]
            accuracy = difference(last_values(a, pair[0], ACCURACY), last_values(b, pair[1], ACCURACY))
            text = f"test accuracy after unplugging at {dose:g} less the control's, of runs that had not generalised"
            return alike(text, accuracy, MARGIN)
    return Ruling("inconclusive", "modular addition: nearly all runs had generalised before the unplug")


def _waiting(evidence: Evidence, members: Arm) -> Arm:
    """The runs of an arm that had not generalised when the penalty was unplugged."""
    unplug, budget = unplug_step(evidence, "flatness"), evidence.runs["flatness"].experiment.steps
    found = times(evidence.events("flatness"), members, "generalised", budget)
    open_yet = found.censored | (found.time > unplug)
    return {seed: member for (seed, member), waits in zip(members.items(), open_yet, strict=True) if waits}


def unplug_step(evidence: Evidence, sweep: str) -> int:
    """The step from which the penalty no longer acts."""
    return int(evidence.runs[sweep].experiment.interventions[0].when.until or 0)


def matched_arms(evidence: Evidence, sweep: str) -> tuple[Arm, Arm]:
    """The arm with the penalty until the unplug, and its control with all that changes then but no penalty ever."""
    observations = evidence.observations(sweep)
    found = [arm(observations, {"matched": label}) for label in ("none", "schedule")]
    common = [seed for seed in found[0] if seed in found[1]]
    treated, control = ({seed: each[seed] for seed in common} for each in found)
    return treated, control


def on_images(evidence: Evidence, sweep: str, setting: str) -> tuple[Ruling, list[Measured]]:
    """Worse while the penalty acts, as good as the matched-schedule control at the end; and the numbers."""
    # at the unplug itself features are no longer normalised: another network, with another κ
    observations, until = evidence.observations(sweep), unplug_step(evidence, sweep) - 1
    treated, control = matched_arms(evidence, sweep)
    pair = (observations, treated), (observations, control)
    flatness = FLATNESS[evidence.choices["flatness"]]
    before = difference(*ends(*pair, ACCURACY, until))
    late, plain = (last_values(observations, each, ACCURACY) for each in (treated, control))
    after = difference(late, plain)
    kappa = doublings(*ends(*pair, flatness, until))
    measured = [
        row(
            f"{setting}: test accuracy less the control's, before the unplug",
            *ends(*pair, ACCURACY, until),
            "0.60 − 0.78",
        ),
        row(f"{setting}: test accuracy less the matched-schedule control's, at the end", late, plain, "0.78 − 0.78"),
        log_row(f"{setting}: log₂ of flatness over the control's, before the unplug", *ends(*pair, flatness, until)),
        log_row(f"{setting}: log₂ of flatness over the control's, at the end", *ends(*pair, flatness)),
        log_row(f"{setting}: log₂ of NCC over the control's, before the unplug", *ends(*pair, CLUSTERING, until)),
    ]
    if direction("", kappa).verdict != "reproduced":
        said = direction(f"{setting}: log₂ of flatness over the control's before the unplug", kappa).because
        return Ruling("inconclusive", f"the penalty did not keep flatness up, so nothing was pushed: {said}"), measured
    ruling = all_of(
        direction(f"{setting}: test accuracy less the control's, before the unplug", before, sign=-1),
        alike(f"{setting}: test accuracy less the matched-schedule control's, at the end", after, MARGIN),
    )
    return ruling, measured


def pushed(evidence: Evidence) -> Finding:
    """B3."""
    ruling, images = on_images(evidence, UNPLUGGED, "MNIST")
    measured = [*images, *kept_on_images(evidence)]
    for sweep in ("flatness-kept", "flatness", "flatness-norm"):
        for dose in strengths(evidence.observations(sweep)):
            if dose:
                measured += described(evidence, sweep, dose)
    return Finding(*all_of(delayed(evidence), ruling), measured=tuple(measured))


WATCHED = {"exact κ": FLATNESS["exact"], "the plotted bound": FLATNESS["bound"], "NCC": CLUSTERING}
SWEEPS = {
    "flatness-kept": "penalty kept",
    "flatness": "penalty until the unplug",
    "flatness-norm": "penalty kept, norm as the control's",
}


def described(evidence: Evidence, sweep: str, strength: float) -> list[Measured]:
    """What a penalty did on modular addition: flatness, times to generalise, accuracy."""
    name = f"modular addition, {SWEEPS[sweep]}, strength {strength:g}"
    (a, treated), (b, control) = _arms(evidence, sweep, strength)
    values = last_values(a, treated, ACCURACY), last_values(b, control, ACCURACY)
    measured = [row(f"{name}: test accuracy at the end less the control's", *values)]
    for what, measure in WATCHED.items():
        gaps = _raised(evidence, sweep, strength, measure)
        text = f"{name}: log₂ of {what} over the control's, mean until that generalised"
        measured.append(row(text, gaps, [0.0] * len(gaps)))
    found = both_times(evidence, sweep, strength)
    if found is None:
        return measured
    late, plain, budget = found
    measured.append(Measured.of(f"{name}: log₂ of the time to generalise over the control's", longer(*found)))
    mean = restricted_mean_difference(late, plain, tau=budget)
    text = f"{name}: steps later, out of {budget:,}"
    measured.append(Measured.of(text, mean, unit="steps"))
    test = log_rank([late, plain], by_seed=True)
    measured.append(Measured(f"{name}: p, log-rank by seed", test.p, n=len(late), method=test.method))
    return measured


def kept_on_images(evidence: Evidence) -> list[Measured]:
    """What had become of MNIST without the unplug, and what normalised features do to it."""
    observations, plain = evidence.observations("mnist-kept"), evidence.observations("mnist-collapse")
    control, found = arm(plain, {STRENGTH: 0.0}), []
    for share, name in ((1.0, "features normalised in the network"), (0.0, "features normalised in the penalty only")):
        treated = arm(observations, {"interventions.1.strength": share})
        pair = (observations, treated), (plain, control)
        text = f"MNIST, penalty never unplugged, {name}: "
        found.append(row(text + "test accuracy at the end less an untreated run's", *ends(*pair, ACCURACY)))
        for what, measure in WATCHED.items():
            found.append(log_row(text + f"log₂ of {what} over an untreated run's", *ends(*pair, measure)))
    return found


def resnet(evidence: Evidence) -> Finding:
    """B8: the paper's network on a part of its data; never a verdict on the published numbers."""
    ruling, measured = on_images(evidence, "resnet-unplug", "ResNet-18")
    observations = evidence.observations("resnet-collapse")
    control = arm(observations, {STRENGTH: 0.0})
    for dose in strengths(observations):
        treated = arm(observations, {STRENGTH: dose})
        pair = (observations, treated), (observations, control)
        if not dose:
            values = last_values(observations, treated, ACCURACY)
            measured.append(row("ResNet-18 without a penalty: test accuracy", values, [0.0] * len(values), "0.78"))
            continue
        name = f"ResNet-18, strength {dose:g}"
        measured.append(row(f"{name}: test accuracy less the control's", *ends(*pair, ACCURACY)))
        for what, measure in WATCHED.items():
            measured.append(log_row(f"{name}: log₂ of {what} over the control's, end", *ends(*pair, measure)))
    said = f"a part of CIFAR-10 for a part of the epochs; by B3's rule it would be {ruling.verdict}: {ruling.because}"
    return Finding("not comparable", said, tuple(measured))
