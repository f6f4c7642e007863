"""`afterfit run` and `branch`."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tyro

from afterfit.cli_options import MemberOptions, parse, vary_of
from afterfit.engine.machine import compilation_cache, compilation_settings
from afterfit.parts import SpecError, require


@dataclasses.dataclass(frozen=True)
class RunOptions(MemberOptions):
    """Train the members and write their report. The same command again resumes.

    Attributes:
        out: Where results go; runs/PRESET by default. The same command again resumes.
        workers: Processes that train at the same time; one a core by default, one for an accelerator. With --cluster at
            most; as many as it has room for by default.
        batch_size: Members that train together in one program, at most; by default as memory allows.
        checkpoint_seconds: Time between checkpoints, so the most that a kill can cost.
        cluster: A Ray cluster that trains in place of this machine: auto (this machine's own) or HOST:PORT.
        checkpoints: Where workers write checkpoints: a folder that all of them see, or an address such as
            s3://bucket/folder. The run's folder by default, which all of them must see.
        retries: How often a batch that fails for a reason of its own is tried again.
        forecast: A locked forecast (see docs/forecasts.md): when each member is expected to have its event is shown.
        quiet: Say nothing but where the report is.
        json_lines: Say everything as one JSON object a line.
    """

    out: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    workers: int | None = None
    batch_size: int | None = None
    checkpoint_seconds: float = 30.0
    cluster: Annotated[str | None, tyro.conf.arg(metavar="auto|HOST:PORT")] = None
    checkpoints: Annotated[str | None, tyro.conf.arg(metavar="URI")] = None
    retries: int = 1
    forecast: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    json_lines: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


@dataclasses.dataclass(frozen=True)
class BranchOptions(RunOptions):
    """Train branches of a stored run, which differ from it after a step. The same command again resumes.

    Attributes:
        at: The step after which the branches differ; needed, as is --out.
    """

    at: int = 0


def run_command(preset: str, arguments: list[str]) -> int:
    """Train, then print the table of members and where the report is."""
    from afterfit.lab.request import resolve

    options, changes = parse(RunOptions, f"run {preset}", resolve(preset).experiment, arguments)
    vary = vary_of(options.vary)
    resolve(preset, seeds=options.seeds, vary=vary, changes=changes).members()  # refuses before JAX is even imported

    def trained(progress: Any) -> Any:
        from afterfit.lab.run import run

        return run(
            preset, seeds=options.seeds, vary=vary, changes=changes, out=options.out, workers=options.workers,
            batch_size=options.batch_size, checkpoint_seconds=options.checkpoint_seconds, progress=progress,
            **of_workers(options),
        )  # fmt: skip

    return _train(options, trained)


def branch_command(folder: Path, arguments: list[str]) -> int:
    """Train branches of a stored run; the options are those of `run`, and --at STEP."""
    from afterfit.lab.runs import open_runs

    parent = open_runs(folder)
    options, changes = parse(BranchOptions, f"branch {folder}", parent.experiment, arguments)
    require(options.at != 0, "--at", "", "is needed: the step after which the branches differ")
    require(options.out is not None, "--out", "", "is needed: the folder of the branches")
    require(options.seeds is None, "--seeds", options.seeds, "branches have the seeds of their parent")

    def trained(progress: Any) -> Any:
        from afterfit.lab.branch import branch

        return branch(
            parent, options.at, out=str(options.out), vary=vary_of(options.vary), changes=changes,
            workers=options.workers, batch_size=options.batch_size, checkpoint_seconds=options.checkpoint_seconds,
            progress=progress, **of_workers(options),
        )  # fmt: skip

    return _train(options, trained)


def of_workers(options: RunOptions) -> dict[str, Any]:
    """What the options say of a cluster and of failures, as `run` takes it."""
    return {"cluster": options.cluster, "checkpoints": options.checkpoints, "retries": options.retries}


def start_jax(workers: int | None) -> None:
    """Import JAX as a command needs it: with compiled programs kept, and away from an accelerator of the workers'."""
    for name, value in compilation_settings(compilation_cache()).items():
        os.environ.setdefault(name, value)
    import jax

    if workers != 0:
        jax.config.update("jax_platforms", "cpu")  # here it is planned and looked at only


@contextmanager
def ends_told() -> Iterator[None]:
    """Training that is stopped, or of which a batch failed, ends the command with a line on how to go on."""
    from afterfit.engine.crew import WorkerFailed
    from afterfit.lab.run import Interrupted

    try:
        yield
    except Interrupted as stopped:
        print(f"\nafterfit: {stopped}; the same command goes on from here", file=sys.stderr)  # noqa: T201
        raise SystemExit(130) from stopped
    except WorkerFailed as failed:
        print(f"afterfit: {failed}; the rest is kept, the same command tries again", file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from failed


def _train(options: RunOptions, trained: Callable[[Any], Any]) -> int:
    """Train with the progress that is wanted, then print the table of members and where the report is."""
    from rich.console import Console

    from afterfit.cli_look import show_runs

    start_jax(options.workers)
    console = Console()
    with ends_told():
        runs = trained(progress_of(options, console))
    report = runs.report(forecast=options.forecast)
    if options.json_lines:
        print(json.dumps({"kind": "report", "path": str(report)}))  # noqa: T201
        return 0
    if not options.quiet:
        show_runs(runs, console)
    print(f"report: {report}")  # noqa: T201
    return 0


def progress_of(options: RunOptions, console: Any) -> Any:
    """Who is told how it goes."""
    from afterfit.lab.progress import JsonLines, PlainLines, Silent

    forecast = _forecast(options.forecast)
    if options.json_lines:
        return JsonLines(forecast=forecast)
    if options.quiet:
        return Silent()
    if not console.is_terminal:
        return PlainLines(forecast=forecast)
    from afterfit.lab.live import LiveTable

    return LiveTable(console, forecast)


def _forecast(path: str | None) -> Any:
    """A locked forecast, or None."""
    if path is None:
        return None
    from afterfit.analysis.forecast import Forecast

    try:
        return Forecast.load(path)
    except (OSError, ValueError) as error:
        raise SpecError("--forecast", path, f"cannot be used: {error}") from error
