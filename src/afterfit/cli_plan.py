"""`afterfit plan`: pilots, the answer, and its check on fresh seeds."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import tyro

from afterfit.cli_options import parse, vary_of
from afterfit.cli_run import RunOptions, ends_told, of_workers, progress_of, start_jax
from afterfit.parts import require


@dataclasses.dataclass(frozen=True)
class PlanOptions(RunOptions):
    """Train pilots, say which values to take for a budget, and check them on fresh seeds.

    Attributes:
        budget: The steps that a run may take; needed.
        pilot_steps: The steps of a pilot at most; half of the budget by default.
        probability: With which a run is to have the event within the budget.
        check_seeds: Fresh seeds on which the answer is checked; 0 for no check.
        event: A declared event.
    """

    budget: int = 0
    pilot_steps: int | None = None
    probability: float = 0.9
    check_seeds: int = 10
    event: Annotated[str, tyro.conf.arg(metavar="EVENT")] = "generalised"


def plan_command(preset: str, arguments: list[str]) -> int:
    """Train pilots, say which values to take, and check them. Options are those of `run` and those named in `Plan`."""
    from afterfit.lab.request import resolve

    options, changes = parse(PlanOptions, f"plan {preset}", resolve(preset).experiment, arguments)
    require(options.budget != 0, "--budget", "", "is needed: the steps that a run may take")
    require("steps" not in changes, "--steps", changes.get("steps"), "is decided by --budget and --pilot-steps")
    return _carried_out(preset, options, changes)


def _carried_out(preset: str, options: PlanOptions, changes: dict[str, Any]) -> int:
    from rich.console import Console

    start_jax(options.workers)
    from afterfit.lab.plan import plan

    console = Console()
    values = {field: [float(value) for value in listed] for field, listed in vary_of(options.vary).items()}
    with ends_told():
        planned = plan(
            preset, options.budget, out=options.out or f"runs/{preset}-plan", values=values or None,
            seeds=options.seeds or 3, changes=changes, workers=options.workers,
            progress=progress_of(options, console), pilot_steps=options.pilot_steps,
            probability=options.probability, check_seeds=options.check_seeds, event=options.event,
            **of_workers(options),
        )  # fmt: skip
    if not options.quiet:
        table = planned.plan.table().to_string(index=False, float_format="{:.4g}".format)
        console.print(table, highlight=False, soft_wrap=True)
    console.print(str(planned), highlight=False, markup=False, soft_wrap=True)
    return 0
