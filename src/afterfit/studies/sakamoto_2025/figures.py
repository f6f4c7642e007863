"""The paper's figures redrawn from our runs: courses of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from afterfit.studies.drawings import COLOURS, courses, key, panels, step_axis
from afterfit.studies.sakamoto_2025.figures_theory import THEORY
from afterfit.studies.sakamoto_2025.information import information
from afterfit.studies.sakamoto_2025.readings import LAST, by_decay, per_run
from afterfit.studies.sakamoto_2025.tables import MARGIN_DECAY, PAIR, SWEEP, margins
from afterfit.studies.study import Drawing

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from afterfit.studies.evidence import Evidence

TRAIN, TEST, RNC1, NC1, NC2 = COLOURS[0], COLOURS[1], COLOURS[2], COLOURS[4], COLOURS[3]


def _accuracies(axes: Axes, observations: xr.Dataset, members: list[int]) -> None:
    for split, colour in (("train", TRAIN), ("test", TEST)):
        courses(axes, observations, f"{split}/accuracy", colour=colour, members=members)
    axes.set_ylim(0, 1.03)
    step_axis(axes)


def _logarithmic(axes: Axes, observations: xr.Dataset, measure: str, colour: str, members: list[int]) -> None:
    courses(axes, observations, measure, colour=colour, members=members)
    axes.set_yscale("log")
    step_axis(axes)


def fitting_and_margins(evidence: Evidence) -> Figure:
    """Figure 2: accuracy over steps, and margins of unseen images of two classes at two of them."""
    figure, axes = panels(3, width=2.5, height=2.3)
    observations = evidence.observations(SWEEP)
    arms = by_decay(observations)
    decay = MARGIN_DECAY if MARGIN_DECAY in arms else min(arms)
    _accuracies(axes[0, 0], observations, arms[decay])
    axes[0, 0].set(title=f"weight decay {decay:g}", ylabel="accuracy")
    key(axes[0, 0], [("train", TRAIN), ("test", TEST)], loc="upper left")
    table: Any = evidence.table("margins", margins, (SWEEP,))
    steps = sorted(table["step"].unique().tolist())
    axes[0, 2].sharey(axes[0, 1])
    for place, step in zip(axes[0, 1:], steps, strict=False):
        shown = table[table["step"] == step]
        groups = [shown["margin"][shown["label"] == c].to_numpy() for c in PAIR]
        place.axhline(0, color="0.6", linewidth=0.6)
        for position, (group, colour) in enumerate(zip(groups, (TRAIN, TEST), strict=True)):
            for body in place.violinplot(group, [position], showmedians=True, widths=0.8)["bodies"]:  # type: ignore[index]
                body.set_facecolor(colour)
        place.set(title=f"step {step:,}", xticks=[0, 1], xlabel="class", xticklabels=[str(c) for c in PAIR])
    axes[0, 1].set_ylabel("margin between classes 0 and 1")
    return figure


def collapse(evidence: Evidence) -> Figure:
    """Figure 3: accuracy, RNC1 and NC2 for each weight decay."""
    return _columns(evidence, SWEEP, (("train/rnc1", RNC1, "RNC1"), ("train/nc2", NC2, "NC2")))


def fashion(evidence: Evidence) -> Figure:
    """Figure 6: the same on Fashion-MNIST."""
    return _columns(evidence, "fashion", (("train/rnc1", RNC1, "RNC1"), ("train/nc2", NC2, "NC2")))


def cnn(evidence: Evidence) -> Figure:
    """Figure 7."""
    return _columns(evidence, "cnn", (("train/rnc1", RNC1, "RNC1"), ("train/nc1", NC1, "NC1")))


def transformer(evidence: Evidence) -> Figure:
    """Figure 9."""
    return _columns(evidence, "transformer", (("train/rnc1", RNC1, "RNC1"), ("train/nc1", NC1, "NC1")))


def _columns(evidence: Evidence, sweep: str, measures: tuple[tuple[str, str, str], ...]) -> Figure:
    """A column a weight decay, accuracies above, a row for each measure below."""
    observations = evidence.observations(sweep)
    arms = by_decay(observations)
    width = max(1.9, 3.4 / len(arms))
    figure, axes = panels(len(arms), 1 + len(measures), width=width, height=1.7, sharex="col", sharey="row")
    for column, (decay, members) in enumerate(arms.items()):
        _accuracies(axes[0, column], observations, members)
        axes[0, column].set(title=f"weight decay {decay:g}", xlabel="")
        for row, (measure, colour, _) in enumerate(measures, start=1):
            _logarithmic(axes[row, column], observations, measure, colour, members)
            axes[row, column].set_xlabel("step" if row == len(measures) else "")
    axes[0, 0].set_ylabel("accuracy")
    for row, (_, _, name) in enumerate(measures, start=1):
        axes[row, 0].set_ylabel(name)
    key(axes[0, -1], [("train", TRAIN), ("test", TEST)], loc="upper left")
    return figure


def compression(evidence: Evidence) -> Figure:
    """Figure 4: superfluous information by both estimators, the nHSIC difference, and RNC1, for each weight decay."""
    table: Any = evidence.table("information", information, (SWEEP,))
    decays = sorted(table["decay"].unique().tolist(), reverse=True)
    rows = (
        ("superfluous_entropies", "I(Z;X) − I(Z;Y), nats\n(entropies)", TRAIN),
        ("superfluous_ksg", "I(Z;X) − I(Z;Y), nats\n(KSG, Ross)", TRAIN),
        ("nhsic_difference", "nHSIC difference", NC2),
        ("rnc1_mean_norm", "RNC1", RNC1),
    )
    width = max(1.9, 3.4 / len(decays))
    figure, axes = panels(len(decays), len(rows), width=width, height=1.5, sharex="col", sharey="row")
    for column, decay in enumerate(decays):
        for row, (name, label, colour) in enumerate(rows):
            place = axes[row, column]
            for _, part in table[table["decay"] == decay].groupby("member"):
                place.plot(part["step"], part[name], color=colour, linewidth=0.8, marker=".", markersize=3)
            step_axis(place)
            place.set_xlabel("step" if row == len(rows) - 1 else "")
            if column == 0:
                place.set_ylabel(label)
            if name.startswith("rnc1"):
                place.set_yscale("log")
        axes[0, column].set_title(f"weight decay {decay:g}")
    return figure


def early_birds(evidence: Evidence) -> Figure:
    """When test accuracy and RNC1 are half way, and what NC2 did in runs that lie above the diagonal."""
    figure, axes = panels(2, width=3.0, height=2.6)
    for sweep, colour in ((SWEEP, TRAIN), ("fashion", TEST)):
        runs = [run for run in per_run(evidence, sweep) if run["accuracy"] and run["rnc1"]]
        axes[0, 0].scatter([r["accuracy"] for r in runs], [r["rnc1"] for r in runs], color=colour, s=12)
        known = [run for run in runs if run["nc2"] is not None]
        leads = [run["accuracy"] / run["rnc1"] for run in known]
        axes[0, 1].scatter(leads, [run["nc2"] for run in known], color=colour, s=12)
    low, high = 1e3, 1e5
    axes[0, 0].plot([low, high], [low, high], color="0.6", linewidth=0.6)
    axes[0, 0].set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    axes[0, 0].set(
        xlabel="step: test accuracy half way", ylabel="step: RNC1 half way", title="above the line: early birds"
    )
    axes[0, 1].axvline(1, color="0.6", linewidth=0.6)
    axes[0, 1].set(xscale="log", xlabel="step of accuracy / step of RNC1", title="left of the line: early birds")
    axes[0, 1].set(xlim=(0.2, 5))
    axes[0, 1].set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axes[0, 1].minorticks_off()
    axes[0, 1].set_ylabel("log NC2, end over largest")
    key(axes[0, 0], [("MNIST", TRAIN), ("Fashion-MNIST", TEST)], loc="upper left")
    return figure


def open_questions(evidence: Evidence) -> Figure:
    """Cross-entropy, at each weight decay, and no weight decay: accuracies and RNC1."""
    arms = [
        (evidence.observations(sweep), title, decay, members)
        for sweep, title in (("cross-entropy", "cross-entropy"), ("no-decay", "no weight decay"))
        for decay, members in by_decay(evidence.observations(sweep)).items()
    ]
    width = max(1.9, 5.6 / len(arms))
    figure, axes = panels(len(arms), 2, width=width, height=1.8, sharex="col", sharey="row")
    for column, (observations, title, decay, members) in enumerate(arms):
        _accuracies(axes[0, column], observations, members)
        axes[0, column].set(title=f"{title}, λ = {decay:g}" if decay else title, xlabel="")
        _logarithmic(axes[1, column], observations, "train/rnc1", RNC1, members)
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("RNC1")
    key(axes[0, 0], [("train", TRAIN), ("test", TEST)], loc="upper left")
    return figure


DRAWINGS = (
    Drawing("fig2", "Accuracy with weight decay .01, and margins of unseen images of the classes 0 and 1 (Fig 2).",
            (SWEEP,), fitting_and_margins),
    Drawing("fig3", "Accuracy, RNC1 and NC2 for each weight decay; thin: runs, thick: their median (Fig 3).", (SWEEP,),
            collapse),
    Drawing("fig4", "Superfluous information by two estimators, nHSIC difference and RNC1 (Fig 4), x and z of the same"
            " image paired; a line a run.", (SWEEP,), compression),
    Drawing("fig6", "Fashion-MNIST: accuracy, RNC1 and NC2 (Fig 6).", ("fashion",), fashion),
    Drawing("fig7", "CNN: accuracy, RNC1 and NC1 (Fig 7).", ("cnn",), cnn),
    Drawing("fig9", "Vision transformer: accuracy, RNC1 and NC1 (Fig 9).", ("transformer",), transformer),
    *THEORY,
    Drawing("early_birds", "Runs that generalise: when test accuracy and RNC1 are half way between where they"
            f" are farthest from their end and the median of the last {LAST} observations; and how far NC2 came.",
            (SWEEP, "fashion"), early_birds),
    Drawing("open_questions", "Cross-entropy in place of squared error, and no weight decay.",
            ("cross-entropy", "no-decay"), open_questions),
)  # fmt: skip
