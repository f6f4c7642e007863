"""`afterfit reproduce`: a study's runs, its verdicts and its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def reproduce_command(command: Any) -> int:
    """Run a study, then print the table of verdicts and where its page is."""
    import jax
    from rich.console import Console

    from afterfit.cli_run import RunOptions, ends_told, progress_of
    from afterfit.report import study_table
    from afterfit.studies.reproduce import reproduce

    if command.workers != 0:
        jax.config.update("jax_platforms", "cpu")  # here it is planned and judged only: an accelerator is the workers'
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
