"""The report of a run: one HTML file that holds all it needs and asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from afterfit.files import write_whole

from . import wording
from .arm_comparisons import DRAWS
from .arm_tables import arm_section
from .curves import FEWEST_FOR_MEDIAN, Panel, Run, read, scale_of
from .fan_tables import fan_section
from .fans import Fans
from .lead_tables import lead_section
from .payload import events_payload, page_payload, panel_payload, script_json
from .setup import setup_tables
from .summary import summary_sentences, title_of
from .tables import arm_table, member_table, tiles

SPLIT_LOOKS = {"train": "dashed", "test": "solid"}


def write_html(
    folder_or_path: str | os.PathLike[str],
    *,
    observations: xr.Dataset,
    events: pd.DataFrame,
    meta: dict[str, Any],
    fans: Fans | None = None,
) -> Path:
    """Write the report of a run and return its path: `report.html` in a folder, or the `.html` file that is named.

    Args:
        folder_or_path: a folder, made if it is missing, or a path that ends in `.html`.
        observations: dims (member, step); seed, status and every varied field are coordinates on member.
        events: one row a member, with the columns NAME, NAME_after and NAME_censored for every event NAME.
        meta: what was run and with what: experiment, vary, seeds, rules, environment, versions, code_version,
            command, created, title; any of them may be missing.
        fans: what a forecast said of the members, see `fans_of`; its section is left out without one.
    """
    path = Path(folder_or_path)
    path = path if path.suffix == ".html" else path / "report.html"
    write_whole(path, page(observations, events, meta, fans))
    return path


def page(observations: xr.Dataset, events: pd.DataFrame, meta: dict[str, Any], fans: Fans | None = None) -> str:
    """The report as text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    run = read(observations, events)
    loader = PackageLoader("afterfit.report", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    scripts = {"plotly": _plotly(), "own": _template("arms.js") + _template("report.js")}
    return environment.get_template("report.html.j2").render(
        title=title_of(meta),
        subtitle=_subtitle(meta),
        sentences=summary_sentences(run.members),
        tiles=tiles(run),
        style=_template("report.css"),
        scripts=scripts,
        policy=_policy(scripts.values()),
        page_json=script_json(page_payload(run)),
        events_json=script_json(events_payload(run)),
        families=list(_families(run)),
        legends=run.colourings,
        marks=run.events,
        splits=_splits(run),
        medians=any(len(group.members) >= FEWEST_FOR_MEDIAN for group in run.groups),
        has_zero=bool((run.steps == 0).any()),
        arms=arm_table(run),
        section=arm_section(run),
        leads=lead_section(run),
        draws=f"{DRAWS:,}",
        forecast=fan_section(run, fans),
        table=member_table(run),
        setup=list(setup_tables(meta)),
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
    """When it was run, with which release and which state of the code (shortened; in full among the versions)."""
    created = str(meta.get("created") or "").replace("T", " ")[:16]
    release = str((meta.get("versions") or {}).get("afterfit") or "")
    code = str(meta.get("code_version") or "")
    code = code[:7] if re.fullmatch("[0-9a-f]{40}", code) else code
    software = f"afterfit {release} {f'({code})' if release and code else code}".strip()
    return " · ".join(part for part in (created, software if release or code else "") if part)


def _splits(run: Run) -> list[tuple[str, str]]:
    """The splits that occur and how their lines look, train before test before others."""
    names = {split for panel in run.panels for split, _ in panel.splits if split}
    known = [name for name in SPLIT_LOOKS if name in names]
    return [(name, SPLIT_LOOKS.get(name, "dotted")) for name in [*known, *sorted(names - set(known))]]


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
