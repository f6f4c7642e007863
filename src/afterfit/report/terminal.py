"""Tables for `afterfit show`, at home in 80 columns, and plain lines for where there is no terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from . import wording
from .members import Arm, Member, arms_of, event_names, median_step, members_of, observed_range, varied_fields
from .summary import summary_sentences, title_of

if TYPE_CHECKING:
    from rich.table import Table

MOST_ROWS = 24
STATUS_STYLES = {"running": "cyan", "finished": "green", "stopped": "green", "diverged": "red", "waiting": "dim"}


def members_table(
    observations: xr.Dataset, events: pd.DataFrame, meta: dict[str, Any], *, most: int = MOST_ROWS
) -> Table:
    """One row a member; one row an arm (the members that share all but the seed) when there are more than `most`."""
    members = members_of(observations, events)
    labels = wording.field_labels(varied_fields(observations))
    shown = _shown_events(event_names(events))
    if len(members) > most:
        return _arms(members, labels, shown, meta)
    return _members(members, labels, shown, meta)


def summary_lines(observations: xr.Dataset, events: pd.DataFrame, meta: dict[str, Any]) -> list[str]:
    """The run in plain lines: its title, what happened, and one line an arm."""
    members = members_of(observations, events)
    labels = wording.field_labels(varied_fields(observations))
    arms = arms_of(members)
    lines = [title_of(meta), *summary_sentences(members)]
    return lines + ([_arm_line(arm, labels) for arm in arms] if len(arms) > 1 else [])


def _shown_events(events: Sequence[str]) -> list[str]:
    main = [name for name in ("memorised", "generalised") if name in events]
    return main or list(events[:2])


def _table(meta: dict[str, Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    return Table(title=Text(title_of(meta)), box=box.SIMPLE_HEAD, padding=0, title_justify="left")


def _members(members: Sequence[Member], labels: dict[str, str], events: Sequence[str], meta: dict[str, Any]) -> Table:
    from rich.text import Text

    table = _table(meta)
    for header in ("seed", *labels.values()):
        table.add_column(Text(header), justify="right", overflow="fold")
    table.add_column("status", no_wrap=True)
    for header in ("step", "train\nacc", "test\nacc", *events, "delay"):
        table.add_column(Text(header), justify="right", no_wrap=True)
    for member in members:
        values = [Text(wording.number(member.values[name])) for name in labels]
        status = Text(member.status, style=STATUS_STYLES.get(member.status, ""))
        accuracies = (wording.accuracy_text(value) for value in (member.train_accuracy, member.test_accuracy))
        happened = [str(member.events[name]) for name in events]
        step = wording.number(member.step)
        table.add_row(wording.seed_text(member.seed), *values, status, step, *accuracies, *happened, str(member.delay))
    return table


def _arms(members: Sequence[Member], labels: dict[str, str], events: Sequence[str], meta: dict[str, Any]) -> Table:
    from rich.text import Text

    table = _table(meta)
    for label in labels.values():
        table.add_column(Text(label), justify="right", overflow="fold")
    for event in events:
        table.add_column(Text(event), justify="right", no_wrap=True)
        table.add_column("median step\n(range)", justify="right")
    for arm in arms_of(members):
        values = [Text(wording.number(arm.values[name])) for name in labels]
        cells = [cell for event in events for cell in _event_cells(arm, event)]
        table.add_row(*values, *cells)
    table.caption = Text("Medians are Kaplan–Meier: members not there yet count as later than last observed.")
    table.caption_justify = "left"
    return table


def _event_cells(arm: Arm, event: str) -> tuple[str, str]:
    occurrences = [member.events[event] for member in arm.members]
    happened = sum(o.step is not None for o in occurrences)
    spread, middle = observed_range(occurrences), median_step(occurrences)
    count = f"{happened} of {len(arm.members)}"
    if spread is None:
        return count, wording.NOTHING
    median = "not reached" if middle is None else wording.number(round(middle))
    return count, f"{median} ({wording.number(spread[0])}–{wording.number(spread[1])})"


def _arm_line(arm: Arm, labels: dict[str, str]) -> str:
    name = ", ".join(f"{label} {wording.number(arm.values[field])}" for field, label in labels.items())
    parts = []
    for event in arm.members[0].events:
        happened, steps = _event_cells(arm, event)
        parts.append(f"{happened} {event}" + ("" if steps == wording.NOTHING else f", median step (range) {steps}"))
    return f"{name}: {'; '.join(parts) or wording.counted(len(arm.members), 'member')}"
