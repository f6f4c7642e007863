"""The curves as the page receives them: compact arrays in base64, in JSON that cannot end the script it stands in.

Curves are sent as indices into the steps of the run and float32 values, all members of a group in one trace; the page
makes plotly traces of them when a panel is first looked at.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from . import wording
from .curves import LARGEST, Group, Panel, Run, kept, marks_of, median_curve, scale_of, split_of_event
from .members import Member


def script_json(data: Any) -> str:
    """JSON that is safe inside a script element, whatever its strings hold: no `<`, `>` or `&`, nor line separators."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def typed(values: Any, kind: str) -> dict[str, str]:
    """A numeric array in the layout that plotly reads: little-endian bytes in base64 and their type."""
    array = np.ascontiguousarray(values, dtype=f"<{kind}")
    return {"dtype": kind, "bdata": base64.b64encode(array.tobytes()).decode("ascii")}


def page_payload(run: Run) -> dict[str, Any]:
    """What all panels share: steps, colours, and what to call each member."""
    labels = wording.field_labels(list(run.members[0].values)) if run.members else {}
    return {
        "steps": typed(run.steps, "f8"),
        "zero": run.zero,
        "members": [_hover_name(member, labels) for member in run.members],
        "colourings": [
            {
                "colours": [{"light": colour.light, "dark": colour.dark} for _, colour in colouring.entries],
                "ofGroup": list(colouring.of_group),
            }
            for colouring in run.colourings
        ],
        "events": [html.escape(event) for event in run.events],
        "sizes": [len(group.members) for group in run.groups],
    }


def _hover_name(member: Member, labels: dict[str, str]) -> str:
    """Plotly reads a little HTML in the texts it shows, so what comes from outside is escaped."""
    varied = [f"{label} {wording.number(member.values[field])}" for field, label in labels.items()]
    parts = [f"member {member.name}", f"seed {wording.seed_text(member.seed)}", *varied]
    return "<br>".join(html.escape(part) for part in parts)


def panel_payload(run: Run, panel: Panel) -> dict[str, Any] | None:
    """Everything that one panel draws; None where its measure was never observed."""
    scale = scale_of(run, panel)
    if scale is None:
        return None
    values = {variable: run.values(variable) for _, variable in panel.splits}
    return {
        "log": scale.log,
        "range": [scale.low, scale.high],
        "curves": [c for split, name in panel.splits for c in _curves(run, split, values[name], scale.log)],
        "medians": [m for split, name in panel.splits for m in _medians(run, split, values[name])],
        "marks": [mark for event in range(len(run.events)) for mark in _marks(run, panel, event, values)],
    }


def _float32(values: np.ndarray) -> np.ndarray:
    return np.clip(values, -LARGEST, LARGEST).astype(np.float32)


def _index_kind(run: Run) -> str:
    return "u2" if run.steps.size <= 65_536 else "u4"


def _curves(run: Run, split: str, values: np.ndarray, log: bool) -> Iterable[dict[str, Any]]:
    """One trace a group: the curves of its members one after the other, and how long each is."""
    for number, group in enumerate(run.groups):
        rows = [values[member.position] for member in group.members]
        rows = [np.where(row > 0, row, np.nan) for row in rows] if log else rows
        picks = [kept(run, row) for row in rows]
        seen = [i for i, pick in enumerate(picks) if pick.size]
        if seen:
            yield {
                "group": number,
                "split": html.escape(split),
                "members": [group.members[i].position for i in seen],
                "lengths": [int(picks[i].size) for i in seen],
                "at": typed(np.concatenate([picks[i] for i in seen]), _index_kind(run)),
                "values": typed(_float32(np.concatenate([rows[i][picks[i]] for i in seen])), "f4"),
            }


def _medians(run: Run, split: str, values: np.ndarray) -> Iterable[dict[str, Any]]:
    for number, group in enumerate(run.groups):
        at, middle = median_curve(run, values, group)
        if at.size:
            yield {
                "group": number,
                "split": html.escape(split),
                "at": typed(at, _index_kind(run)),
                "values": typed(_float32(middle), "f4"),
            }


def _marks(run: Run, panel: Panel, event: int, values: dict[str, np.ndarray]) -> Iterable[dict[str, Any]]:
    """Where an event happened to each member, on the curve that it is read from."""
    _, variable = split_of_event(panel, run.events[event])
    for number, group in enumerate(run.groups):
        found = list(marks_of(run, group, run.events[event], values[variable]))
        if found:
            members, steps, heights = zip(*found, strict=True)
            yield {
                "event": event,
                "group": number,
                "members": list(members),
                "steps": list(steps),
                "values": list(heights),
            }


def events_payload(run: Run) -> dict[str, Any] | None:
    """The figure of events: one line an arm, a mark where each event happened, an arrow where it had not yet."""
    rows = [
        {
            "event": index,
            "group": number,
            "members": [member.position for member in group.members if _known(member, event)],
            "steps": [_when(member, event) for member in group.members if _known(member, event)],
            "ends": [_end(member, event) for member in group.members if _known(member, event)],
        }
        for index, event in enumerate(run.events)
        for number, group in enumerate(run.groups)
    ]
    rows = [row for row in rows if row["members"]]
    return {"groups": [html.escape(group_label(group)) for group in run.groups], "rows": rows} if rows else None


def group_label(group: Group) -> str:
    """What a group is called where its field has not been named already."""
    labels = wording.field_labels(list(group.values))
    parts = [f"{label} {wording.number(group.values[field])}" for field, label in labels.items()]
    return ", ".join(parts) or "all members"


def _known(member: Member, event: str) -> bool:
    return member.events[event].step is not None or member.events[event].censored


def _when(member: Member, event: str) -> int | None:
    occurrence = member.events[event]
    return occurrence.after if occurrence.step is None else occurrence.step


def _end(member: Member, event: str) -> str:
    if member.events[event].step is not None:
        return "happened"
    return "diverged" if member.status == "diverged" else "censored"
