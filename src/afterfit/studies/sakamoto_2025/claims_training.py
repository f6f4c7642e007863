"""Claims about courses of training: accuracy, RNC1, NC2 and the two times (A1 to A3, our own A11 and A12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import median_time
from afterfit.analysis.results import Quantity
from afterfit.spec import Threshold
from afterfit.studies import rules
from afterfit.studies.sakamoto_2025.readings import (
    DECAY,
    RISEN,
    collapsed,
    counted,
    course,
    half_way,
    law,
    mean_of,
    per_run,
    rnc1_name,
    times,
    value_near,
)
from afterfit.studies.sakamoto_2025.sweeps import GD_COLLAPSES, GD_TIMES, LOSSES
from afterfit.studies.study import Claim, Finding, Measured

if TYPE_CHECKING:
    from afterfit.studies.evidence import Evidence

RATE = "optimizer.learning_rate"
FACTOR = 2.0  # two events are "at once" within it
AGREES = 0.5  # rank correlation from which on two courses go together
NO_LONGER = (-0.1, 0.1)  # an exponent of 0
INVERSE = (-1.2, -0.8)  # an exponent of −1
TAU1 = Threshold(name="tau1", measure="train/loss", at_most=LOSSES["tau1"])


def accuracies(evidence: Evidence) -> Finding:
    """A1: means over seeds at the two steps, against bands around the published numbers."""
    observations = evidence.observations("mnist")
    members = [int(i) for i in observations["member"].values if float(observations[DECAY].sel(member=i)) == 0.01]
    rulings, measured = [], []
    for step, split, band, published in (
        (16_000, "train", (0.99, 1.0), "100 %"),
        (16_000, "test", (0.10, 0.20), "15 %"),
        (100_000, "train", (0.99, 1.0), "100 %"),
        (100_000, "test", (0.85, 0.91), "88 %"),
    ):
        values = [value_near(observations, i, f"{split}/accuracy", step) for i in members]
        found = mean_of([value for value in values if value is not None])
        what = f"{split} accuracy at step {step:,}"
        rulings.append(rules.size(what, found, band))
        measured.append(Measured.of(what, found, published))
    return Finding(*rules.all_of(*rulings), measured=tuple(measured))


def together(evidence: Evidence) -> Finding:
    """A2: RNC1 and test accuracy half way at once, earlier with more decay, NC2 towards 1."""
    risen_runs = [run for run in per_run(evidence, "mnist") if run["rises"]]
    runs = [run for run in risen_runs if run["falls"]]
    at_once = counted(runs, lambda run: within_a_factor(run["accuracy"], run["rnc1"]))
    nearer = counted(runs, lambda run: run["nc2"] is not None and run["nc2"] < 0.5)
    risen, why = law(evidence, "mnist", RISEN)
    exponent = risen.exponents[DECAY] if risen else None
    earlier = rules.direction("exponent of weight decay in the step of 50 % test accuracy", exponent, sign=-1)
    ruling = rules.all_of(
        rules.all_runs("RNC1 and test accuracy half way within a factor of two", *at_once),
        earlier,
        rules.all_runs("log NC2 at the end less than half of its largest", *nearer),
    )
    ratios = [np.log(run["rnc1"] / run["accuracy"]) for run in runs if run["accuracy"] and run["rnc1"]]
    measured = (
        Measured.of("exponent of weight decay in the step of 50 % test accuracy", exponent, "earlier with more"),
        Measured.of("log(step of RNC1 half way / step of test accuracy half way), mean", mean_of(ratios), "about 0"),
        _unfinished(risen_runs),
    )
    return Finding(*ruling, measured=measured, notes=(why,) if why else ())


def _unfinished(runs: list[dict[str, Any]]) -> Measured:
    """How many runs cannot tell which came first."""
    count = sum(not run["falls"] for run in runs)
    return Measured("runs left out: test accuracy rises and RNC1 is not at ε₂ by the end", count, n=len(runs))


def within_a_factor(first: int | None, second: int | None) -> bool:
    return bool(first and second and 1 / FACTOR <= second / first <= FACTOR)


def adamw_times(evidence: Evidence) -> Finding:
    """A3: exponents of weight decay in τ₁ and τ₂ with AdamW."""
    fit, why_fit = law(evidence, "mnist", TAU1)
    collapse, why_collapse = law(evidence, "mnist", collapsed(evidence))
    of_fit, of_collapse = (None if each is None else each.exponents[DECAY] for each in (fit, collapse))
    first, second = "exponent of weight decay in τ₁", "exponent of weight decay in τ₂"
    ruling = rules.all_of(rules.alike(first, of_fit, NO_LONGER), rules.size(second, of_collapse, INVERSE))
    measured = (
        Measured.of(first, of_fit, "0"),
        Measured.of(second, of_collapse, "−1"),
        *medians(evidence, "mnist", "τ₁", TAU1),
        *medians(evidence, "mnist", "τ₂", collapsed(evidence)),
    )
    notes = [f"{name}: {each}" for name, each in (("τ₁", fit or why_fit), ("τ₂", collapse or why_collapse))]
    return Finding(*ruling, measured=measured, notes=tuple(notes))


def medians(evidence: Evidence, sweep: str, name: str, rule: Threshold) -> list[Measured]:
    """The median time of an event at each weight decay, the largest first."""
    arms = sorted(times(evidence, sweep, rule).items(), key=lambda arm: -float(str(arm[0])))
    return [
        Measured.of(f"median {name} with weight decay {float(str(decay)):g}", median_time(arm), unit="step")
        for decay, arm in arms
    ]


def descent_times(evidence: Evidence) -> Finding:
    """A11: exponents of weight decay and learning rate in τ₁ and τ₂, in the setting of theorem 4.3."""
    at_most = GD_COLLAPSES[evidence.choices["epsilon_2"]]
    fields = (DECAY, RATE)
    laws = {
        "τ₁": law(evidence, "gradient-descent", GD_TIMES[0], fields),
        "τ₂": law(evidence, "gradient-descent", Threshold(name="tau2", measure="train/rnc1", at_most=at_most), fields),
    }
    rulings, measured = [], []
    for name, (found, _) in laws.items():
        for field, called in ((DECAY, "weight decay"), (RATE, "learning rate")):
            exponent: Quantity | None = found.exponents[field] if found else None
            free = name == "τ₁" and field == DECAY
            what = f"exponent of {called} in {name}"
            rulings.append(rules.alike(what, exponent, NO_LONGER) if free else rules.size(what, exponent, INVERSE))
            measured.append(Measured.of(what, exponent, "0" if free else "−1"))
    notes = tuple(f"{name}: {found or why}" for name, (found, why) in laws.items())
    return Finding(*rules.all_of(*rulings), measured=tuple(measured), notes=notes)


def early_birds(evidence: Evidence) -> Finding:
    """A12: in how many runs that generalise RNC1 is half way no later than test accuracy."""
    risen_runs: list[dict[str, Any]] = [
        run | {"unseen": _half_way_of_unseen(evidence, sweep, run["member"])}
        for sweep in ("mnist", "fashion")
        for run in per_run(evidence, sweep)
        if run["rises"]
    ]
    runs = [run for run in risen_runs if run["accuracy"] is not None and run["rnc1"] is not None]
    unseen = [run for run in runs if run["unseen"] is not None]
    not_early = counted(runs, lambda run: run["rnc1"] <= run["accuracy"])
    birds = [run for run in runs if run["rnc1"] > run["accuracy"]]
    measured = (
        Measured.of("log(step of RNC1 / step of test accuracy) in early birds", mean_of(
            [float(np.log(run["rnc1"] / run["accuracy"])) for run in birds])),
        Measured.of("log NC2 at the end over its largest, early birds", mean_of(
            [run["nc2"] for run in birds if run["nc2"] is not None])),
        Measured.of("the same, other runs", mean_of(
            [run["nc2"] for run in runs if run["rnc1"] <= run["accuracy"] and run["nc2"] is not None])),
        Measured.of("log(step of RNC1 of test images / step of test accuracy), all runs", mean_of(
            [float(np.log(run["unseen"] / run["accuracy"])) for run in unseen])),
        Measured("runs whose RNC1 of test images is half way after test accuracy", sum(
            run["unseen"] > run["accuracy"] for run in unseen), n=len(unseen)),
        _unfinished(risen_runs),
    )  # fmt: skip
    return Finding(*rules.all_runs("RNC1 half way no later than test accuracy", *not_early), measured=measured)


def _half_way_of_unseen(evidence: Evidence, sweep: str, member: int) -> int | None:
    """When RNC1 of the test images is half way between its largest and its end."""
    measure = rnc1_name(evidence).replace("train/", "test/")
    return half_way(*course(evidence.observations(sweep), member, measure), falls=True)


HALF_WAY = (
    "Test accuracy is half way between its least and its end, RNC1 between its largest and its end (median of the last"
    " five observations)"
)
TRAINING = (
    Claim(
        "A1", "With weight decay .01 the network has fitted at step 16,000 and generalises by step 100,000",
        "train 100 %, test 15 % at 16,000; train 100 %, test 88 % at 100,000", "Fig 2",
        "means over seeds: train at least .99 at both; test in .10 to .20 at 16,000 and in .85 to .91 at 100,000; each"
        " as a claim of a size", ("mnist",), accuracies,
    ),
    Claim(
        "A2", "For every weight decay RNC1 falls when test accuracy rises, earlier for larger decay; NC2 goes to 1 like"
        " RNC1", "seen in all panels", "Fig 3",
        f"{HALF_WAY}. In all runs whose test accuracy gains .2 and whose RNC1 falls to ε₂: RNC1 and test accuracy are"
        " half way within a factor of two in steps, and log NC2 ends below half of its largest; and the exponent of"
        " weight decay in the step of 50 % test accuracy is below 0",
        ("mnist",), together, ("rnc1_scale", "half_way", "epsilon_2"),
    ),
    Claim(
        "A3", "τ₁ does not depend on weight decay, τ₂ is proportional to its inverse (AdamW)", "exponents 0 and −1",
        "Thm 4.3; never measured in the paper",
        "τ₁: train loss ≤ .5; τ₂: RNC1 ≤ ε₂. By censored regression over all runs: the exponent of τ₁ is alike 0 (whole"
        " interval within ±.1), that of τ₂ has the size −1 (−1.2 to −.8)", ("mnist",), adamw_times,
        ("epsilon_2", "rnc1_scale"),
    ),
)  # fmt: skip
OPEN = (
    Claim(
        "A11", "Ours: in theorem 4.3's own setting τ₁ ∝ 1/η whatever λ, τ₂ ∝ 1/(λη)", "exponents 0, −1, −1, −1",
        "Thm 4.3", "as A3, with train loss ≤ .1 (it starts at .5) and RNC1 ≤ ε₂ (.01, .005, .002), over weight decay"
        " and learning rate at once", ("gradient-descent",), descent_times, ("epsilon_2",),
    ),
    Claim(
        "A12", "Ours: there are no early birds, runs whose test accuracy is half way before RNC1 is",
        "the paper's explanation needs collapse to come first", "section 4",
        f"{HALF_WAY}. Of the runs whose test accuracy gains .2 and whose RNC1 falls to ε₂, on MNIST and Fashion-MNIST,"
        " all have RNC1 half way no later than test accuracy",
        ("mnist", "fashion"), early_birds, ("rnc1_scale", "half_way", "epsilon_2"),
    ),
)  # fmt: skip
