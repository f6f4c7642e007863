"""The paper's panels, redrawn from our runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.studies.drawings import COLOURS, courses, key, panels, step_axis
from afterfit.studies.han_2025.flatness import unplug_step
from afterfit.studies.han_2025.memorising import untreated
from afterfit.studies.han_2025.readings import CLUSTERING, FLATNESS, STRENGTH, Arm, arm, strengths
from afterfit.studies.han_2025.tables import GAPS, KERNELS, VIEWED, along_training, frames

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from afterfit.studies.evidence import Evidence

BLUE, RED, GREEN, PINK, ORANGE, SKY, BLACK = COLOURS
Drawn = Iterable[tuple[str, str, "xr.Dataset", Arm]]
"""What is drawn: label, colour, observations, members."""
NETWORKS = {"addition": "the paper's network", "collapse": "one layer", "mnist-collapse": "MNIST"}  # by sweep


def figure_1(evidence: Evidence) -> Figure:
    """Accuracy, clustering, flatness exact and bound, representativeness; the paper's network, then the small one."""
    table: Any = evidence.table("along_training", along_training, VIEWED)
    figure, axes = panels(4, 2)
    for row, sweep in zip(axes, ("addition", "collapse"), strict=True):
        observations, members = evidence.observations(sweep), untreated(evidence, sweep)
        lines = (
            (row[0], "train/accuracy", BLUE, "train"), (row[0], "test/accuracy", RED, "validation"),
            (row[1], CLUSTERING, BLUE, "train"), (row[1], "test/cdnv", RED, "validation"),
            (row[2], FLATNESS["exact"], BLUE, "exact κ"), (row[2], FLATNESS["bound"], ORANGE, "plotted bound"),
        )  # fmt: skip
        for panel, measure, colour, label in lines:
            if members:
                courses(panel, observations, measure, colour=colour, label=label, members=members.values())
        shown = table[(table["sweep"] == sweep) & table["member"].isin(list(members.values()))]
        for kernel, colour in zip(KERNELS, (BLUE, ORANGE), strict=True):
            middle = shown.groupby("step")[f"representativeness_{kernel}"].median()
            row[3].plot(middle.index, middle.values, "o-", markersize=2, color=colour, label=f"{kernel} kernel")
        row[3].axhline(0, color="0.7", linewidth=0.6)
        row[0].set_title(NETWORKS[sweep])
        row[0].set_ylim(0, 1.02)
        texts = ("accuracy", "NC clustering", "relative flatness", "representativeness")
        for panel, text in zip(row, texts, strict=True):
            panel.set_ylabel(text)
            step_axis(panel)
            if panel.get_legend_handles_labels()[0]:
                panel.legend()
        row[2].set_yscale("log")
    return figure


def arms_of_collapse(evidence: Evidence) -> Figure:
    """Validation accuracy, clustering and exact κ by strength of the penalty, on modular addition and MNIST."""
    figure, axes = panels(3, 2)
    for row, sweep, name in zip(axes, ("collapse", "mnist-collapse"), ("modular addition", "MNIST"), strict=True):
        _rows_of_arms(row, list(_by_strength(evidence, sweep)), name)
    return figure


def arms_of_flatness(evidence: Evidence) -> Figure:
    """Pushed away from flatness: validation accuracy, exact κ and the plotted bound; a line where it is unplugged."""
    figure, axes = panels(4, 2)
    kept, unplugged = evidence.observations("flatness-kept"), evidence.observations("flatness")
    dose = min(strengths(unplugged), default=0.0)
    addition = [
        ("no penalty", BLACK, unplugged, arm(unplugged, {STRENGTH: 0.0})),
        (f"{dose:g}, kept", RED, kept, arm(kept, {STRENGTH: dose})),
        (f"{dose:g}, unplugged", BLUE, unplugged, arm(unplugged, {STRENGTH: dose})),
    ]
    images, plain = evidence.observations("mnist-unplug"), evidence.observations("mnist-kept")
    on_images = [
        ("schedule alone", BLACK, images, arm(images, {"matched": "schedule"})),
        ("never unplugged", RED, plain, arm(plain, {"interventions.1.strength": 1.0})),
        ("unplugged", BLUE, images, arm(images, {"matched": "none"})),
    ]
    for row, drawn, name, sweep in (
        (axes[0], addition, "modular addition", "flatness"),
        (axes[1], on_images, "MNIST", "mnist-unplug"),
    ):
        _rows_of_arms(row, drawn, name)
        for panel in row:
            panel.axvline(unplug_step(evidence, sweep), color="0.6", linewidth=0.6)
    return figure


def resnet(evidence: Evidence) -> Figure:
    """ResNet-18 on a part of CIFAR-10: clustering penalised either way; pushed away from flatness and unplugged."""
    figure, axes = panels(4, 2)
    _rows_of_arms(axes[0], list(_by_strength(evidence, "resnet-collapse")), "ResNet-18")
    observations = evidence.observations("resnet-unplug")
    drawn = [
        ("schedule alone", BLACK, observations, arm(observations, {"matched": "schedule"})),
        ("pushed, then unplugged", BLUE, observations, arm(observations, {"matched": "none"})),
    ]
    _rows_of_arms(axes[1], drawn, "ResNet-18")
    for panel in axes[1]:
        panel.axvline(unplug_step(evidence, "resnet-unplug"), color="0.6", linewidth=0.6)
    return figure


def proposition(evidence: Evidence) -> Figure:
    """Left: κ over the bound of Prop 5.3 on exact frames. Then κ over bound and deviations along training."""
    table: Any = evidence.table("frames", frames, ())
    along: Any = evidence.table("along_training", along_training, VIEWED)
    figure, axes = panels(3, 1, width=3.0, height=2.4)
    left, middle, right = axes[0]
    for colour, (k, rows) in zip(COLOURS, table.groupby("classes"), strict=False):
        gaps = np.geomspace(min(GAPS), max(GAPS), 200)
        left.plot(gaps, (2 + (k - 2) * np.exp(-gaps)) / k**2, color=colour, linewidth=0.8)
        left.plot(rows["gap"], rows["kappa"] / rows["bound"], "o", markersize=2.5, color=colour, label=f"{k} classes")
    left.set(xscale="log", yscale="log", xlabel="lead of the own logit, λδ", ylabel="κ / bound, exact frames")
    left.legend()
    drawn = []
    for colour, (sweep, rows) in zip(COLOURS, along.groupby("sweep"), strict=False):
        if "theorem_bound" not in rows:
            continue
        plain = rows[(rows["strength"] == 0) & rows["theorem_bound"].notna()]
        for _, run in plain.groupby("member"):
            # the bound underflows where a head has grown far: such points lie above the panel
            ratio = run["kappa"] / run["theorem_bound"].clip(lower=1e-30)
            middle.plot(run["step"], ratio, "o-", markersize=2, linewidth=0.7, color=colour)
            right.plot(run["step"], run["self_duality"], "o-", markersize=2, linewidth=0.7, color=colour)
            right.plot(run["step"], run["within_class"], "s:", markersize=2, linewidth=0.7, color=colour)
        drawn.append((NETWORKS[str(sweep)], colour))
    middle.axhline(1, color="0.6", linewidth=0.6)
    middle.set_yscale("log")
    right.set_yscale("log")
    middle.set_ylabel("κ / bound, along training")
    right.set_ylabel("deviation")
    right.set_title("— self-duality, ··· spread in classes", fontsize="small")
    for panel in (middle, right):
        step_axis(panel)
    key(middle, drawn, loc="best")
    return figure


def _by_strength(evidence: Evidence, sweep: str) -> Drawn:
    observations = evidence.observations(sweep)
    colours = {0.0: BLACK}
    for shades, side in (((SKY, BLUE, PINK, "0.55"), -1), ((ORANGE, RED, GREEN, "0.75"), 1)):
        doses = sorted((dose for dose in strengths(observations) if dose * side > 0), key=abs)
        colours |= dict(zip(doses, shades[: len(doses)], strict=True))
    for dose, colour in sorted(colours.items()):
        yield f"{dose:+g}" if dose else "none", colour, observations, arm(observations, {STRENGTH: dose})


def _rows_of_arms(row: Any, drawn: Sequence[tuple[str, str, Any, Arm]], name: str) -> None:
    """Validation accuracy, clustering, exact κ and, if there is room, the plotted bound, one colour an arm."""
    measures = ("test/accuracy", CLUSTERING, FLATNESS["exact"], FLATNESS["bound"])
    texts = ("validation accuracy", "NC clustering", "exact κ", "plotted bound")
    row[0].set_title(name)
    row[0].set_ylim(0, 1.02)
    for panel, measure, text in zip(row, measures, texts, strict=False):
        for _, colour, observations, members in drawn:
            if members:
                courses(panel, observations, measure, colour=colour, members=members.values())
        panel.set_ylabel(text)
        step_axis(panel)
        if measure != "test/accuracy":
            panel.set_yscale("log")
    entries = [(label, colour) for label, colour, _, _ in drawn]
    key(row[-1], entries, loc="center left", bbox_to_anchor=(1.0, 0.5))  # beside the row: courses fill the panels
