"""Claims about features at kept snapshots: information and margins (A4, A5), and the theorems (our A8 to A10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.studies import rules
from afterfit.studies.sakamoto_2025.claims_training import AGREES
from afterfit.studies.sakamoto_2025.information import EFFORT, information
from afterfit.studies.sakamoto_2025.readings import epsilon_2, mean_of, rank_correlation
from afterfit.studies.sakamoto_2025.tables import EARLY, LATE, SWEEP, bounds, chain, margin_spreads, rates
from afterfit.studies.study import Claim, Finding, Measured

if TYPE_CHECKING:
    from afterfit.studies.evidence import Evidence

NEEDS = (SWEEP,)
CLASSES = 10  # of MNIST
HALF_ROOT = (-0.6, -0.4)  # an exponent of −½


def compression(evidence: Evidence) -> Finding:
    """A4: superfluous information and the nHSIC difference against RNC1, from the largest RNC1 on."""
    table: Any = evidence.table("information", information, NEEDS)
    scale, estimator = evidence.choices["rnc1_scale"], evidence.choices["information"]
    rnc1, bound = f"rnc1_{scale}", epsilon_2(evidence)
    falling = dict(_from_the_largest(table, rnc1))
    collapsing = {member: part for member, part in falling.items() if part[rnc1].min() <= bound}
    rulings, measured = [], []
    for column, name in ((f"superfluous_{estimator}", "I(Z;X) − I(Z;Y)"), ("nhsic_difference", "nHSIC difference")):
        found = [rank_correlation(part[column].to_numpy(float), part[rnc1].to_numpy(float))
                 for part in collapsing.values()]  # fmt: skip
        known = [value for value in found if value is not None]
        rulings.append(rules.all_runs(f"{name} falls with RNC1", sum(v > AGREES for v in known), len(known)))
        measured.append(Measured.of(f"rank correlation of {name} with RNC1, mean", mean_of(known), "falls with it"))
        drop = [float(part[column].iloc[-1] - part[column].iloc[0]) for part in collapsing.values() if len(part) > 1]
        measured.append(Measured.of(f"{name}, last snapshot less that of the largest RNC1", mean_of(drop)))
    doubted = int(table[f"doubt_{estimator}"].notna().sum())
    below = int((table[f"superfluous_{estimator}"] < -2 * table[f"error_{estimator}"]).sum())
    above = int((table[f"zy_{estimator}"] > np.log(CLASSES)).sum())
    images, epochs, _ = EFFORT[evidence.scale]
    notes = (
        f"docs/calibration.md doubts {doubted} of {len(table)} estimates of I(Z;X) by {estimator}",
        f"I(Z;X) − I(Z;Y), of whole images never below 0, is estimated with four numbers of them below 0 by more than"
        f" two standard errors at {below} of {len(table)} snapshots",
        f"I(Z;Y), at most log {CLASSES} = {np.log(CLASSES):.2f} nats, is estimated above that at {above} of"
        f" {len(table)} snapshots",
        f"the auto-encoder that makes four numbers of an image saw {images:,} images {epochs} times (published: 60,000"
        " and 200)",
    )
    return Finding(*rules.all_of(*rulings), measured=tuple(measured), notes=notes)


def _from_the_largest(table: Any, rnc1: str) -> Iterator[tuple[int, Any]]:
    """Each run's rows from its largest RNC1 on, in the order of steps."""
    for member, part in table.sort_values("step").groupby("member"):
        yield int(member), part[part["step"] >= part["step"].iloc[int(part[rnc1].argmax())]]


def margins_shrink(evidence: Evidence) -> Finding:
    """A5: the spread of margins within a class, late over early, in logarithms."""
    table: Any = evidence.table("margin_spreads", margin_spreads, NEEDS)
    unit = 1.0 if evidence.choices["margin_unit"] == "raw" else table["gap"].abs()
    table = table.assign(relative=table["spread"] / unit)
    changes, gaps, sizes = [], [], []
    for _, part in table.sort_values("step").groupby("member"):
        if len(part) == 2:
            changes.append(float(np.log(part["relative"].iloc[1] / part["relative"].iloc[0])))
            gaps.append(float(np.log(part["gap"].abs().iloc[1] / part["gap"].abs().iloc[0])))
            sizes.append(float(np.log(part["feature_norm"].iloc[1] / part["feature_norm"].iloc[0])))
    what = "log(late spread / early spread) of margins within a class"
    found = mean_of(changes)
    steps = sorted(table["step"].unique().tolist())
    looked = "; looked at: " + " and ".join(f"{step:,}" for step in steps)
    return Finding(
        *rules.direction(what, found, sign=-1),
        measured=(
            Measured.of(what, found, "below 0"),
            Measured.of("log(late gap / early gap) between the classes", mean_of(gaps)),
            Measured.of("log(late / early mean norm of features)", mean_of(sizes)),
        ),
        notes=(f"margins of the classes 0 and 1 at steps {EARLY:,} and {LATE:,}{looked}",),
    )


def bound_holds(evidence: Evidence) -> Finding:
    """A8: theorem 3.2's bound against the error of images that it has not seen."""
    table: Any = evidence.table("bounds", bounds, NEEDS)
    holds = (table["full"] >= table["test_error"]) & (table["directional"] >= table["test_error"])
    tells = (table[["full", "directional"]] < 1).any(axis=1).groupby(table["member"]).any()  # at 1 it holds for nothing
    by_run = holds.groupby(table["member"]).all()[tells]
    last = table.sort_values("step").groupby("member").last()
    ratios = {kind: np.log10(last[kind] / last["test_error"].clip(lower=1e-4)) for kind in ("full", "directional")}
    measured = [
        Measured.of(f"log₁₀(bound / test error) at the last snapshot, {kind} variance", mean_of(ratio.tolist()))
        for kind, ratio in ratios.items()
    ]
    for kind in ("full", "directional", "train_full"):
        useful = table[kind] < 1
        measured.append(Measured(f"snapshots with a bound below 1, {kind}", int(useful.sum()), n=len(table)))
    misled = (table["train_full"] < table["test_error"]).sum()
    note = f"with the statistics of the training images the bound lies below the test error in {misled} of {len(table)}"
    what = "of the runs whose bound is below 1 somewhere, it lies above the test error at every snapshot"
    ruling = rules.all_runs(what, int(by_run.sum()), len(by_run))
    return Finding(*ruling, measured=tuple(measured), notes=(note,))


def chain_is_kept(evidence: Evidence) -> Finding:
    """A9: estimate ≤ log-det ≤ trace, wherever the estimate can be believed."""
    table: Any = evidence.table("chain", chain, NEEDS)
    believed = table[table["warning"].isna()]
    slack = 1e-6 * believed["trace"]
    kept = (believed["estimate"] - 2 * believed["standard_error"] <= believed["log_det"] + slack) & (
        believed["log_det"] <= believed["trace"] + slack
    )
    by_run = kept.groupby(believed["member"]).all()
    looseness = (believed["trace"] / believed["log_det"]).groupby(believed["noise"]).median()
    tightness = (believed["estimate"] / believed["seen"]).groupby(believed["noise"]).median()
    measured = [
        Measured(f"{what}, median at σ = {noise:g}", float(value), n=int((believed["noise"] == noise).sum()))
        for what, values in (("trace / log-det", looseness), ("estimate / log-det of what it sees", tightness))
        for noise, value in values.items()
    ]
    note = f"{len(table) - len(believed)} of {len(table)} estimates carry a warning and are left out"
    ruling = rules.all_runs("the chain holds at every snapshot and noise", int(by_run.sum()), len(by_run))
    return Finding(*ruling, measured=tuple(measured), notes=(note,))


def root_n(evidence: Evidence) -> Finding:
    """A10: the exponent of n in the distance of empirical and population variance, over runs."""
    table: Any = evidence.table("rates", rates, NEEDS)
    slopes = []
    for _, part in table.groupby("member"):
        there = part["gap"] > 0
        if there.sum() >= 2:
            slopes.append(float(np.polyfit(np.log(part["n"][there]), np.log(part["gap"][there]), 1)[0]))
    what, found = "exponent of n in |empirical − population variance|", mean_of(slopes)
    note = "features are fixed and images drawn anew: the sampling part of the theorem, without training for each n"
    return Finding(*rules.size(what, found, HALF_ROOT), measured=(Measured.of(what, found, "−½"),), notes=(note,))


FEATURES = (
    Claim(
        "A4", "I(Z;X) − I(Z;Y) and the nHSIC difference fall with RNC1", "seen; lags a little for .3 and .1", "Fig 4",
        "of the runs whose RNC1 falls to ε₂: from its largest on, over the kept snapshots, the rank correlation with"
        " RNC1 is above .5 in all, for both", NEEDS, compression, ("information", "rnc1_scale", "epsilon_2"),
    ),
    Claim(
        "A5", "On unseen data the spread of margins within a class shrinks between step 16,000 and 100,000", "seen",
        "Fig 2, violins", "weight decay .01: the mean over seeds of log(late spread / early spread) lies below 0",
        NEEDS, margins_shrink, ("margin_unit",),
    ),
)  # fmt: skip
THEOREMS = (
    Claim(
        "A8", "Ours: theorem 3.2's bound, with the statistics of one half of the test images, lies above the error"
        " on the other half, all along training", "a theorem", "Thm 3.2", "at every snapshot, for the full and"
        " the directional variance, in all runs whose bound is below 1 at one snapshot or more: others say nothing",
        NEEDS, bound_holds,
    ),
    Claim(
        "A9", "Ours: an estimate of I(Z;X|Y), the log-det bound and the trace bound keep their order along training",
        "a theorem", "Thm 3.4", "at every snapshot and noise where the estimate carries no warning, within two standard"
        " errors, in all runs that are looked at (one a weight decay)", NEEDS, chain_is_kept,
    ),
    Claim(
        "A10", "Ours: the within-class variance of n images a class approaches that of all as 1/√n", "exponent −½",
        "Thm 4.1", "the mean over runs of the exponent has the size −½ (−.6 to −.4)", NEEDS, root_n,
    ),
)  # fmt: skip
