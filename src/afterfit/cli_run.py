"""`afterfit run`: its options are the fields of the preset's experiment."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from afterfit.parts import SpecError


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How to run.

    Attributes:
        seeds: How many (4: seeds 0-3), a range (42-46) or a list (1,5,7). The preset's own by default.
        vary: A field and its values, such as --vary optimizer.weight_decay 0.3 1.0; may be given more than once, then
            every combination is run.
        out: Where results go; runs/PRESET by default. The same command again resumes.
        workers: Processes that train at the same time; one a core by default, one for an accelerator.
        batch_size: Members that train together in one program, at most; by default as memory allows.
        checkpoint_seconds: Time between checkpoints, so the most that a kill can cost.
        quiet: Say nothing but where the report is.
        json_lines: Say everything as one JSON object a line.
    """

    seeds: str | None = None
    vary: Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="FIELD V [V ...]")] = ()
    out: Path | None = None
    workers: int | None = None
    batch_size: int | None = None
    checkpoint_seconds: float = 30.0
    quiet: bool = False
    json_lines: bool = False


def run_command(preset: str, arguments: list[str]) -> int:
    """Train, then print the table of members and where the report is."""
    from afterfit.lab.request import resolve

    request = resolve(preset)
    options, changes = parse(preset, request.experiment, arguments)
    vary = dict(_vary_entry(entry) for entry in options.vary)
    return _train(preset, options, vary, changes)


def parse(preset: str, experiment: Any, arguments: list[str]) -> tuple[RunOptions, dict[str, Any]]:
    """The options, and the fields that were set to something else than the preset's."""
    from afterfit.spec.written import leaves_and_fields

    fields = {path: (hint, value) for path, (hint, value) in leaves_and_fields(experiment).items() if _settable(hint)}
    names = {path: path.replace(".", "__") for path in fields}
    help_texts = descriptions(experiment)
    settable = dataclasses.make_dataclass(
        "Fields",
        [
            (names[path], Annotated[hint, tyro.conf.arg(name=path, help=help_texts.get(path, ""))], value)
            for path, (hint, value) in fields.items()
        ],
        frozen=True,
    )
    both = dataclasses.make_dataclass(
        "Both",
        [
            ("options", Annotated[RunOptions, tyro.conf.arg(name="")], RunOptions()),
            ("fields", Annotated[settable, tyro.conf.arg(name="")], settable()),
        ],
        frozen=True,
    )
    parsed: Any = tyro.cli(
        both,
        prog=f"afterfit run {preset}",
        args=arguments,
        description="Train the members and write their report. The same command again resumes.",
        config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff),
    )
    given = {path: getattr(parsed.fields, name) for path, name in names.items()}
    return parsed.options, {path: value for path, value in given.items() if value != fields[path][1]}


def _settable(hint: Any) -> bool:
    """Whether a field is one that a command line can hold: not a list of parts."""
    from afterfit.parts import alternatives

    plain = (int, float, bool, str, type(None))
    return all(
        option in plain or getattr(option, "__origin__", None) is Literal or option.__args__[0] in plain
        for option in alternatives(hint)
    )


def descriptions(part: Any, path: str = "") -> dict[str, str]:
    """What each field below a part means, from the docstrings of the parts."""
    import docstring_parser

    from afterfit.parts import field_types

    documented = docstring_parser.parse(type(part).__doc__ or "").params
    found = {f"{path}{entry.arg_name}": entry.description or "" for entry in documented}
    for name in field_types(type(part)):
        if dataclasses.is_dataclass(getattr(part, name)):
            found |= descriptions(getattr(part, name), f"{path}{name}.")
    return found


def _vary_entry(entry: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    if not entry:
        raise SpecError("vary", "", "needs a field and its values, such as --vary optimizer.weight_decay 0.3 1.0")
    field, *values = entry
    return field.replace("-", "_"), tuple(values)


def _train(preset: str, options: RunOptions, vary: dict[str, tuple[str, ...]], changes: dict[str, Any]) -> int:
    from rich.console import Console

    from afterfit.engine.workers import WorkerFailed
    from afterfit.lab.run import Interrupted, run

    console = Console()
    try:
        runs = run(
            preset, seeds=options.seeds, vary=vary, changes=changes, out=options.out, workers=options.workers,
            batch_size=options.batch_size, checkpoint_seconds=options.checkpoint_seconds,
            progress=_progress(options, console),
        )  # fmt: skip
    except Interrupted as stopped:
        print(f"\nafterfit: {stopped}; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return 130
    except WorkerFailed as failed:
        print(f"afterfit: {failed}; the rest is kept, the same command tries again", file=sys.stderr)  # noqa: T201
        return 1
    report = runs.report()
    if not options.json_lines:
        from afterfit.cli_look import show_runs

        if not options.quiet:
            show_runs(runs, console)
        print(f"report: {report}")  # noqa: T201
    return 0


def _progress(options: RunOptions, console: Any) -> Any:
    from afterfit.lab.progress import JsonLines, PlainLines, Silent

    if options.json_lines:
        return JsonLines()
    if options.quiet:
        return Silent()
    if not console.is_terminal:
        return PlainLines()
    from afterfit.lab.live import LiveTable

    return LiveTable(console)
