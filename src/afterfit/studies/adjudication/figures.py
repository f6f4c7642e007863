"""The figures of the adjudication."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.studies.adjudication.leads import ALL, arms_that_generalise
from afterfit.studies.adjudication.moved import moved
from afterfit.studies.adjudication.pushes import DIRECTIONS, arm_times
from afterfit.studies.adjudication.rivals import BY_NAME, MEASURED
from afterfit.studies.adjudication.summary import LABELS, aucs, errors, forecasts_of, leads_of, summary
from afterfit.studies.adjudication.sweeps import LABELS as TASK_LABELS
from afterfit.studies.adjudication.sweeps import PUSHED, PUSHES, SWEEPS
from afterfit.studies.drawings import COLOURS, key, panels
from afterfit.studies.evidence import Evidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAMILIES = {"collapse": COLOURS[0], "flatness": COLOURS[1], "entropy": COLOURS[2], "baseline": "#5b6472"}
ARMS = {"arm": COLOURS[1], "control": COLOURS[5], "baseline": "#5b6472"}
PUSHES_IN_A_ROW = 3
QUESTIONS = (
    ("lead", "lead over\ngeneralisation (÷ T)", (-1.05, 1.05), 0.0),
    ("auc", "area under the ROC,\nheld-out seeds", (-0.02, 1.02), 0.5),
    ("alarms", "false alarms, of runs\nthat never generalise", (-0.05, 1.05), None),
    ("error", "forecast error |T̂ − T| / T,\nheld-out seeds", (0.0, 1.0), None),
)


def draw_side_by_side(evidence: Evidence) -> Figure:
    """Rows measures, columns the questions."""
    table = evidence.table("summary", summary, needs=SWEEPS).set_index("measure")
    names = list(LABELS)[::-1]
    figure, axes = panels(len(QUESTIONS) + 1, width=2.1, height=3.4, sharey=True)
    single = _single_tasks(evidence)
    for ax, (column, title, limits, line) in zip(axes[0], QUESTIONS, strict=False):
        for y, name in enumerate(names):
            _dots(ax, y, single[column].get(name, ()), limits)
            _estimate(ax, y, table.loc[name], column, FAMILIES[table.loc[name, "family"]], limits)
        _finish(ax, title, limits, line)
    _push_column(axes[0, -1], table, names)
    axes[0, 0].set_yticks(range(len(names)), [LABELS[name] for name in names])
    key(axes[0, 2], list(FAMILIES.items()), loc="lower center", fontsize=6.5, ncols=2)  # no alarms in these rows
    return figure


def _single_tasks(evidence: Evidence) -> dict[str, dict[str, Any]]:
    """What each question's small marks are: by column and measure."""
    every, forecast = leads_of(evidence), forecasts_of(evidence)
    told: Any = every[(every["task"] != ALL) & (every["rule"] == "halved")]
    errors_of = {name: errors(forecast, name) for name in LABELS}
    return {
        "lead": {n: rows["relative_lead"].dropna().to_numpy() for n, rows in told.groupby("measure")},
        "alarms": {n: rows["alarms"].dropna().to_numpy() for n, rows in told.groupby("measure")},
        "auc": {name: aucs(forecast, name).to_numpy() for name in LABELS},
        "error": {n: found.groupby("task").median().to_numpy() for n, found in errors_of.items() if len(found)},
    }


def _dots(ax: Axes, y: float, values: Any, limits: tuple[float, float]) -> None:
    if len(values):
        shown = np.clip(np.asarray(values, dtype=float), *limits)
        ax.plot(shown, np.full(len(shown), y), "|", color="#9aa3b2", markersize=6, zorder=1)


def _estimate(
    ax: Axes, y: float, row: Mapping[str, Any], column: str, colour: str, limits: tuple[float, float]
) -> None:
    """A dot with its interval; an arrowhead where either lies beyond the axis."""
    value, low, high = (float(row[f"{column}{end}"]) for end in ("", "_low", "_high"))
    if math.isnan(value):
        return
    ax.plot(np.clip([low, high], *limits), [y, y], color=colour, linewidth=1.4, zorder=2)
    marker = "<" if value < limits[0] else ">" if value > limits[1] else "o"
    ax.plot([np.clip(value, *limits)], [y], marker, color=colour, markersize=4.5, zorder=3, clip_on=False)


def _finish(ax: Axes, title: str, limits: tuple[float, float], line: float | None) -> None:
    ax.set_xlim(*limits)
    ax.set_title(title, fontsize=7.5, fontweight="normal")
    if line is not None:
        ax.axvline(line, color="#1c2330", linewidth=0.7)


def _push_column(ax: Axes, table: Any, names: list[str]) -> None:
    """The factor on the time to generalisation of each push over its control, against above, along below."""
    limits = (1 / 4, 4.0)
    for y, name in enumerate(names):
        for place, task in enumerate(PUSHED):
            for shift, direction, colour in ((0.16, "against", COLOURS[1]), (-0.16, "along", COLOURS[0])):
                _estimate(ax, y + shift - 0.06 * place, table.loc[name], f"{task}_pushed_{direction}", colour, limits)
    ax.set_xscale("log")
    ax.set_xticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    ax.minorticks_off()
    _finish(ax, "T when pushed ÷ T of\nthe control (see text)", limits, 1.0)
    key(ax, [("against", COLOURS[1]), ("along", COLOURS[0])], loc="lower right", fontsize=6.5)


def draw_leads(evidence: Evidence) -> Figure:
    """One panel an arm that generalises: the lead of every measure with its interval."""
    told = leads_of(evidence)
    arms = list(arms_that_generalise(told))
    columns = min(4, max(1, len(arms)))
    figure, axes = panels(columns, -(-max(1, len(arms)) // columns), width=2.2, height=2.3, sharey=True)
    names = [rival.name for rival in MEASURED][::-1]
    for ax in axes.flat[len(arms) :]:
        ax.set_visible(False)
    for ax, (task, decay) in zip(axes.flat, arms, strict=False):
        chosen = told[(told["task"] == task) & (told["decay"] == decay) & (told["rule"] == "halved")]
        rows = chosen.set_index("measure")
        for y, name in enumerate(names):
            _estimate(ax, y, rows.loc[name], "relative_lead", FAMILIES[BY_NAME[name].family], (-1.05, 1.05))
        _finish(ax, f"{TASK_LABELS[task]}\nλ = {decay:g}", (-1.05, 1.05), 0.0)
        ax.set_xlabel("lead ÷ T")
    axes[0, 0].set_yticks(range(len(names)), [BY_NAME[name].label for name in names])
    return figure


def draw_pushes(evidence: Evidence) -> Figure:
    """One panel a push, some rows a task: the times of its arms."""
    rows = -(-len(PUSHES) // PUSHES_IN_A_ROW)
    figure, axes = panels(PUSHES_IN_A_ROW, rows * len(PUSHED), width=2.3, height=2.2, sharey="row")
    for place, task in enumerate(PUSHED):
        budget = evidence.runs[task].experiment.steps
        of_task = axes[place * rows : (place + 1) * rows]
        for ax in of_task.flat[len(PUSHES) :]:
            ax.set_visible(False)
        for ax, push in zip(of_task.flat, PUSHES, strict=False):
            times = arm_times(evidence, task, push)
            order = [("baseline", ""), *((arm, way) for way in DIRECTIONS for arm in ("arm", "control"))]
            for x, arm in enumerate(order):
                if arm in times:
                    _times(ax, x, times[arm], ARMS[arm[0]])
            ax.set_xticks(range(len(order)), ["none", "against", "its control", "along", "its control"], rotation=40)
            ax.axhline(budget, color="#9aa3b2", linewidth=0.7, linestyle=":")
            ax.set_title(push.label)
        for ax in of_task[:, 0]:
            ax.set_ylabel(f"{TASK_LABELS[task]}\nstep of generalisation")
            ax.set_yscale("log")
    return figure


def _times(ax: Axes, x: float, times: Any, colour: str) -> None:
    """A mark a seed, hollow where the run did not generalise."""
    spread = x + np.linspace(-0.18, 0.18, len(times))
    faces = ["none" if censored else colour for censored in times.censored]
    ax.scatter(spread, np.maximum(times.time, 1), s=10, facecolors=faces, edgecolors=colour, linewidths=0.8)


def draw_moved(evidence: Evidence) -> Figure:
    """Rows pushes and directions, columns measures: the factor against the control as a colour and a number."""
    everything: Any = evidence.table("moved", moved, needs=SWEEPS)
    rows = [(task, push, way) for task in PUSHED for push in PUSHES for way in DIRECTIONS]
    figure, axes = panels(1, width=6.4, height=0.6 + 0.27 * len(rows))
    ax = axes[0, 0]
    factors = np.full((len(rows), len(MEASURED)), np.nan)
    for i, (task, push, way) in enumerate(rows):
        table = everything[(everything["task"] == task) & (everything["against"] == push.isolating[1])]
        chosen = table[(table["push"] == push.name) & (table["direction"] == way)]
        found = chosen.set_index("measure")["factor"]
        factors[i] = [found.get(rival.name, np.nan) for rival in MEASURED]
    logs = np.log2(np.clip(factors, 1e-6, 1e6))
    image = ax.imshow(logs, cmap="RdBu_r", vmin=-3, vmax=3, aspect="auto")
    for (i, j), value in np.ndenumerate(factors):
        if np.isfinite(value):
            dark = abs(logs[i, j]) > 2
            ax.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize=6.5, color="white" if dark else "#1c2330")
    for i, (_, push, _) in enumerate(rows):
        _frame(ax, i, [rival.name for rival in MEASURED].index(push.rival))
    ax.set_xticks(range(len(MEASURED)), [rival.label for rival in MEASURED], rotation=30, ha="right")
    several = len(PUSHED) > 1
    ax.set_yticks(range(len(rows)), [f"{p.label}, {w}" + (f" ({t})" if several else "") for t, p, w in rows])
    ax.grid(visible=False)
    figure.colorbar(image, ax=ax, label="log₂ of the factor")
    return figure


def _frame(ax: Axes, row: int, column: int) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#1c2330", linewidth=1.2))
