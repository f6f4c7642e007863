"""How the studies' figures look, and the pieces that most of them are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit.report.figures import STYLE, UNDATED

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER: dict[Any, Any] = {**STYLE, "figure.constrained_layout.use": True}
# Okabe & Ito 2008: told apart by the colour-blind too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def panels(
    columns: int, rows: int = 1, *, width: float = 2.6, height: float = 2.1, **options: Any
) -> tuple[Figure, Any]:
    """A figure of so many panels and its axes, as an array of shape (rows, columns)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows))
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG, the same bytes for the same figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata=UNDATED["svg"])


def courses(
    axes: Axes, observations: xr.Dataset, measure: str, *, colour: str, label: str | None = None, dashed: bool = False,
    members: Iterable[int] | None = None,
) -> None:  # fmt: skip
    """Every member's course of a measure as a thin line, and their median as a thick one as long as all are there.

    Runs that end when they generalise leave the slower ones: a median of those would tell of them alone.
    """
    shown = observations[measure] if members is None else observations[measure].sel(member=list(members))
    values, steps = shown.transpose("member", "step").values, observations["step"].values
    dashes: Any = (0, (3, 1.5)) if dashed else "solid"
    for row in values:
        there = np.isfinite(row)
        axes.plot(steps[there], row[there], color=colour, linewidth=0.5, alpha=0.35, linestyle=dashes)
    whole = np.isfinite(values).all(axis=0)
    if len(values) and whole.any():
        middle = np.median(values[:, whole], axis=0)
        axes.plot(steps[whole], middle, color=colour, linewidth=1.4, linestyle=dashes, label=label)


def step_axis(axes: Axes, *, log: bool = True) -> None:
    """Steps along the bottom; logarithmic from 1 on, or in thousands."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    if log:
        axes.set_xscale("symlog", linthresh=1)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(left=0)
    axes.set_xlabel("step")


def key(axes: Axes, entries: Sequence[tuple[str, str]], **options: Any) -> None:
    """A legend of colours: (label, colour)."""
    from matplotlib.lines import Line2D

    axes.legend([Line2D([], [], color=colour) for _, colour in entries], [label for label, _ in entries], **options)
