"""The figures: the phases and the threshold, what interventions do, the power law, other tasks and networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.analysis import kaplan_meier
from afterfit.analysis.forecast_power_law import PowerLaw
from afterfit.analysis.forecast_runs import horizon_of
from afterfit.analysis.times import Times
from afterfit.studies.drawings import COLOURS, courses, key, panels, step_axis
from afterfit.studies.study import Drawing
from afterfit.studies.truong_2026.claims_forecasts import grokking_runs, law_without
from afterfit.studies.truong_2026.readings import (
    GENERALISED,
    SWEEPS,
    all_times,
    collapse,
    course,
    entropy,
    first,
    relative_errors,
    thresholds,
    times,
)
from afterfit.studies.truong_2026.sweeps import ALIGNMENT, baseline
from afterfit.studies.truong_2026.tables import RANKS, all_runs, spectra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from afterfit.studies.evidence import Evidence

BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK = COLOURS
ENTROPY_LABEL = "H̃ (train, 512 fixed)"
FRACTIONS = {"main": "20 % of the pairs", "easier": "40 %"}
TASKS = {"operations": "− and ×", "s5": "S₅, 10 %"}
OTHERS = {"mlp": "MLP, p = 41", "no-decay": "no weight decay", "random-labels": "random labels"}


def phases(evidence: Evidence) -> Figure:
    """Accuracy, entropy and norm of a + b, with T_collapse, T_grok and H*."""
    figure, axes = panels(3, 2, sharex="row")
    for row, sweep in zip(axes, FRACTIONS, strict=True):
        observations = evidence.observations(sweep)
        courses(row[0], observations, "train/accuracy", colour=BLUE, dashed=True)
        courses(row[0], observations, "test/accuracy", colour=RED)
        key(row[0], [("train", BLUE), ("test", RED)], loc="center left")
        courses(row[1], observations, entropy(evidence), colour=BLACK)
        _marks(row[1], evidence, sweep)
        courses(row[2], observations, "weight_norm", colour=GREEN)
        for cell, label in zip(row, ("accuracy", ENTROPY_LABEL, "norm of all parameters"), strict=True):
            cell.set(ylabel=label, title=FRACTIONS[sweep] if cell is row[0] else "")
            step_axis(cell, log=False)
    return figure


def _marks(axes: Axes, evidence: Evidence, sweep: str) -> None:
    """T_collapse (triangle) and T_grok (circle) on every course, and the mean of H̃(T_grok)."""
    observations = evidence.observations(sweep)
    for rule, marker, colour in ((collapse(evidence), "v", ORANGE), (GENERALISED, "o", RED)):
        for member, step in first(observations, rule).items():
            if step is not None:
                steps, values = course(observations, member, entropy(evidence))
                axes.plot(step, values[steps == step], marker, color=colour, markersize=4)
    values = list(thresholds(evidence, sweep).values())
    if values:
        axes.axhline(float(np.mean(values)), color=RED, linewidth=0.8, linestyle=(0, (3, 1.5)))
    key(axes, [("T_collapse", ORANGE), ("T_grok, H*", RED)])


def order_of_events(evidence: Evidence) -> Figure:
    """Every run of every sweep: when it memorised, collapsed and generalised."""
    table = evidence.table("runs", all_runs, tuple(evidence.runs))
    table = table.sort_values(["sweep", "arm", "seed"], kind="stable", na_position="first").reset_index(drop=True)
    figure, axes = panels(1, width=6.0, height=min(max(2.5, 0.13 * len(table) + 0.8), 9.0))
    cell = axes[0, 0]
    events = (("memorised", BLUE), ("collapsed", ORANGE), ("generalised", RED))
    for place, row in table.iterrows():
        cell.plot([0, row["last_step"]], [place, place], color="#d5dae2", linewidth=1)
        for name, colour in events:
            cell.plot(row[name], place, "o", color=colour, markersize=3)
    blocks = table.groupby(table["sweep"] + table["arm"].fillna("").map(lambda arm: f", {arm}" if arm else ""))
    cell.set_yticks([float(np.mean(rows.index)) for _, rows in blocks], [str(name) for name, _ in blocks], fontsize=6)
    cell.set_ylim(len(table) - 0.5, -0.5)
    cell.set_xscale("symlog", linthresh=200)
    cell.set_xlim(left=0)
    cell.set_xlabel("step")
    entries = [*((name, colour) for name, colour in events), ("followed", "#d5dae2")]
    key(cell, entries, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=6)
    return figure


def interventions(evidence: Evidence) -> Figure:
    """Mixing by strength: entropy, share still without generalisation, and the dose–response."""
    figure, axes = panels(3)
    base, mixing = evidence.observations(baseline(evidence.scale)), evidence.observations("mixing")
    strengths = mixing["interventions.0.strength"].values.astype(float)
    arms: dict[str, tuple[Times, str]] = {"none": (_base_times(evidence), BLACK)}
    courses(axes[0, 0], base, entropy(evidence), colour=BLACK)
    found = times(evidence, "mixing", GENERALISED, arm="strength")
    for colour, (strength, arm) in zip(COLOURS, found.items(), strict=False):
        members = mixing["member"].values[np.isclose(strengths, strength)]
        courses(axes[0, 0], mixing, entropy(evidence), colour=colour, members=members.tolist())
        arms[f"α = {strength:.1f}"] = (arm, colour)
    axes[0, 0].set_ylabel(ENTROPY_LABEL)
    step_axis(axes[0, 0], log=False)
    _survival(axes[0, 1], arms)
    _doses(axes[0, 2], {0.0: arms["none"][0], **{float(strength): arm for strength, arm in found.items()}})
    return figure


def _base_times(evidence: Evidence) -> Times:
    return all_times(evidence, baseline(evidence.scale), GENERALISED)


def _survival(axes: Axes, arms: Mapping[str, tuple[Times, str]]) -> None:
    """The share without generalisation, Kaplan–Meier, to the end of each arm's record; a cross where runs ended."""
    for label, (arm, colour) in arms.items():
        curve = kaplan_meier(arm)
        steps, shares = np.r_[0, curve.time, curve.end], np.r_[1.0, curve.survival, curve.at(curve.end)[0]]
        axes.step(steps, shares, where="post", color=colour, linewidth=1.2, label=f"{label} (n = {len(arm)})")
        lost = arm.time[arm.censored]
        axes.plot(lost, [curve.at(step)[0] for step in lost], "x", color=colour, markersize=4)
    axes.set(ylabel="share not generalised", ylim=(-0.03, 1.03))
    step_axis(axes, log=False)
    axes.legend(fontsize=6)


def _doses(axes: Axes, arms: Mapping[float, Times]) -> None:
    """T_grok by dose, a run a point; those that were not seen to generalise as open triangles at their end."""
    for strength, arm in arms.items():
        for lost, marker, fill in ((False, "o", BLUE), (True, "^", "none")):
            there = arm.time[arm.censored == lost]
            at = np.full(len(there), strength)
            axes.plot(at, there, marker, color=BLUE, markerfacecolor=fill, markersize=4, linestyle="none")
    axes.set(xlabel="strength of the mixing α", ylabel="T_grok (△ not by then)", ylim=(0, None))


def norm_control(evidence: Evidence) -> Figure:
    """The norm-matched control and the random one: norms, entropies, generalisation."""
    figure, axes = panels(3)
    mixing = evidence.observations("mixing")
    strengths = mixing["interventions.0.strength"].values.astype(float)
    same = mixing["member"].values[np.isclose(strengths, 0.3)].tolist()
    arms = (
        ("none", evidence.observations(baseline(evidence.scale)), None, BLACK, _base_times(evidence)),
        ("mixing", mixing, same, BLUE, _nearest(times(evidence, "mixing", GENERALISED, arm="strength"), 0.3)),
        ("norm-matched", *_arm(evidence, "norm-matched"), RED, all_times(evidence, "norm-matched", GENERALISED)),
        ("random", *_arm(evidence, "random-direction"), GREEN, all_times(evidence, "random-direction", GENERALISED)),
    )
    for label, observations, members, colour, _ in arms:
        courses(axes[0, 0], observations, "weight_norm", colour=colour, members=members, dashed=label == "norm-matched")
        courses(axes[0, 1], observations, entropy(evidence), colour=colour, members=members)
    for cell, label in zip(axes[0, :2], ("norm of all parameters", ENTROPY_LABEL), strict=True):
        cell.set_ylabel(label)
        step_axis(cell, log=False)
    _survival(axes[0, 2], {label: (arm, colour) for label, _, _, colour, arm in arms})
    return figure


def _nearest(arms: Mapping[float, Times], strength: float) -> Times:
    return arms[min(arms, key=lambda each: abs(each - strength))]


def _arm(evidence: Evidence, sweep: str) -> tuple[Any, None]:
    return evidence.observations(sweep), None


def power_law(evidence: Evidence) -> Figure:
    """Steps to come over the distance to H*, with the law; and the error of the law, each run left out, as T nears."""
    figure, axes = panels(2, width=3.2, height=2.5)
    for sweep, colour in zip(SWEEPS.values(), (BLUE, ORANGE), strict=True):
        runs = grokking_runs(evidence, sweep)
        generalised = [run for run in runs if not run.censored]
        if len(generalised) < 2:
            continue
        model = PowerLaw(entropy(evidence))
        try:
            law = model.fit(runs, horizon=horizon_of(runs))
            errors = [relative_errors(law_without(model, runs, run), run) for run in generalised]
        except ValueError:  # no law on these runs; the claim says why
            continue
        _law(axes[0, 0], law, generalised, colour, FRACTIONS[sweep])
        for run, found in zip(generalised, errors, strict=True):
            axes[0, 1].plot(run.time - run.at_risk, found, color=colour, linewidth=0.7)
    axes[0, 0].set(xlabel="H̃ − H*", ylabel="T_grok − t", xscale="log", yscale="log")
    axes[0, 1].axhline(0.2, color=BLACK, linewidth=0.7, linestyle=(0, (3, 1.5)))
    axes[0, 1].set(xlabel="T_grok − t", ylabel="|T̂ − T| / T, run left out", ylim=(0, 1.5))
    axes[0, 1].invert_xaxis()
    if axes[0, 0].has_data():
        axes[0, 0].legend(fontsize=6)
    return figure


def _law(axes: Axes, law: Any, runs: list[Any], colour: str, label: str) -> None:
    for run in runs:
        before = run.step < run.time
        x = law.sign * (run.values[law.measure][before] - law.threshold)
        axes.plot(x[x > 0], (run.time - run.step[before])[x > 0], ".", color=colour, markersize=3)
    line = np.geomspace(0.003, 0.3, 60)
    shown = f"{label}: C₁ = {law.c1:.2g}, γ = {law.gamma:.2f}"
    steps = law.c1 * line**law.gamma + law.c2
    axes.plot(line, np.where(steps > 0, steps, np.nan), color=colour, linewidth=1.2, label=shown)


def elsewhere(evidence: Evidence) -> Figure:
    """Other tasks, and runs that do not generalise: entropy above, accuracy below."""
    names = {**TASKS, **OTHERS}
    figure, axes = panels(len(names), 2, width=2.0, sharex="col")
    for column, (sweep, title) in enumerate(names.items()):
        observations = evidence.observations(sweep)
        above, below = axes[0, column], axes[1, column]
        courses(above, observations, entropy(evidence), colour=BLACK)
        _marks(above, evidence, sweep)
        courses(below, observations, "train/accuracy", colour=BLUE, dashed=True)
        courses(below, observations, "test/accuracy", colour=RED)
        above.set(title=title, ylim=(0, 1), ylabel=ENTROPY_LABEL if not column else "")
        below.set(ylim=(-0.03, 1.03), ylabel="accuracy" if not column else "")
        step_axis(below, log=False)
        if column:
            above.get_legend().remove()
    key(axes[1, 0], [("train", BLUE), ("test", RED)])
    return figure


def fourier(evidence: Evidence) -> Figure:
    """Entropy against Fourier alignment, a point an observation; and both along training."""
    figure, axes = panels(3)
    name = ALIGNMENT[evidence.choices["characters"]]
    for sweep, colour in zip(SWEEPS.values(), (BLUE, ORANGE), strict=True):
        observations = evidence.observations(sweep)
        x, y = (observations[each].values.ravel() for each in (name, entropy(evidence)))
        axes[0, 0].plot(x, y, ".", color=colour, markersize=3, alpha=0.6)
        courses(axes[0, 1], observations, name, colour=colour)
        courses(axes[0, 2], observations, entropy(evidence), colour=colour)
    axes[0, 0].set(xlabel="Fourier alignment A_F", ylabel=ENTROPY_LABEL)
    for cell, label in zip(axes[0, 1:], ("Fourier alignment A_F", ENTROPY_LABEL), strict=True):
        cell.set_ylabel(label)
        step_axis(cell, log=False)
    key(axes[0, 0], [(FRACTIONS[sweep], colour) for sweep, colour in zip(SWEEPS.values(), (BLUE, ORANGE), strict=True)])
    return figure


def eigenvalues(evidence: Evidence) -> Figure:
    """The spectrum at snapshots of one run, and the norm with and without the embeddings."""
    table: Any = evidence.table("spectra", spectra, ("main", "easier")).sort_values("step")
    table = table[table["sweep"] == "main"]
    figure, axes = panels(2, width=3.2, height=2.5)
    one = table[table["seed"] == table["seed"].min()]
    shown = [f"share_{rank}" for rank in RANKS if f"share_{rank}" in one]
    for index, (_, row) in enumerate(one.iterrows()):
        shade = str(0.8 * (1 - index / max(1, len(one) - 1)))
        label = f"step {row['step']:,.0f}"
        axes[0, 0].plot(RANKS[: len(shown)], row[shown], color=shade, label=label)
    axes[0, 0].set(xlabel="rank", ylabel="λ / Σ λ", xscale="log", yscale="log", ylim=(1e-6, 1))
    axes[0, 0].legend(fontsize=5.5)
    for name, colour in (("norm", BLACK), ("norm_without_embeddings", GREEN)):
        for _, run in table.groupby("seed"):
            axes[0, 1].plot(run["step"], run[name], ".-", color=colour, linewidth=0.8, markersize=3)
    axes[0, 1].set(ylabel="norm", ylim=(0, None))
    step_axis(axes[0, 1], log=False)
    key(axes[0, 1], [("all parameters", BLACK), ("without embeddings", GREEN)])
    return figure


_SWEEPS = (
    "easier", "main", "mixing", "mixing-early", "norm-matched", "random-direction", "no-decay", "random-labels", "mlp",
    "followed", "operations", "s5",
)  # fmt: skip
DRAWINGS = (
    Drawing(
        "phases", "a + b: accuracy, spectral entropy with T_collapse, T_grok and H*, and the norm; above with the "
        "published 20 % of the pairs, below with 40 %. Thin: runs, thick: their median as long as all are followed.",
        ("main", "easier"), phases,
    ),
    Drawing("events", "When every run memorised, collapsed and generalised.", _SWEEPS, order_of_events),
    Drawing(
        "interventions", "Representation mixing: entropy, share of runs not generalised yet (Kaplan–Meier), and T_grok "
        "by strength.", ("main", "easier", "mixing"), interventions,
    ),
    Drawing(
        "norm-control", "The norm-matched control, which lies on the norm of the runs without mixing, and a random "
        "change of the same size.", ("main", "easier", "mixing", "norm-matched", "random-direction"), norm_control,
    ),
    Drawing(
        "power-law", "Steps to come over H̃ − H* with the fitted law; and its relative error as T_grok nears, each run "
        "left out of its fit (dashed: 20 %).", ("main", "easier"), power_law,
    ),
    Drawing(
        "elsewhere", "Other tasks; and networks that are not expected to generalise.",
        ("operations", "s5", "mlp", "no-decay", "random-labels"), elsewhere,
    ),
    Drawing("fourier", "Spectral entropy and Fourier alignment.", ("main", "easier"), fourier),
    Drawing(
        "spectra", "Eigenvalues of the covariance at snapshots of one run (dark is late), and the norm of the "
        "parameters.", ("main", "easier"), eigenvalues,
    ),
)  # fmt: skip
