"""The cost of one member's step as members, width and modulus grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.processes import Timing, interleaved, working
from benchmarks.settings import Result, Settings
from benchmarks.tables import Table, busy_notes, digits, duration, spread

MEMBERS = 4  # in an ensemble when something else grows
AXES: Mapping[str, tuple[str, Sequence[int]]] = {
    "members": ("members of one batch", (1, 2, 4, 8, 16)),
    "width": ("width (MLP four times as wide)", (64, 128, 256)),
    "p": ("modulus p", (59, 97, 113)),
}
INK, LINE, PALE = "#222222", "#2f6f9f", "#bbbbbb"


def measure(settings: Settings, plot: Path) -> Result:
    """A table of all three, and a plot."""
    result = Result()
    columns = ("what grows", "ms a member-step", "range", "GFLOP", "GFLOP/s")
    table = Table("One member's step as things grow: 1-layer transformer, minibatch 512", columns)
    timings: dict[str, Timing] = {}
    for axis, (words, values) in AXES.items():
        rows = measure_axis(axis, values, settings)
        result.raw[axis] = rows
        for row in rows:
            name, timing = f"{words}: {row['value']}", Timing(row["wall"], row["processor"])
            timings[name], operations = timing, row["operations"]
            rate = digits(operations / timing.seconds / 1e9)
            table.rows.append((name, duration(timing.seconds), spread(timing), digits(operations / 1e9), rate))
    draw(result.raw, plot)
    table.notes = [f"Ensemble of {MEMBERS} where width or p grows. Plot: {plot}", *busy_notes(timings)]
    result.add(table)
    settings.show(table)
    return result


def measure_axis(axis: str, values: Sequence[int], settings: Settings) -> list[dict[str, Any]]:
    """One thing grows."""
    with working(*(_job(axis, value, settings) for value in values)) as workers:
        counted = [worker.ask("operations")["products"] for worker in workers]
        timings = interleaved(workers, seconds=settings.seconds, rounds=settings.rounds)
    return [
        {"value": value, "operations": operations, **asdict(timing)}
        for value, operations, timing in zip(values, counted, timings, strict=True)
    ]


def _job(axis: str, value: int, settings: Settings) -> dict[str, Any]:
    changes = {
        "members": {},
        "width": {"model.width": value, "model.mlp_width": 4 * value},
        "p": {"task.p": value},
    }[axis]
    members = value if axis == "members" else MEMBERS
    return settings.job("ours", case="minibatch", members=members, changes=changes)


def draw(raw: Mapping[str, list[dict[str, Any]]], path: Path) -> None:
    """Milliseconds a member-step against what grows, one panel each, all from zero."""
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "1"}):
        figure = Figure(figsize=(9, 2.8), layout="constrained")
        panels = figure.subplots(1, len(raw))
        for axes, (axis, rows) in zip(panels, raw.items(), strict=True):
            _panel(axes, AXES[axis][0], rows)
        panels[0].set_ylabel("ms a member and step")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


def _panel(axes: Axes, words: str, rows: list[dict[str, Any]]) -> None:
    values = [row["value"] for row in rows]
    medians = [1e3 * Timing(row["wall"], row["processor"]).seconds for row in rows]
    low, high = ([1e3 * end(row["wall"]) for row in rows] for end in (min, max))
    axes.vlines(values, low, high, color=PALE, linewidth=4)
    axes.plot(values, medians, color=LINE, marker="o", markersize=4)
    for value, median in zip(values, medians, strict=True):
        axes.annotate(f"{median:.1f}", (value, median), (0, 6), textcoords="offset points", ha="center", color=INK)
    if max(values) >= 4 * min(values):
        axes.set_xscale("log", base=2)
    axes.minorticks_off()
    axes.set_xticks(values, [str(value) for value in values])
    axes.set_xlabel(words)
    axes.margins(x=0.12)
    axes.set_ylim(0, 1.2 * max(high))
