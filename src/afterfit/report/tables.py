"""The tables of the HTML report as plain text cells, with what to sort them by."""

from __future__ import annotations

from collections import Counter
from typing import Any

from . import wording
from .curves import Run
from .members import Arm, Member, Occurrence, arms_of, median_step, observed_range
from .summary import steps_text

Cell = tuple[str, str]  # a text and what to sort it by; empty sorts last


def tiles(run: Run) -> list[tuple[str, str, str]]:
    """The few numbers at the top: a number, what it counts, and what goes with it."""
    members, total = run.members, len(run.members)
    events = [_event_tile(event, [member.events[event] for member in members]) for event in run.events]
    statuses = Counter(member.status for member in members)
    return [
        (wording.number(total), "members" if total != 1 else "member", ""),
        *events,
        *_delay_tile([member.delay for member in members]),
        *[(wording.number(statuses[name]), name, "") for name in ("diverged", "running", "waiting") if statuses[name]],
    ]


def _event_tile(event: str, occurrences: list[Occurrence]) -> tuple[str, str, str]:
    happened = sum(o.step is not None for o in occurrences)
    return f"{happened} of {len(occurrences)}", event, steps_text(occurrences)


def _delay_tile(delays: list[Occurrence]) -> list[tuple[str, str, str]]:
    spread, middle = observed_range(delays), median_step(delays)
    if spread is None or middle is None or sum(d.step is not None for d in delays) == 1:
        return []
    between = f"range {wording.number(spread[0])} to {wording.number(spread[1])}"
    return [(wording.number(round(middle)), "steps of delay (median)", between)]


def arm_table(run: Run) -> dict[str, Any] | None:
    """One row an arm: how many of its members reached each event, and when; None where every arm is one member."""
    arms = arms_of(run.members)
    if len(arms) < 2 or all(len(arm.members) == 1 for arm in arms):
        return None
    rows = [_arm_row(run, number, arm) for number, arm in enumerate(arms)]
    fields = wording.field_labels(list(arms[0].values))
    return {"fields": fields, "events": run.events, "has_delay": _has_delay(run), "rows": rows}


def _arm_row(run: Run, number: int, arm: Arm) -> dict[str, Any]:
    """Arms are the groups of the figures wherever there is more than one of them."""
    return {
        "values": [wording.number(value) for value in arm.values.values()],
        "group": number,
        "events": [_spread([member.events[event] for member in arm.members]) for event in run.events],
        "delay": _spread([member.delay for member in arm.members]),
    }


def _spread(occurrences: list[Occurrence]) -> dict[str, str]:
    happened = sum(o.step is not None for o in occurrences)
    spread, middle = observed_range(occurrences), median_step(occurrences)
    return {
        "count": f"{happened} of {len(occurrences)}",
        "median": wording.number(round(middle)) if middle is not None else "not reached" if spread else wording.NOTHING,
        "range": f"{wording.number(spread[0])}–{wording.number(spread[1])}" if spread else "",
    }


def _has_delay(run: Run) -> bool:
    return {"memorised", "generalised"} <= set(run.events)


def member_table(run: Run) -> dict[str, Any]:
    """One row a member."""
    labels = wording.field_labels(list(run.members[0].values)) if run.members else {}
    group_of = {member.position: i for i, group in enumerate(run.groups) for member in group.members}
    rows = [_member_row(member, group_of[member.position]) for member in run.members]
    return {"fields": labels, "events": run.events, "has_delay": _has_delay(run), "rows": rows}


def _member_row(member: Member, group: int) -> dict[str, Any]:
    return {
        "name": member.name,
        "group": group,
        "seed": wording.seed_text(member.seed),
        "values": [(wording.number(value), _key(value)) for value in member.values.values()],
        "status": member.status,
        "step": (wording.number(member.step), _key(member.step)),
        "events": [_when(occurrence) for occurrence in member.events.values()],
        "delay": _when(member.delay),
        "train": (wording.accuracy_text(member.train_accuracy), _key(member.train_accuracy)),
        "test": (wording.accuracy_text(member.test_accuracy), _key(member.test_accuracy)),
    }


def _key(value: Any) -> str:
    return "" if value is None else str(value)


def _when(occurrence: Occurrence) -> Cell:
    """Censored members sort after everything that happened, by how long they were watched."""
    if occurrence.step is not None:
        return str(occurrence), str(occurrence.step)
    return str(occurrence), "" if occurrence.after is None else str(10**12 + occurrence.after)
