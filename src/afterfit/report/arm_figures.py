"""The figures of arms for papers: one a kind and event, with a panel for each set of arms that are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from .arm_drawings import Axis, Drawing, Mark, dose_response, paired, survival
from .arms import Block, EventArms, arm_events
from .curves import Run
from .wording import short_step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS: dict[str, Callable[[Run, EventArms, Block], Drawing | None]] = {
    "survival": survival,
    "dose_response": dose_response,
    "paired": paired,
}
INK, SOFT = "#1c2330", "#5a6474"
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.5, 1, 1.5)), (0, (7, 2)))
WIDTH, HEIGHT = 3.0, 2.3  # inches
LINE = 0.19  # inches, of a legend


def arm_figures(run: Run) -> Iterator[tuple[str, Figure]]:
    """Names and figures, each drawn when it is asked for."""
    for found in arm_events(run):
        for name, draw in KINDS.items():
            drawings = [(block, drawing) for block in found.blocks if (drawing := draw(run, found, block)) is not None]
            if drawings:
                yield f"{name}_{found.event}", _figure(run, found, drawings)


def _figure(run: Run, found: EventArms, drawings: list[tuple[Block, Drawing]]) -> Figure:
    """Panels in up to three columns; what they are about stands above them, what else was fixed above each."""
    from matplotlib.figure import Figure

    columns = min(len(drawings), 3)
    rows = -(-len(drawings) // columns)
    most = max(len(block.arms) for block, _ in drawings)
    legend = drawings[0][1].kind == "survival"
    height = (HEIGHT + (LINE * (most // 3 + 2) if legend else 0)) * rows + 0.25
    figure = Figure(figsize=(WIDTH * columns, height), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax, (block, drawing) in zip(axes, drawings, strict=False):
        draw_panel(run, ax, drawing)
        ax.set_title(literal(_counted(block)), fontsize=7.5, fontweight="normal", loc="left")
        if legend:
            _legend(ax, drawing.legend)
    for ax in axes[len(drawings) :]:
        ax.set_axis_off()
    title = f"{found.event}: {drawings[0][1].title.lower()}"
    figure.suptitle(literal(title), x=0.01, ha="left", fontsize=9, fontweight="bold")
    return figure


def _counted(block: Block) -> str:
    """What was fixed, how many runs there are, and how many never had the event."""
    runs, events = (sum(counts) for counts in zip(*((len(a.times), a.times.events) for a in block.arms), strict=True))
    fixed = f"{block.stratum.fixed}: " if block.stratum.fixed else ""
    return f"{fixed}n = {runs:,}, {runs - events:,} censored"


def literal(text: str) -> str:
    """Matplotlib reads what stands between two dollars as mathematics."""
    return text.replace("$", r"\$")


def _legend(ax: Axes, title: str) -> None:
    """Beneath the axes, where no curve is; longer names get fewer columns."""
    handles, names = ax.get_legend_handles_labels()
    columns = 3 if max(map(len, names), default=0) < 8 else 1
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.24), "ncols": columns}
    ax.legend(handles, names, title=literal(title), handlelength=1.8, **place)


def draw_panel(run: Run, ax: Axes, drawing: Drawing) -> None:
    """The marks and axes of one panel."""
    dashes = _dashes(run, drawing)
    for mark in drawing.marks:
        colour = SOFT if mark.group is None else _colour(run, mark.group)
        _mark(ax, mark, colour, dashes.get(mark.group, "solid"))
    _axis(run, ax, drawing.x, "x")
    _axis(run, ax, drawing.y, "y")


def _dashes(run: Run, drawing: Drawing) -> dict[int | None, Any]:
    """Arms of one colour, where another field gives the colours, are told apart by their dashes."""
    seen: dict[str, int] = {}
    found: dict[int | None, Any] = {}
    for mark in drawing.marks:
        if mark.kind == "curve" and mark.group is not None:
            colour = _colour(run, mark.group)
            found[mark.group] = DASHES[seen.get(colour, 0) % len(DASHES)]
            seen[colour] = seen.get(colour, 0) + 1
    return found


def _colour(run: Run, group: int) -> str:
    colouring = run.colourings[0]
    return colouring.entries[colouring.of_group[group]][1].light


def _mark(ax: Axes, mark: Mark, colour: str, dash: Any) -> None:
    point: dict[str, Any] = {"ls": "", "color": colour}
    lines: dict[str, dict[str, Any]] = {
        "curve": {"color": colour, "lw": 1.5, "ls": dash, "label": literal(mark.name), "zorder": 3},
        "lost": {**point, "marker": "|", "ms": 6, "mew": 1.2, "zorder": 4},
        "seed": {"color": SOFT, "lw": 0.4, "alpha": 0.45},
        "seen": {**point, "marker": "o", "ms": 3.2, "alpha": 0.75, "mew": 0},
        "unseen": {**point, "marker": "o", "ms": 3.6, "mfc": "none", "mew": 0.8},
        "up": {**point, "marker": "^", "ms": 4.5, "mfc": "none", "mew": 0.8, "zorder": 4},
        "rule": {"color": SOFT, "lw": 0.7, "ls": ":"},
        "median": {"color": colour, "lw": 1.4, "marker": ".", "ms": 2.5, "zorder": 3},
        "truth": {"color": INK, "lw": 0.9, "zorder": 2},
        "upto": {"color": INK, "lw": 0.9, "ls": (0, (4, 2)), "zorder": 2},
        "came": {**point, "color": INK, "marker": "o", "ms": 3.5, "zorder": 4},
    }
    if mark.kind == "band":
        ax.fill(mark.x, mark.y, color=colour, alpha=0.14, lw=0, zorder=1)
    elif mark.kind == "estimate":
        known = mark.x if mark.along == "x" else mark.y
        bars = {f"{mark.along}err": np.stack([known - mark.low, mark.high - known])}
        look: dict[str, Any] = {"marker": "D", "ms": 4.8, "color": colour, "mec": INK, "mew": 0.7, "ecolor": INK}
        ax.errorbar(mark.x, mark.y, **bars, ls="", elinewidth=0.9, capsize=2.2, zorder=5, **look)
    else:
        ax.plot(mark.x, mark.y, **lines[mark.kind])


def _axis(run: Run, ax: Axes, axis: Axis, which: str) -> None:
    """The ends, scale and ticks of one axis; on an axis of steps, step 0 has its own tick."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    of = ax.xaxis if which == "x" else ax.yaxis
    log = axis.kind in ("step", "log")
    getattr(ax, f"set_{which}scale")("log" if log else "linear")
    getattr(ax, f"set_{which}lim")(axis.low, axis.high)
    getattr(ax, f"set_{which}label")(literal(axis.label))
    if axis.kind == "step":
        of.set_major_locator(FixedLocator(step_ticks(run, axis)))
        of.set_minor_locator(NullLocator())
        first = min((step for step in run.steps if step > 0), default=1)
        of.set_major_formatter(FuncFormatter(lambda x, _: "0" if x < first * 0.99 else short_step(x)))
    elif axis.ticks:
        of.set_minor_locator(NullLocator())
        of.set_ticks([at for at, _ in axis.ticks], [literal(text) for _, text in axis.ticks])
    elif "step" in axis.label:
        of.set_major_locator(_few())
        of.set_major_formatter(FuncFormatter(lambda x, _: f"{'−' if x < 0 else ''}{short_step(abs(x))}"))


def _few() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def step_ticks(run: Run, axis: Axis) -> list[float]:
    """1, 2 and 5 times the powers of ten where few of them are seen, else the powers alone."""
    decades = np.log10(axis.high / axis.low)
    units = (1, 2, 5) if decades < 2.4 else (1,)
    powers = range(int(np.floor(np.log10(axis.low))), int(np.log10(axis.high)) + 1)
    ticks = [unit * 10.0**power for power in powers for unit in units]
    zero = [run.zero] if (run.steps == 0).any() and axis.low <= run.zero else []
    first = min((step for step in run.steps if step > 0), default=1)
    return zero + [tick for tick in ticks if max(axis.low, first * 0.99) <= tick <= axis.high]
