"""The commands that look at what there is."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from afterfit.parts import SpecError


def show(folder: Path, follow: bool = False) -> int:
    """Print the table of members, or go on showing them while another process trains them."""
    from afterfit.lab.runs import open_runs

    if follow:
        from afterfit.report.follow import follow as follow_run

        follow_run(folder, Console())
        return 0

    show_runs(open_runs(folder), Console())
    return 0


def show_runs(runs: Any, console: Console) -> None:
    """A table for people at a terminal, plain lines for everything else."""
    from afterfit.report import members_table, summary_lines

    shown = {"observations": runs.observations, "events": runs.events(), "meta": runs.meta}
    if console.is_terminal:
        console.print(members_table(**shown))
    else:
        console.print(members_table(**shown))
        for line in summary_lines(**shown)[1:]:
            console.print(line, soft_wrap=True, highlight=False)


def report(folder: Path, out: Path | None, formats: tuple[str, ...], forecast: Path | None = None) -> int:
    """Write the report, and figures in the formats that are given; with what a locked forecast said, if one is."""
    from afterfit.lab.runs import open_runs

    runs = open_runs(folder)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"report: {runs.report(out, forecast)}")
    if formats:
        for path in runs.figures(formats=formats, forecast=forecast):
            console.print(f"figure: {path}")
    return 0


def export(folder: Path, to: str, out: Path | None) -> int:
    """Write the observations in another format."""
    from afterfit.lab.runs import open_runs

    Console(soft_wrap=True, highlight=False).print(f"wrote {open_runs(folder).export(to, out)}")
    return 0


def list_things(what: str | None) -> int:
    """Print presets, tasks, models, interventions, measures or studies, or all of them."""
    tables = {
        "presets": _presets,
        "tasks": _tasks,
        "models": _models,
        "interventions": _interventions,
        "measures": _measures,
        "studies": _studies,
    }
    console = Console()
    for name in (what,) if what else tables:
        table = Table("name", "what it is", title=name, title_justify="left", box=None, padding=(0, 2, 0, 0))
        for row in tables[name]():
            table.add_row(*map(Text, row))  # as text: a formula's brackets are no markup
        console.print(table)
        console.print()
    return 0


def _presets() -> list[tuple[str, str]]:
    from afterfit.spec.presets import PRESETS

    return [(name, preset.about) for name, preset in PRESETS.items()]


def _tasks() -> list[tuple[str, str]]:
    from afterfit import tasks

    return [_described(tasks, name) for name in tasks.__all__ if hasattr(getattr(tasks, name), "split")]


def _models() -> list[tuple[str, str]]:
    from afterfit import models

    return [_described(models, kind.__name__) for kind in models.KINDS]


def _interventions() -> list[tuple[str, str]]:
    from afterfit import interventions

    return [_described(interventions, kind.__name__) for kind in interventions.KINDS]


def _measures() -> list[tuple[str, str]]:
    from afterfit import measures

    return [_described(measures, name) for name in measures.__all__]


def _studies() -> list[tuple[str, str]]:
    from afterfit.studies import STUDIES, study

    return [(name, study(name).title) for name in STUDIES]


def _described(module: Any, name: str) -> tuple[str, str]:
    return name, (inspect.getdoc(getattr(module, name)) or "").partition("\n")[0]


def download(dataset: str) -> int:
    """Fetch a data set."""
    from afterfit.tasks import download as fetch

    try:
        where = fetch(dataset)
    except OSError as error:
        raise SpecError("dataset", dataset, f"could not be fetched: {error}") from error
    Console(soft_wrap=True, highlight=False).print(f"{dataset} is in {where}")
    return 0
