"""The figures of a run for papers: vector files with text kept as text, byte for byte the same for the same data."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from .arm_figures import arm_figures
from .curves import FEWEST_FOR_MEDIAN, Panel, Run, kept, marks_of, median_curve, read, scale_of, split_of_event
from .fan_figures import fan_figures
from .fans import Fans
from .lead_figures import lead_figures
from .wording import short_step, spelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#e6e9ee",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 7.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "afterfit",
    "pdf.fonttype": 42,
}
INK = "#1c2330"
DASHES = {"train": (0, (3, 1.5)), "test": "solid"}
MARKERS = {"memorised": "^", "generalised": "o"}
OTHER_MARKERS = ("D", "s", "P", "*")
UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None, "ModDate": None}}
PANEL, LEGEND, HEIGHT, LEGEND_LINE = 2.5, 1.0, 2.1, 0.17  # inches: a single panel with its legend fits one column
OVERVIEW = ("accuracy", "loss", "nc1", "rnc1", "spectral_entropy", "relative_flatness", "weight_norm")


def write_figures(
    folder: str | os.PathLike[str],
    *,
    observations: xr.Dataset,
    events: pd.DataFrame,
    formats: Sequence[str] = ("svg", "pdf"),
    fans: Fans | None = None,
) -> list[Path]:
    """Write one figure a measure, `overview` with the main ones side by side, and those of events; returns the paths.

    Where arms can be compared, every event has `survival_EVENT`; if a run had it, also `paired_EVENT` and, where the
    field is a dose of three or more values, `dose_response_EVENT`. Every event that comes before another has
    `leads_EVENT`, if a run had both; a forecast has `forecast_EVENT`.

    Args:
        folder: made if it is missing; files are named by measure (`accuracy.svg`, `spectral_entropy_block0.pdf`).
        observations: dims (member, step); seed, status and every varied field are coordinates on member.
        events: one row a member, with the columns NAME, NAME_after and NAME_censored for every event NAME.
        formats: what matplotlib can write: svg, pdf, png, ...
        fans: what a forecast said of the members, see `fans_of`.
    """
    import matplotlib as mpl

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run = read(observations, events)
    written = []
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        for name, panels in _plan(run):
            figure = _figure(run, panels)
            written += [_save(figure, folder / f"{name}.{kind}", kind) for kind in formats]
        for name, figure in chain(arm_figures(run), lead_figures(run), fan_figures(run, fans)):
            written += [_save(figure, folder / f"{_file_name(name)}.{kind}", kind) for kind in formats]
    return written


def _plan(run: Run) -> Iterator[tuple[str, list[Panel]]]:
    """The names of the figures and their panels; a measure of which nothing was observed has no figure."""
    shown = [panel for panel in run.panels if scale_of(run, panel) is not None]
    for panel in shown:
        yield _file_name(panel.measure), [panel]
    main = [panel for panel in shown if panel.measure in OVERVIEW]
    if len(main) > 1:
        yield "overview", main


def _file_name(measure: str) -> str:
    return "".join(sign if sign.isalnum() or sign in "-." else "_" for sign in measure)


def _figure(run: Run, panels: Sequence[Panel]) -> Figure:
    """Panels in up to three columns, and one legend for all of them on the right."""
    from matplotlib.figure import Figure

    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    handles, titles = _legend(run, panels)
    height = max(HEIGHT * rows, LEGEND_LINE * (len(handles) + 2))
    figure = Figure(figsize=(PANEL * columns + LEGEND, height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax, panel in zip(axes, panels, strict=False):
        _draw(run, ax, panel)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    title = run.colourings[0].label
    figure.legend(handles, titles, loc="outside right upper", title=title, handlelength=1.8, alignment="left")
    return figure


def _draw(run: Run, ax: Axes, panel: Panel) -> None:
    scale = scale_of(run, panel)
    assert scale is not None, "a panel is planned only where something was observed"
    split = panel.splits[0][0] if len(panel.splits) == 1 else ""
    ax.set_title(panel.caption.title + (f" ({split})" if split else ""))
    for name, variable in panel.splits:
        look = "solid" if len(panel.splits) == 1 else DASHES.get(name, "dotted")
        _lines(run, ax, run.values(variable), look)
    _marks(run, ax, panel)
    if scale.log:
        ax.set_yscale("log")
    ax.set_ylim(scale.low, scale.high)
    ax.set_ylabel("" if panel.caption.unit == "dimensionless" else panel.caption.unit.partition(" (")[0], fontsize=7)
    _step_axis(run, ax)


def _lines(run: Run, ax: Axes, values: np.ndarray, look: Any) -> None:
    """Members as one collection a group (a line each would take seconds in a large run), their median in front."""
    from matplotlib.collections import LineCollection

    for number, group in enumerate(run.groups):
        colour, crowd = _colour(run, number), len(group.members)
        alpha, width = (1.0, 1.0) if crowd < FEWEST_FOR_MEDIAN else (min(0.4, max(0.1, 4 / crowd)), 0.5)
        curves = [_curve(run, values[member.position]) for member in group.members]
        lines = LineCollection([c for c in curves if len(c) > 1], colors=colour, alpha=alpha, lw=width, ls=look)
        ax.add_collection(lines, autolim=False)
        single = np.concatenate([np.empty((0, 2)), *(c for c in curves if len(c) == 1)])
        ax.plot(single[:, 0], single[:, 1], ".", color=colour)
        at, middle = median_curve(run, values, group)
        ax.plot(run.positions(run.steps[at]), middle, color=colour, lw=1.6, ls=look)


def _curve(run: Run, row: np.ndarray) -> np.ndarray:
    at = kept(run, row)
    return np.column_stack([run.positions(run.steps[at]), row[at]])


def _marks(run: Run, ax: Axes, panel: Panel) -> None:
    for event in run.events:
        values = run.values(split_of_event(panel, event)[1])
        for number, group in enumerate(run.groups):
            found = list(marks_of(run, group, event, values))
            few = len(group.members) < FEWEST_FOR_MEDIAN
            ax.plot(
                run.positions([step for _, step, _ in found]),
                [height for _, _, height in found],
                marker=_marker(run, event),
                color=_colour(run, number),
                ls="",
                ms=4.5 if few else 3,
                mec=INK,
                mew=0.6 if few else 0.3,
                zorder=3,
            )


def _step_axis(run: Run, ax: Axes) -> None:
    """A logarithmic axis of steps on which step 0 has its own tick, half a decade left of the first step after it."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    ax.set_xscale("log")
    ends = run.positions(run.steps[[0, -1]]) if run.steps.size else np.array([1.0, 10.0])
    pad = (ends[1] / ends[0]) ** 0.03 if ends[1] > ends[0] else 1.5
    ax.set_xlim(ends[0] / pad, ends[1] * pad)
    first = min((step for step in run.steps if step > 0), default=1)
    decades = [10.0**power for power in range(int(np.ceil(np.log10(first))), int(np.log10(max(ends[1], 1))) + 1)]
    ticks = ([run.zero] if (run.steps == 0).any() else []) + decades
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: "0" if x < first * 0.99 else short_step(x)))
    ax.set_xlabel("step")


def _colour(run: Run, group: int) -> str:
    """The colour of a group on paper; by the field with the most values where several were varied."""
    colouring = run.colourings[0]
    return colouring.entries[colouring.of_group[group]][1].light


def _marker(run: Run, event: str) -> str:
    others = [name for name in run.events if name not in MARKERS]
    return MARKERS.get(event) or OTHER_MARKERS[others.index(event) % len(OTHER_MARKERS)]


def _legend(run: Run, panels: Sequence[Panel]) -> tuple[list[Any], list[str]]:
    """Values of the varied field, splits, median and events, each only where it is drawn."""
    from matplotlib.lines import Line2D

    parts = [(Line2D([], [], color=c.light, lw=2.2), name) for name, c in run.colourings[0].entries]
    both = {name for panel in panels if len(panel.splits) > 1 for name, _ in panel.splits}
    parts += [(Line2D([], [], color=INK, lw=1, ls=DASHES.get(name, "dotted")), name) for name in _ordered(both)]
    if any(len(group.members) >= FEWEST_FOR_MEDIAN for group in run.groups):
        parts.append((Line2D([], [], color=INK, lw=1.6), "median"))
    happened = [event for event in run.events if any(member.events[event].step is not None for member in run.members)]
    style: dict[str, Any] = {"color": "#8a93a1", "mec": INK, "mew": 0.5, "ls": "", "ms": 4.5}
    parts += [(Line2D([], [], marker=_marker(run, event), **style), spelled(event)) for event in happened]
    return [handle for handle, _ in parts], [text for _, text in parts]


def _ordered(splits: Iterable[str]) -> list[str]:
    return sorted(splits, key=lambda name: ({"train": 0, "test": 1}.get(name, 2), name))


def _save(figure: Figure, path: Path, kind: str) -> Path:
    """Through memory, so that an interrupted run leaves no half a file."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format=kind, metadata=UNDATED.get(kind), dpi=200)
    path.write_bytes(drawn.getvalue())
    return path
