"""The report of a run: one HTML file that holds all it needs and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from . import wording
from .curves import Colouring, Panel, Run, read, scale_of
from .members import Member, Occurrence, arms_of, median_step, observed_range
from .payload import events_payload, page_payload, panel_payload, script_json
from .summary import steps_text, summary_sentences, title_of

SPLIT_LOOKS = {"train": "dashed", "test": "solid", "": "solid"}


def write_html(
    folder_or_path: str | os.PathLike[str], *, observations: xr.Dataset, events: pd.DataFrame, meta: dict[str, Any]
) -> Path:
    """Write the report of a run and return its path: `report.html` in a folder, or the `.html` file that is named.

    Args:
        folder_or_path: a folder, made if it is missing, or a path that ends in `.html`.
        observations: dims (member, step); seed, status and every varied field are coordinates on member.
        events: one row a member, with the columns NAME, NAME_after and NAME_censored for every event NAME.
        meta: what was run and with what: experiment, vary, seeds, rules, environment, versions, code_version,
            command, created, title; any of them may be missing.
    """
    path = Path(folder_or_path)
    path = path if path.suffix == ".html" else path / "report.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(page(observations, events, meta), encoding="utf-8")
    unfinished.replace(path)
    return path


def page(observations: xr.Dataset, events: pd.DataFrame, meta: dict[str, Any]) -> str:
    """The report as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    run = read(observations, events)
    loader = PackageLoader("afterfit.report", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    scripts = {"plotly": _plotly(), "own": _template("report.js")}
    return environment.get_template("report.html.j2").render(
        title=title_of(meta),
        subtitle=_subtitle(meta),
        sentences=summary_sentences(run.members),
        tiles=_tiles(run),
        style=_template("report.css"),
        scripts=scripts,
        policy=_policy(scripts.values()),
        page_json=script_json(page_payload(run)),
        events_json=script_json(events_payload(run)),
        families=list(_families(run)),
        legends=[_legend(colouring) for colouring in run.colourings],
        marks=run.events,
        splits=_splits(run),
        medians=any(len(group.members) >= 4 for group in run.groups),
        has_zero=bool((run.steps == 0).any()),
        arms=_arm_table(run),
        table=_member_table(run),
        setup=list(_setup(meta)),
        command=meta.get("command"),
    )


def _template(name: str) -> str:
    return resources.files("afterfit.report").joinpath("templates", name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Plotly's own script, which must not hold what would end the element that it stands in."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs().replace("</script", "<\\/script")


def _policy(scripts: Any) -> str:
    """A content security policy that runs these very scripts and loads nothing from anywhere.

    Plotly's WebGL code makes functions from text, hence unsafe-eval; it writes style elements, hence unsafe-inline.
    """
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
        "font-src data:; base-uri 'none'; form-action 'none'"
    )


def _subtitle(meta: dict[str, Any]) -> str:
    created = str(meta.get("created") or "").replace("T", " ")[:16]
    version = meta.get("code_version") or (meta.get("versions") or {}).get("afterfit")
    return " · ".join(part for part in (created, f"afterfit {version}" if version else "") if part)


def _tiles(run: Run) -> list[tuple[str, str, str]]:
    """The few numbers at the top: a number, what it counts, and what goes with it."""
    members, total = run.members, len(run.members)
    tiles = [(wording.number(total), "members" if total != 1 else "member", "")]
    for event in run.events:
        occurrences = [member.events[event] for member in members]
        happened = sum(o.step is not None for o in occurrences)
        tiles.append((f"{happened} of {total}", event, steps_text(occurrences)))
    delays = [member.delay for member in members]
    spread, middle = observed_range(delays), median_step(delays)
    if spread and middle is not None and sum(d.step is not None for d in delays) > 1:
        between = f"range {wording.number(spread[0])} to {wording.number(spread[1])}"
        tiles.append((wording.number(round(middle)), "steps of delay (median)", between))
    for status in ("diverged", "running", "waiting"):
        count = sum(member.status == status for member in members)
        tiles += [(wording.number(count), status, "")] if count else []
    return tiles


def _splits(run: Run) -> list[tuple[str, str]]:
    names = {split for panel in run.panels for split, _ in panel.splits if split}
    return [(name, SPLIT_LOOKS.get(name, "dotted")) for name in sorted(names, key=["train", "test"].__contains__)][::-1]


def _legend(colouring: Colouring) -> dict[str, Any]:
    return {"label": colouring.label, "entries": colouring.entries}


def _families(run: Run) -> Iterator[dict[str, Any]]:
    numbered = enumerate(run.panels)
    for family, members in groupby(numbered, key=lambda pair: pair[1].caption.family):
        yield {"name": family, "panels": [_panel(run, number, panel) for number, panel in members]}


def _panel(run: Run, number: int, panel: Panel) -> dict[str, Any]:
    payload, scale = panel_payload(run, panel), scale_of(run, panel)
    caption = panel.caption
    notes = [caption.unit[:1].upper() + caption.unit[1:]]
    notes += [f"{'logarithmic' if scale.log else 'linear'} vertical axis"] if scale else []
    if scale and scale.not_drawn:
        notes.append(f"{wording.counted(scale.not_drawn, 'value')} of exactly 0 not drawn")
    splits = [split for split, _ in panel.splits if split]
    return {
        "id": f"panel-{number}",
        "title": caption.title,
        "measure": panel.measure,
        "splits": splits,
        "meaning": caption.meaning,
        "notes": notes,
        "source": caption.source,
        "json": None if payload is None else script_json(payload),
    }


def _arm_table(run: Run) -> dict[str, Any] | None:
    """One row an arm: how many of its members reached each event, and when; None where every arm is one member."""
    arms = arms_of(run.members)
    if len(arms) < 2 or all(len(arm.members) == 1 for arm in arms):
        return None
    rows = []
    for arm in arms:
        occurrences = {event: [m.events[event] for m in arm.members] for event in run.events}
        delays = [member.delay for member in arm.members]
        cells = [_arm_cells(list_of, len(arm.members)) for list_of in occurrences.values()]
        rows.append(
            {
                "values": [wording.number(value) for value in arm.values.values()],
                "group": next(i for i, group in enumerate(run.groups) if group.members[0] in arm.members),
                "members": len(arm.members),
                "events": cells,
                "delay": _arm_cells(delays, len(arm.members)) if any(d.step is not None for d in delays) else None,
            }
        )
    return {"fields": wording.field_labels(list(arms[0].values)), "events": run.events, "rows": rows}


def _arm_cells(occurrences: list[Occurrence], total: int) -> dict[str, str]:
    happened = sum(o.step is not None for o in occurrences)
    spread, middle = observed_range(occurrences), median_step(occurrences)
    return {
        "count": f"{happened} of {total}",
        "median": wording.number(round(middle)) if middle is not None else "not reached" if spread else wording.NOTHING,
        "range": f"{wording.number(spread[0])} to {wording.number(spread[1])}" if spread else "",
    }


def _member_table(run: Run) -> dict[str, Any]:
    labels = wording.field_labels(list(run.members[0].values)) if run.members else {}
    group_of = {member.position: i for i, group in enumerate(run.groups) for member in group.members}
    rows = [_member_row(member, group_of[member.position]) for member in run.members]
    has_delay = {"memorised", "generalised"} <= set(run.events)
    return {"fields": labels, "events": run.events, "has_delay": has_delay, "rows": rows}


def _member_row(member: Member, group: int) -> dict[str, Any]:
    values = [(wording.number(value), _sortable(value)) for value in member.values.values()]
    return {
        "name": member.name,
        "group": group,
        "seed": wording.seed_text(member.seed),
        "values": values,
        "status": member.status,
        "step": (wording.number(member.step), _sortable(member.step)),
        "events": [(str(o), _order(o)) for o in member.events.values()],
        "delay": (str(member.delay), _order(member.delay)),
        "train": (wording.accuracy_text(member.train_accuracy), _sortable(member.train_accuracy)),
        "test": (wording.accuracy_text(member.test_accuracy), _sortable(member.test_accuracy)),
    }


def _sortable(value: Any) -> str:
    return "" if value is None else str(value)


def _order(occurrence: Occurrence) -> str:
    """Censored members sort after everything that happened, by how long they were watched."""
    if occurrence.step is not None:
        return str(occurrence.step)
    return "" if occurrence.after is None else str(10**12 + occurrence.after)


def _setup(meta: dict[str, Any]) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """What was run and with what: tables of (name, value, note), named."""
    varied = {str(name): values for name, values in (meta.get("vary") or {}).items()}
    experiment = meta.get("experiment") or {}
    plain = {name: value for name, value in experiment.items() if not isinstance(value, dict)}
    parts = {"experiment": plain, **{k: v for k, v in experiment.items() if isinstance(v, dict)}}
    for name, part in parts.items():
        prefix = "" if part is plain else f"{name}."
        rows = [_setting(prefix, key, value, varied) for key, value in _flat(part)]
        if part is plain and "seeds" in meta:
            rows.append(("seeds", _value(meta["seeds"]), ""))
        if rows:
            yield name.replace("_", " "), rows
    for name in ("rules", "environment", "versions"):
        rows = [(key, _value(value), "") for key, value in _flat(meta.get(name) or {})]
        if name == "versions":
            extra = (("code version", meta.get("code_version")), ("created", meta.get("created")))
            rows += [(key, str(value), "") for key, value in extra if value]
        if rows:
            yield {"rules": "rules of the events"}.get(name, name), rows


def _setting(prefix: str, key: str, value: Any, varied: dict[str, Any]) -> tuple[str, str, str]:
    values = varied.get(prefix + key)
    return (key, _value(value), "") if values is None else (key, _value(values), "varied")


def _flat(part: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested dict, by their dotted names."""
    for key, value in part.items() if isinstance(part, dict) else [("", part)]:
        name = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, dict) and value:
            yield from _flat(value, name)
        else:
            yield name, value


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{key} = {_value(item)}" for key, item in value.items()) or "none"
    return {None: "none", True: "yes", False: "no"}.get(value) if value is None or isinstance(value, bool) else str(value)  # type: ignore[return-value]
