"""The theorems along training, and the two times over weight decay: no figure of the paper shows these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.spec import Threshold
from afterfit.studies.drawings import COLOURS, key, panels, step_axis
from afterfit.studies.sakamoto_2025.readings import THRESHOLDS, by_decay, times
from afterfit.studies.sakamoto_2025.sweeps import GD_COLLAPSES, GD_TIMES, LOSSES
from afterfit.studies.sakamoto_2025.tables import NOISES, SWEEP, bounds, chain, rates
from afterfit.studies.study import Drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from afterfit.studies.evidence import Evidence

ERROR, FULL, DIRECTIONAL, KNOWN = COLOURS[6], COLOURS[0], COLOURS[2], COLOURS[1]


def error_bound(evidence: Evidence) -> Figure:
    """Theorem 3.2 along training: the error of unseen images and the bounds, medians over runs."""
    table: Any = evidence.table("bounds", bounds, (SWEEP,))
    decays = sorted(table["decay"].unique().tolist(), reverse=True)
    figure, axes = panels(len(decays), width=max(2.0, 3.4 / len(decays)), height=2.2, sharey=True)
    lines = (("test_error", ERROR), ("full", FULL), ("directional", DIRECTIONAL), ("train_full", KNOWN))
    for place, decay in zip(axes[0], decays, strict=True):
        middle = table[table["decay"] == decay].groupby("step")[[name for name, _ in lines]].median()
        for name, colour in lines:
            place.plot(middle.index, middle[name], color=colour, marker=".", markersize=3)
        place.axhline(1, color="0.6", linewidth=0.6)
        place.set(yscale="log", title=f"weight decay {decay:g}")
        step_axis(place)
    axes[0, 0].set_ylabel("error, and its bound")
    names = ("test error", "bound, full variance", "bound, directional", "bound by training images")
    _legend(figure, [(name, colour) for name, (_, colour) in zip(names, lines, strict=True)])
    return figure


def information_chain(evidence: Evidence) -> Figure:
    """Theorem 3.4 along training for the largest weight decay: a panel a noise."""
    table: Any = evidence.table("chain", chain, (SWEEP,))
    table = table[table["decay"] == table["decay"].max()]
    figure, axes = panels(len(NOISES), width=2.0, height=2.2)
    for place, noise in zip(axes[0], NOISES, strict=True):
        part = table[table["noise"] == noise].sort_values("step")
        for name, colour in (("trace", FULL), ("log_det", DIRECTIONAL)):
            place.plot(part["step"], part[name], color=colour, marker=".", markersize=3)
        place.plot(part["step"], part["seen"], color=DIRECTIONAL, linestyle="dashed", linewidth=0.8)
        for doubted, face in ((False, KNOWN), (True, "none")):
            shown = part[part["warning"].notna() == doubted]
            error = 2 * shown["standard_error"]
            marks = {"fmt": "o", "markersize": 3.5, "markerfacecolor": face, "elinewidth": 0.8}
            place.errorbar(shown["step"], shown["estimate"], error, color=KNOWN, **marks)  # type: ignore[arg-type]
        place.set_title(f"σ = {noise:g}")
        place.set_yscale("symlog", linthresh=0.01)
        step_axis(place)
    axes[0, 0].set_ylabel("nats")
    _legend(figure, [("trace", FULL), ("log-det", DIRECTIONAL), ("estimate (open: doubted)", KNOWN)])
    return figure


def two_times(evidence: Evidence) -> Figure:
    """τ₁ and τ₂ over weight decay: AdamW, and theorem 4.3's own setting; open marks are censored."""
    figure, axes = panels(2, width=3.0, height=2.6)
    adamw = [
        (Threshold(name="tau1", measure="train/loss", at_most=LOSSES["tau1"]), FULL),
        (Threshold(name="tau2", measure="train/rnc1", at_most=THRESHOLDS["middle"]), KNOWN),
    ]
    middle = Threshold(name="tau2", measure="train/rnc1", at_most=GD_COLLAPSES["middle"])
    for place, sweep, rules, title in (
        (axes[0, 0], SWEEP, adamw, "AdamW, MNIST"),
        (axes[0, 1], "gradient-descent", [(GD_TIMES[0], FULL), (middle, KNOWN)], "gradient descent, digits"),
    ):
        for rule, colour in rules:
            _scatter(place, evidence, sweep, rule, colour)
        place.set(xscale="log", yscale="log", xlabel="weight decay λ", title=title)
        decays = by_decay(evidence.observations(sweep))
        place.set_xticks(list(decays), [f"{decay:g}" for decay in decays])
        place.minorticks_off()
    axes[0, 0].set_ylabel("step")
    _legend(figure, [("τ₁: fitted", FULL), ("τ₂: collapsed", KNOWN), ("slope −1", "0.6")])
    return figure


def _legend(figure: Figure, entries: list[tuple[str, str]]) -> None:
    """A legend of colours below all panels."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour) for _, colour in entries]
    figure.legend(lines, [label for label, _ in entries], loc="outside lower center", ncols=len(entries))


def _scatter(place: Axes, evidence: Evidence, sweep: str, rule: Threshold, colour: str) -> None:
    """Every run's time, open where censored, and for τ₂ a line of slope −1 through their middle."""
    arms = times(evidence, sweep, rule)
    for decay, arm in arms.items():
        for censored, face in ((False, colour), (True, "none")):
            steps = arm.time[arm.censored == censored]
            x = np.full(len(steps), float(str(decay)))
            place.scatter(x, steps, s=14, marker="o", facecolors=face, edgecolors=colour, linewidths=0.8)
    seen = [(float(str(decay)), arm.time[~arm.censored]) for decay, arm in arms.items() if (~arm.censored).any()]
    if rule.name == "tau2" and seen:
        x = np.array(sorted(float(str(decay)) for decay in arms))
        through = np.exp(np.mean([np.log(decay) + np.log(steps).mean() for decay, steps in seen]))
        place.plot(x, through / x, color="0.6", linewidth=0.8)


def root_n(evidence: Evidence) -> Figure:
    """Theorem 4.1: distance of the variance of n images a class from that of all, a line a run."""
    table: Any = evidence.table("rates", rates, (SWEEP,))
    figure, axes = panels(1, width=3.2, height=2.4)
    place = axes[0, 0]
    for _, part in table.groupby("member"):
        place.plot(part["n"], part["gap"], color=FULL, linewidth=0.6, alpha=0.6)
    n = np.sort(table["n"].unique())
    if table["gap"].notna().any():
        middle = float(np.exp(np.log(table["gap"] * np.sqrt(table["n"])).mean()))
        place.plot(n, middle / np.sqrt(n), color="0.3", linestyle="dashed")
    place.set(xscale="log", yscale="log", xlabel="images a class, n", ylabel="|Vₙ − V| / V")
    key(place, [("runs, last snapshot", FULL), ("slope −½", "0.3")], loc="lower left")
    return figure


THEORY = (
    Drawing("error_bound", "Theorem 3.2 along training: error of one half of the test images, bounds from the other"
            " half and from the training images; medians over runs. Above the line a bound says nothing.", (SWEEP,),
            error_bound),
    Drawing("information_chain", "Theorem 3.4 along training, largest weight decay: trace and log-det bounds, and an"
            " estimate (widest direction of each class, ± 2 standard errors) with the bound of it (dashed).",
            (SWEEP,), information_chain),
    Drawing("two_times", "τ₁ and τ₂ over weight decay, every run; open: not within the budget. Left AdamW, right the"
            " setting of theorem 4.3, two learning rates.", (SWEEP, "gradient-descent"), two_times),
    Drawing("root_n", "Theorem 4.1, sampling part: n images a class against all test images, features fixed.", (SWEEP,),
            root_n),
)  # fmt: skip
