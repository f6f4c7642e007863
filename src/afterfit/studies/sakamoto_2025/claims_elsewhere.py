"""Claims about other images, networks and losses, and about no weight decay (A6, A7, our own A13 and A14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from afterfit.studies import rules
from afterfit.studies.sakamoto_2025.claims_training import AGREES, medians, within_a_factor
from afterfit.studies.sakamoto_2025.readings import (
    LATE,
    LATE_GAIN,
    RISEN,
    collapsed,
    counted,
    course,
    mean_of,
    per_run,
    rank_correlation,
    rnc1_name,
)
from afterfit.studies.sakamoto_2025.sweeps import cnn, fashion, in_place, transformer
from afterfit.studies.study import Claim, Finding, Measured

if TYPE_CHECKING:
    import xarray as xr

    from afterfit.studies.evidence import Evidence


def fashion_groks(evidence: Evidence) -> Finding:
    """A6: every run gains late."""
    return _grokking(evidence, "fashion", "Fashion-MNIST groks", wanted=True)


def cnn_improves(evidence: Evidence) -> Finding:
    """A6B: no run groks, and late in training RNC1 and test error fall together."""
    return _without_grokking(evidence, "cnn", {rnc1_name(evidence): True})


def transformer_parts(evidence: Evidence) -> Finding:
    """A7: no run groks; late in training NC1 goes with test error and RNC1 does not."""
    return _without_grokking(evidence, "transformer", {rnc1_name(evidence): False, "train/nc1": True})


def _grokking(evidence: Evidence, sweep: str, what: str, *, wanted: bool) -> Finding:
    every = per_run(evidence, sweep)
    runs = [run for run in every if run["gain"] is not None]
    note = f"{len(runs)} of {len(every)} runs memorised and were observed until {LATE} times that step"
    ruling = rules.all_runs(what, *counted(runs, lambda run: run["groks"] is wanted))
    observations = evidence.observations(sweep)
    sooner = [_gain_from(observations, run["member"], run["memorised"]) for run in runs]
    measured = (
        Measured.of("test accuracy gained late", mean_of([run["gain"] for run in runs]), "", "of all images"),
        Measured.of("the same, counted from memorisation on", mean_of(sooner), "", "of all images"),
    )
    return Finding(*ruling, measured=measured, notes=(note,))


def _gain_from(observations: xr.Dataset, member: int, step: int) -> float:
    """How much test accuracy rises over what it is at a step."""
    steps, values = course(observations, member, "test/accuracy")
    values = values[steps >= step]
    return float(values.max() - values[0])


def _without_grokking(evidence: Evidence, sweep: str, expected: dict[str, bool]) -> Finding:
    """No late gain; and whether courses of RNC1 and NC1 go with test error after memorisation, as is expected."""
    first = _grokking(evidence, sweep, "no late gain", wanted=False)
    rulings, measured = [rules.Ruling(first.verdict, first.because)], list(first.measured)
    observations, runs = evidence.observations(sweep), per_run(evidence, sweep)
    for measure, follows in expected.items():
        found = [_goes_with_error(observations, run["member"], measure, run["memorised"]) for run in runs]
        known = [value for value in found if value is not None]
        said = f"{measure} {'goes' if follows else 'does not go'} with test error after memorisation"
        agreeing = sum((value > AGREES) is follows for value in known)
        rulings.append(rules.all_runs(said, agreeing, len(known)))
        measured.append(Measured.of(f"rank correlation of {measure} with test error, mean", mean_of(known)))
    return Finding(*rules.all_of(*rulings), measured=tuple(measured), notes=first.notes)


def _goes_with_error(observations: xr.Dataset, member: int, measure: str, memorised: int | None) -> float | None:
    if memorised is None:
        return None
    steps, values = course(observations, member, measure)
    others, accuracy = course(observations, member, "test/accuracy")
    common = np.intersect1d(steps[steps >= memorised], others)
    return rank_correlation(values[np.isin(steps, common)], 1 - accuracy[np.isin(others, common)])


def other_loss(evidence: Evidence) -> Finding:
    """A13: A2's first part with cross-entropy."""
    every = per_run(evidence, "cross-entropy")
    runs = [run for run in every if run["gain"] is not None]
    ruling = rules.all_runs(
        "groks, with RNC1 and test accuracy half way within a factor of two",
        *counted(runs, lambda run: run["groks"] and within_a_factor(run["accuracy"], run["rnc1"])),
    )
    gain = mean_of([run["gain"] for run in runs])
    note = f"{len(runs)} of {len(every)} runs memorised and were observed until {LATE} times that step"
    measured = (Measured.of("test accuracy gained late", gain, "", "of all images"),)
    return Finding(*ruling, measured=measured, notes=(note,))


def without_decay(evidence: Evidence) -> Finding:
    """A14: without weight decay neither collapse nor generalisation within the budget."""
    members = [int(member) for member in evidence.observations("no-decay")["member"].values]
    bounds = (collapsed(evidence), RISEN)
    table = evidence.runs["no-decay"].events({rule.name: rule for rule in bounds})
    neither = table["tau2_censored"].to_numpy(bool) & table["risen_censored"].to_numpy(bool)
    ruling = rules.all_runs("neither RNC1 ≤ ε₂ nor 50 % test accuracy", int(neither.sum()), len(members))
    observations = evidence.observations("no-decay")

    def at_the_end(measure: str) -> list[float]:
        return [float(values[-1]) for values in _courses(observations, members, measure)]

    shrunk = [float(values[-1] / values[0]) for values in _courses(observations, members, "weight_norm")]
    measured = [
        Measured.of("RNC1 at the end", mean_of(at_the_end(rnc1_name(evidence)))),
        Measured.of("test accuracy at the end", mean_of(at_the_end("test/accuracy"))),
        Measured.of("norm of all parameters, end over start", mean_of(shrunk)),
    ]
    measured += medians(evidence, "no-decay", "τ₂", bounds[0])
    measured += medians(evidence, "no-decay", "step of 50 % test accuracy", RISEN)
    return Finding(*ruling, measured=tuple(measured))


def _courses(observations: xr.Dataset, members: list[int], measure: str) -> list[np.ndarray]:
    """The values of each member's measure, of those that have any."""
    values = [course(observations, member, measure)[1] for member in members]
    return [each for each in values if len(each)]


def text(evidence: Evidence) -> Finding:
    """A7B: needs language data that is not here."""
    return Finding("not comparable", "no text classification was run: the three data sets are not part of afterfit")


GROKS = (
    f"a run groks if from {LATE} × the step of its memorisation (99 %) on it gains {LATE_GAIN} of test accuracy or more"
    " over what it had then"
)
ARCHITECTURES = (
    Claim(
        "A6", "Fashion-MNIST groks as well", "seen", "Fig 6", f"{GROKS}; all runs that were observed so long",
        ("fashion",), fashion_groks, (), f"{in_place(fashion)}; with .3 an MLP generalises while it memorises; smaller"
        " decays were left out for their cost",
    ),
    Claim(
        "A6B", "A CNN does not grok, but RNC1 and test accuracy improve together late", "seen", "Fig 7",
        f"{GROKS}: none does; and from memorisation on the rank correlation of RNC1 with test error is above .5 in all"
        " runs", ("cnn",), cnn_improves, ("rnc1_scale",),
        instead=in_place(cnn),
    ),
    Claim(
        "A7", "A vision transformer does not grok; RNC1 and test accuracy come apart, NC1 follows accuracy", "seen",
        "Fig 9", f"{GROKS}: none does; and from memorisation on the rank correlation with test error is above .5 for"
        " NC1 and not for RNC1, in all runs", ("transformer",), transformer_parts, ("rnc1_scale",),
        instead=in_place(transformer),
    ),
    Claim(
        "A7B", "Text classifiers do not grok", "seen", "Figs 10–12", "none: it cannot be run here", (), text,
        instead="the vision transformer, whose encoder is the same",
    ),
)  # fmt: skip
OTHERWISE = (
    Claim(
        "A13", "Ours: cross-entropy in place of squared error groks in the same way", "open question", "section 6",
        f"{GROKS}; all runs do, with RNC1 and test accuracy half way (as in A2) within a factor of two",
        ("cross-entropy",), other_loss, ("rnc1_scale", "half_way"),
    ),
    Claim(
        "A14", "Ours: without weight decay there is neither collapse nor generalisation", "τ₂ → ∞ as λ → 0", "Thm 4.3",
        "in all runs neither RNC1 ≤ ε₂ nor 50 % test accuracy within the budget", ("no-decay",), without_decay,
        ("epsilon_2", "rnc1_scale"),
    ),
)  # fmt: skip
