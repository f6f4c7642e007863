"""Lead times for papers: of each event one figure, with a panel for each set of arms and the counts beside each arm."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import wording
from .arm_drawings import Drawing, leads
from .arm_figures import draw_panel, literal
from .arm_leads import ArmLead, EventLeads, event_leads
from .curves import Run
from .lead_tables import alarms, led, mean, median

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, ROW, AROUND = 6.6, 0.42, 0.85  # inches: a figure's width, the height of an arm and of what is around the arms


def lead_figures(run: Run) -> Iterator[tuple[str, Figure]]:
    """`leads_EVENT` of every event that came before another in some run, each drawn when it is asked for."""
    found: dict[str, list[tuple[EventLeads, Drawing]]] = {}
    for each in event_leads(run):
        drawing = leads(each)
        if drawing is not None:
            found.setdefault(each.event, []).append((each, drawing))
    for event, drawings in found.items():
        yield f"leads_{event}", _figure(run, drawings)


def _figure(run: Run, drawings: list[tuple[EventLeads, Drawing]]) -> Figure:
    from matplotlib.figure import Figure

    heights = [ROW * len(found.arms) + AROUND for found, _ in drawings]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.3), layout="constrained")
    axes = figure.subplots(len(drawings), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (found, drawing) in zip(axes, drawings, strict=True):
        draw_panel(run, ax, drawing)
        ax.set_title(literal(found.stratum.fixed), fontsize=7.5, fontweight="normal", loc="left")
        ax.grid(visible=False, axis="y")
        _counts(ax, found)
    event, outcome = drawings[0][0].event, drawings[0][0].outcome
    title = f"{event}: lead over {outcome}, one mark a run; median with its 95 % interval"
    figure.suptitle(literal(title), x=0.01, ha="left", fontsize=9, fontweight="bold")
    return figure


def _counts(ax: Axes, found: EventLeads) -> None:
    """Beside each arm what its marks cannot say: the numbers, and the runs that have no lead."""
    for height, arm in enumerate(reversed(found.arms)):
        place = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 6.5, "linespacing": 1.3}
        ax.text(1.02, height, literal(said_of(found, arm)), **place)


def said_of(found: EventLeads, arm: ArmLead) -> str:
    """Runs, censored runs, leads and false alarms of one arm, in lines."""
    counts = f"{wording.counted(arm.n, 'run')}, {arm.n - arm.outcomes} censored (without {found.outcome})"
    false = f"false alarms {alarms(arm)}" if arm.alarms is not None else "none to tell false alarms by"
    if arm.leads is None:
        return f"{counts}\n{false}"
    missed = f", {arm.leads.outcome_only} without it" if arm.leads.outcome_only else ""
    return f"median {median(arm)}, mean {mean(arm)}\n{counts}\nled in {led(arm)}{missed}; {false}"
