"""Writes docs/results.md from the records of the studies below docs/results/: no number on that page is typed by hand.

make docs                                           # this page and the measures'
.venv/bin/python docs/make_results.py

A record is what a study leaves in its folder: `cp -r runs/STUDY-SCALE/record docs/results/STUDY-SCALE`. What it means,
in words, stands beside it in reading.md: a Jinja template whose numbers come from the record (`Reading`), and which
names the verdicts that it stands on, so that it cannot outlive them.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import fill
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from afterfit.report.study import PRELIMINARY, as_interval, as_number, duration
from afterfit.report.wording import counted
from afterfit.studies import STUDIES
from afterfit.studies.rules import brief
from afterfit.studies.study import SCALES

HERE = Path(__file__).parent
PAGE, RECORDS = HERE / "results.md", HERE / "results"

BEGINNING = """# Results

What `afterfit reproduce STUDY` found: every claim of the three papers with its verdict, and the rule and the numbers
that decided it. This page is written by `make docs` from the records in [results/](results); no result on it is typed
by hand, in tables or in prose. Rules were fixed before running (they stand in each record) but for those that a section
says were changed. Intervals are of 95 % and go as far as their method gives them: that of a mean accuracy of few runs
may pass 1. n counts runs, and those that did not generalise within their budget are counted as that. "Inconclusive"
means that the rule could not decide with these runs.

RNC1, NC1, NC2, NC clustering (CDNV), relative flatness κ and its published bound, spectral entropy H̃ and Fourier
alignment A_F are defined in [measures.md](measures.md); how far estimates of information can be believed stands in
[calibration.md](calibration.md), tests and intervals in [statistics.md](statistics.md), mixing, penalties and matched
controls in [interventions.md](interventions.md). λ is weight decay, T_grok the step at which test accuracy comes to
.99; a negative strength of a penalty pushes away from what it is named after.
"""
FILTERS = {
    "short": lambda value: f"{value:.2g}",
    "whole": lambda value: f"{value:,.0f}",
    "percent": lambda value: f"{100 * value:.0f} %",
}


def records() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every record, by study, the largest scale first."""
    for name in STUDIES:
        for scale in reversed(SCALES):
            folder = RECORDS / f"{name}-{scale}"
            if (folder / "record.json").exists():
                yield folder, json.loads((folder / "record.json").read_text(encoding="utf-8"))


def text() -> str:
    """The whole page."""
    parts = [BEGINNING]
    for folder, record in records():
        parts += [*_study(folder, record)]
    return "\n".join(parts).rstrip() + "\n"


def _study(folder: Path, record: dict[str, Any]) -> Iterator[str]:
    counts = Counter(claim["verdict"] for claim in record["claims"])
    preliminary = PRELIMINARY.get(record["scale"])
    yield f"## {record['title']}: {record['scale']}\n"
    yield f"{record['reference']}. {record['about']}\n"
    members = sum(sweep["members"] for sweep in record["sweeps"])
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    yield (
        f"{len(record['claims'])} claims: {said}{f' ({preliminary})' if preliminary else ''}. {members} runs, "
        f"{duration(record['wall_seconds'])} on {counted(record['environment']['cores'], 'core')}; afterfit "
        f"{record['versions']['afterfit']}, judged with commit {_commit(record['code_version'])}, trained with "
        f"{', '.join(dict.fromkeys(_commit(sweep['code_version']) for sweep in record['sweeps']))}. "
        f"`{record['command']}`\n"
    )
    reading = folder / "reading.md"
    if reading.exists():
        yield Reading(folder, record).text(reading.read_text(encoding="utf-8")) + "\n"
    yield "| claim | verdict | what decided | rule |\n| --- | --- | --- | --- |"
    for claim in record["claims"]:
        instead = f" *Run in its place: {claim['instead'].rstrip('.')}.*" if claim["instead"] else ""
        notes = "".join(f" *{note.rstrip('.')}.*" for note in claim["notes"])
        decided = f"{claim['because']}.{instead}{notes}"
        cells = (f"**{claim['id']}** {claim['text']}", claim["verdict"], decided, claim["rule"])
        yield _row(cells)
    yield "\n| claim | number | published | ours | n |\n| --- | --- | ---: | ---: | ---: |"
    for claim in record["claims"]:
        for each in claim["measured"]:
            unit = f" ({each['unit']})" if each["unit"] else ""
            ours = f"{as_number(each['value'])} {as_interval(each['interval'])}".strip()
            published = each["published"] or "–"
            cells = (claim["id"], f"{each['what']}{unit}", published, ours, as_number(each["n"]))
            yield _row(cells)
    yield from _otherwise(record)
    for figure in record["figures"]:
        yield f"\n![{figure['caption']}](results/{folder.name}/{figure['file']})\n\n*{figure['caption']}*"
    yield ""


def _row(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


class Reading:
    """What a reading's template may ask of its record; whatever the record does not have is an error.

    `stands("A8", "inconclusive")` writes nothing, and fails where the verdict has become another; so does
    `stands("X6", "inconclusive", forecast="with decay")` for the verdict under another choice.
    `ours("A10", "exponent of n")` is our number with its interval, found by the beginning of its name; `value` the
    number alone; `raw` is for arithmetic, and the filters `short` (two digits), `whole` and `percent` write what comes
    of it. `because("B4")` is the sentence that decided. `sweep("mnist")` is a sweep as recorded: members, steps,
    status, events. `table("runs")` is a table as a DataFrame.
    """

    def __init__(self, folder: Path, record: dict[str, Any]) -> None:
        self.folder = folder
        self.claims = {claim["id"]: claim for claim in record["claims"]}
        self.sweeps = {sweep["name"]: sweep for sweep in record["sweeps"]}

    def text(self, template: str) -> str:
        """The reading with the record's numbers."""
        # Markdown, from files of our own.
        environment = Environment(undefined=StrictUndefined, trim_blocks=True, autoescape=False)
        names = ("stands", "ours", "value", "raw", "because", "sweep", "table")
        environment.globals |= {"exp": math.exp, "log10": math.log10, **{name: getattr(self, name) for name in names}}
        environment.filters |= FILTERS
        paragraphs = environment.from_string(template).render().strip().split("\n\n")
        return "\n\n".join(fill(each, 120, break_long_words=False, break_on_hyphens=False) for each in paragraphs)

    def stands(self, claim: str, verdict: str, **under: Any) -> str:
        """Nothing, if the claim has this verdict (under another choice, if one is named)."""
        found = {(): self.claims[claim]["verdict"]}
        found |= {((each["choice"], each["value"]),): each["verdict"] for each in self.claims[claim]["under"]}
        there = found.get(tuple(under.items()))
        if there != verdict:
            where = "".join(f" with {name} = {value}" for name, value in under.items())
            raise ValueError(
                f"{self.folder.name}/reading.md takes {claim}{where} as {verdict}, the record has it {there}"
            )
        return ""

    def ours(self, claim: str, what: str) -> str:
        """A number with its interval."""
        found = self._measured(claim, what)
        ends = found["interval"]
        return _brief(found["value"]) + (f" [{_brief(ends[0])}, {_brief(ends[1])}]" if ends else "")

    def value(self, claim: str, what: str) -> str:
        """A number."""
        return _brief(self._measured(claim, what)["value"])

    def raw(self, claim: str, what: str) -> float:
        """A number for arithmetic."""
        return float(self._measured(claim, what)["value"])

    def because(self, claim: str) -> str:
        """The sentence with the numbers that decided a claim."""
        return self.claims[claim]["because"]

    def sweep(self, name: str) -> dict[str, Any]:
        """A sweep as recorded."""
        return self.sweeps[name]

    def table(self, name: str) -> pd.DataFrame:
        """A table of the record."""
        return pd.read_csv(self.folder / "tables" / f"{name}.csv")

    def _measured(self, claim: str, what: str) -> dict[str, Any]:
        there = self.claims[claim]["measured"]
        found = [each for each in there if each["what"].startswith(what)]
        exact = [each for each in there if each["what"] == what]
        if len(exact or found) != 1:
            names = "; ".join(each["what"] for each in there)
            raise LookupError(f"{self.folder.name}: {claim} has {len(found)} numbers {what!r}, of: {names}")
        return (exact or found)[0]


def _brief(value: Any) -> str:
    """A number as sentences have it."""
    return brief(float("nan" if value is None else value))


def _commit(version: str | None) -> str:
    """A commit, short; with a mark where there were changes beyond it."""
    commit, _, changes = str(version).partition("+")
    return commit[:7] + ("+changes" if changes else "")


def _otherwise(record: dict[str, Any]) -> Iterator[str]:
    """Claims whose verdict would be another under another reading of what the paper leaves open."""
    changed = [
        (claim, other) for claim in record["claims"] for other in claim["under"] if other["verdict"] != claim["verdict"]
    ]
    asked = sum(len(claim["under"]) for claim in record["claims"])
    if not asked:
        return
    said = f"{len(changed)} differ:" if changed else "none differs."
    yield f"\nOf {asked} verdicts under other readings of what the paper leaves open, {said}\n"
    for claim, other in changed:
        choice = other["choice"].replace("_", " ")
        yield f"- {claim['id']} with {choice} = {other['value']}: {other['verdict']} ({other['because']})"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
