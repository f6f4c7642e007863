"""The fan of a forecast for papers: up to six members, held-out ones first, and how often intervals held the step."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .arm_figures import draw_panel, literal
from .curves import Run
from .fan_drawings import arm_of, fan_drawing, group_of, member_name, span_of
from .fan_tables import held, in_order, used
from .fans import Fan, Fans
from .payload import group_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST, COLUMNS = 6, 3
WIDTH, HEIGHT, LINE = 2.5, 2.2, 0.15  # inches: of a panel, and of a line of the caption
CHARACTERS = 46  # of the caption, for each panel that stands beside another


def fan_figures(run: Run, fans: Fans | None) -> Iterator[tuple[str, Figure]]:
    """`forecast_EVENT`, where there is a forecast and it predicted something."""
    if fans is not None and fans.members:
        yield f"forecast_{fans.forecast.event}", _figure(run, fans, chosen(run, fans))


def chosen(run: Run, fans: Fans) -> list[Fan]:
    """Of each arm in turn its next member, held-out ones first, by seed: never by how good the forecast was."""
    arms: dict[int, list[Fan]] = {}
    for fan in in_order(fans.members):
        arms.setdefault(arm_of(run, fan), []).append(fan)
    turns = [(not fan.held_out, turn, number) for number, arm in arms.items() for turn, fan in enumerate(arm)]
    return [arms[number][turn] for _, turn, number in sorted(turns)][:MOST]


def _figure(run: Run, fans: Fans, shown: Sequence[Fan]) -> Figure:
    from matplotlib.figure import Figure

    columns = min(len(shown), COLUMNS)
    rows = -(-len(shown) // columns)
    lines = textwrap.wrap(_caption(fans, shown), CHARACTERS * max(columns, 2))
    size = (WIDTH * max(columns, 2), HEIGHT * rows + LINE * (len(lines) + 2))
    figure = Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax, fan in zip(axes, shown, strict=False):
        arm = [each for each in shown if arm_of(run, each) == arm_of(run, fan)]
        span = span_of(arm, fans.forecast.horizon)
        draw_panel(run, ax, fan_drawing(run, fans, fan, span))
        ax.set_title(literal(_title(run, fan)), fontsize=7, fontweight="normal", loc="left")
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    title = f"{fans.forecast.event}: forecast with its {100 * fans.forecast.calibration.level:g} % prediction interval"
    figure.suptitle(literal(title), x=0.01, ha="left", fontsize=9, fontweight="bold")
    figure.supxlabel(literal("\n".join(lines)), x=0.01, ha="left", fontsize=7)
    return figure


def _title(run: Run, fan: Fan) -> str:
    values = run.groups[group_of(run, fan)].values
    arm = "" if "seed" in values or not values else f"{group_label(run.groups[group_of(run, fan)])}, "
    return f"{arm}{member_name(fan)}"


def _caption(fans: Fans, shown: Sequence[Fan]) -> str:
    new = sum(fan.held_out for fan in fans.members)
    counted = f"{sum(fan.held_out for fan in shown)} of {new} held-out runs are shown."
    lines = (
        "Line across: when it came; dashed, with an arrow: not by then. A band to the upper edge is open, or reaches "
        "beyond it."
    )
    text = held(fans)
    return f"{text[:1].upper()}{text[1:]} {counted} {used(fans, shown)} {lines}".replace("  ", " ")
