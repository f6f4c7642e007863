"""Writes docs/results.md from the records of the studies below docs/results/: no number on that page is typed by hand.

make docs                                           # this page and the measures'
.venv/bin/python docs/make_results.py

A record is what a study leaves in its folder: `cp -r runs/STUDY-SCALE/record docs/results/STUDY-SCALE`. What it means,
in words, stands beside it in reading.md.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from afterfit.report.study import PRELIMINARY, as_interval, as_number, duration
from afterfit.report.wording import counted
from afterfit.studies import STUDIES
from afterfit.studies.study import SCALES

HERE = Path(__file__).parent
PAGE, RECORDS = HERE / "results.md", HERE / "results"

BEGINNING = """# Results

What `afterfit reproduce STUDY` found: every claim of the three papers with its verdict, and the rule and the numbers
that decided it. This page is written by `make docs` from the records in [results/](results); no number in its tables is
typed by hand. Rules were fixed before running (they stand in each record), intervals are of 95 %, n counts runs, and
runs that never generalised are counted as that. "Inconclusive" means that the rule could not decide with these runs.
"""


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
        yield reading.read_text(encoding="utf-8").strip() + "\n"
    yield "| claim | verdict | what decided | rule |\n| --- | --- | --- | --- |"
    for claim in record["claims"]:
        instead = f" *Run in its place: {claim['instead'].rstrip('.')}.*" if claim["instead"] else ""
        notes = "".join(f" *{note.rstrip('.')}.*" for note in claim["notes"])
        decided = f"{claim['because']}.{instead}{notes}"
        cells = (f"**{claim['id']}** {claim['text']}", claim["verdict"], decided, claim["rule"])
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    yield "\n| claim | number | published | ours | n |\n| --- | --- | ---: | ---: | ---: |"
    for claim in record["claims"]:
        for each in claim["measured"]:
            unit = f" ({each['unit']})" if each["unit"] else ""
            ours = f"{as_number(each['value'])} {as_interval(each['interval'])}".strip()
            published = each["published"] or "–"
            yield f"| {claim['id']} | {each['what']}{unit} | {published} | {ours} | {as_number(each['n'])} |"
    yield from _otherwise(record)
    for figure in record["figures"]:
        yield f"\n![{figure['caption']}](results/{folder.name}/{figure['file']})\n\n*{figure['caption']}*"
    yield ""


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
    yield f"\nOf {asked} verdicts under other readings of what the paper leaves open, {len(changed)} differ:\n"
    for claim, other in changed:
        choice = other["choice"].replace("_", " ")
        yield f"- {claim['id']} with {choice} = {other['value']}: {other['verdict']} ({other['because']})"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
