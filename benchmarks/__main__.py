"""`python -m benchmarks`: what is fast and what is not, on this machine."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console

from afterfit.lab.environment import describe
from benchmarks import first_block, main_table, observations, scaling, start, two_workers
from benchmarks.processes import cores
from benchmarks.settings import Result, Settings
from benchmarks.tables import WIDTH, Table, floors_table

SECTIONS = {
    "main": "ours, PyTorch and plain JAX side by side (the default)",
    "first_block": "the factored first block against the plain one",
    "scaling": "cost of a member's step as members, width and p grow",
    "workers": "two workers on two cores against one",
    "observations": "what observing costs",
    "start": "from the command to the first numbers",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    for name, words in SECTIONS.items():
        p.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=words)
    p.add_argument("--all", action="store_true", help="all of these")
    p.add_argument("--quick", action="store_true", help="a few steps of a few versions: whether the benchmark works")
    p.add_argument("--seconds", type=float, default=1.2, help="length of one repeat (default: 1.2)")
    p.add_argument("--rounds", type=int, default=3, help="repeats of each version (default: 3)")
    p.add_argument("--core", type=int, help="the core to run on (default: the last one)")
    p.add_argument("--json", type=Path, metavar="FILE", help="write all raw numbers, with the environment")
    p.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables for the documentation")
    p.add_argument("--plot", type=Path, metavar="FILE", default=Path(".benchmarks/scaling.svg"), help="of --scaling")
    return p


def main() -> None:
    """Measure what is asked for, print it, and keep it if asked to."""
    options = parser().parse_args()
    console = Console(width=min(WIDTH, Console().width) if sys.stdout.isatty() else WIDTH)
    settings, about, began = settings_of(options, console), environment(), time.monotonic()
    console.print(heading(about, settings), markup=False, highlight=False)
    console.print()
    results = {name: section(settings) for name, section in chosen(options).items()}
    floors = [floor for result in results.values() for floor in result.floors]
    if floors:
        settings.show(floors_table(floors))
    console.print(f"{time.monotonic() - began:.0f} s in all.", highlight=False)
    if options.json:
        raw = {name: result.raw for name, result in results.items()}
        written = {"about": about, "sections": raw, "floors": [asdict(floor) for floor in floors]}
        options.json.write_text(json.dumps(written, indent=1) + "\n")
    if options.markdown:
        tables = [table for result in results.values() for table in result.tables] + [floors_table(floors)]
        options.markdown.write_text("\n\n".join([heading(about, settings), *(t.markdown() for t in tables)]) + "\n")


def settings_of(options: argparse.Namespace, console: Console) -> Settings:
    """How to measure."""
    available = cores()
    core = options.core if options.core is not None else available[-1]

    def show(table: Table) -> None:
        table.show(console)

    if options.quick:
        few = {"cases": ("minibatch", "mlp"), "members": (2,), "others": ("torch", "plain-jax")}
        return Settings(core, available, show, seconds=0.05, rounds=1, **few)
    return Settings(core, available, show, seconds=options.seconds, rounds=options.rounds)


def chosen(options: argparse.Namespace) -> Mapping[str, Callable[[Settings], Result]]:
    """The sections that are asked for."""
    sections: dict[str, Callable[[Settings], Result]] = {
        "main": main_table.measure,
        "first_block": first_block.measure,
        "scaling": partial(scaling.measure, plot=options.plot),
        "workers": two_workers.measure,
        "observations": observations.measure,
        "start": start.measure,
    }
    asked = [name for name in sections if options.all or getattr(options, name)]
    return {name: sections[name] for name in asked or ["main"]}


def environment() -> dict[str, Any]:
    """Machine, versions and commit."""
    about = describe()
    about["versions"]["torch"] = metadata.version("torch")
    return about


def heading(about: Mapping[str, Any], settings: Settings) -> str:
    """One line that says on what this was measured."""
    machine, versions = about["environment"], about["versions"]
    libraries = ", ".join(f"{name} {versions[name]}" for name in ("jax", "torch", "numpy"))
    commit = (about["code_version"] or "unknown")[:12]
    where = "" if settings.core is None else f" of {machine['cores']}"
    return (
        f"{machine['processor']}, one core{where}, one thread, float32. Python {machine['python']}, {libraries}, "
        f"commit {commit}. Median and range of {settings.rounds} interleaved rounds."
    )


if __name__ == "__main__":
    main()
