"""`afterfit reproduce`: a study's runs, its verdicts and its figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def reproduce_command(command: Any) -> int:
    """Run a study, then print the table of verdicts and where its page is."""
    if command.scale == "smoke":  # trains for moments: to compile well would take the most of its time
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()
    from rich.console import Console

    from afterfit.cli_run import RunOptions, ends_told, progress_of, start_jax

    start_jax(command.workers)
    from afterfit.report import study_table
    from afterfit.studies.reproduce import reproduce

    console = Console()
    progress = progress_of(RunOptions(quiet=command.quiet), console)
    claims = [claim.strip().upper() for claim in command.claims.split(",")] if command.claims else None
    with ends_told():
        done = reproduce(
            command.study,
            scale=command.scale,
            claims=claims,
            out=command.out,
            workers=command.workers,
            progress=progress,
            cluster=command.cluster,
            checkpoints=command.checkpoints,
            retries=command.retries,
        )
    if not command.quiet:
        console.print(study_table(done.record))
    for name, path in (("page", done.page), ("record", done.folder / "record")):
        print(f"{name}: {Path(path)}")  # noqa: T201
    return 0
