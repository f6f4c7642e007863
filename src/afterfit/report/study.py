"""The page of a study: each claim with what was published, what came out, the verdict and the rule that decided it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterfit.files import write_whole

from . import wording
from .setup import setup_tables

if TYPE_CHECKING:
    from rich.console import Group

LOOKS = {"reproduced": "good", "not reproduced": "bad", "inconclusive": "open", "not comparable": "open"}
PRELIMINARY = {"smoke": "no verdicts at this scale", "quick": "preliminary: fewer seeds and steps than published"}


def write_study(path: Path, record: Mapping[str, Any], folder: Path) -> Path:
    """Write the page of a study: one file that asks the network for nothing.

    Args:
        path: the page.
        record: of the study, as plain values.
        folder: where the record's figures and tables lie.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("afterfit.report", "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.globals |= {"number": as_number, "interval": as_interval, "looks": LOOKS}
    text = environment.get_template("study.html.j2").render(
        record=record,
        style=resources.files("afterfit.report").joinpath("templates", "report.css").read_text(encoding="utf-8"),
        preliminary=PRELIMINARY.get(record["scale"]),
        images=[(each, _embedded(folder / each["file"])) for each in record["figures"]],
        setup=list(setup_tables(record)),
        hours=duration(record["wall_seconds"]),
    )
    write_whole(path, text)
    return path


def study_table(record: Mapping[str, Any]) -> Group:
    """The verdicts for a terminal: a row a number, a claim's first row with its verdict; then what decided each."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    colours = {"good": "green", "bad": "red", "open": "yellow"}
    preliminary = PRELIMINARY.get(record["scale"])
    table = Table(title=record["title"] + (f" ({preliminary})" if preliminary else ""), title_justify="left")
    for name in ("claim", "what", "published", "ours", "n", "verdict"):
        table.add_column(name, overflow="fold")
    for claim in record["claims"]:
        verdict = claim["verdict"] or wording.NOTHING
        shown = Text(verdict, style=colours.get(LOOKS.get(verdict, ""), ""))
        rows = _rows(claim) or [(claim["text"], claim["published"], wording.NOTHING, wording.NOTHING)]
        for index, row in enumerate(rows):
            first = index == 0
            cells = [Text(cell) for cell in row]
            table.add_row(
                claim["id"] if first else "", *cells, shown if first else "", end_section=index == len(rows) - 1
            )
    return Group(table, *(Text.assemble(*parts) for parts in _decided(record)))


def _decided(record: Mapping[str, Any]) -> Iterator[tuple[str | tuple[str, str], ...]]:
    """For each claim what decided it, and by which rule: pieces of text with their styles."""
    for claim in record["claims"]:
        instead = f" Run in its place: {claim['instead'].rstrip('.')}." if claim["instead"] else ""
        verdict = f" {claim['verdict']}" if claim["verdict"] else ""
        decided = f": {claim['because']}.{instead}"
        yield "\n", (claim["id"] + verdict, "bold"), decided, (f" Rule: {claim['rule'].rstrip('.')}.", "dim")


def _rows(claim: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    return [
        (
            each["what"] + (f" ({each['unit']})" if each["unit"] else ""),
            each["published"] or wording.NOTHING,
            f"{as_number(each['value'])} {as_interval(each['interval'])}".strip(),
            as_number(each["n"]),
        )
        for each in claim["measured"]
    ]


def as_number(value: Any) -> str:
    """A number as people read it; "inf" stands for one beyond all that was observed."""
    if isinstance(value, str):
        return {"inf": "∞", "-inf": "−∞", "nan": wording.NOTHING}.get(value, value)
    return wording.number(value)


def as_interval(ends: Sequence[Any] | None) -> str:
    """An interval in brackets, or nothing."""
    return "" if ends is None else f"[{as_number(ends[0])}, {as_number(ends[1])}]"


def duration(seconds: float) -> str:
    """`48 s`, `12 min`, `3 h 20 min`."""
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _embedded(path: Path) -> str:
    """A figure as the address of an image that holds it: scripts in such an image never run."""
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"
