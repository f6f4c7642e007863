"""`afterfit run` and `branch`: their options are the fields of the experiment."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

from afterfit.parts import SpecError, alternatives, describe, field_types, nearest, require


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How to run.

    Attributes:
        seeds: How many (4: seeds 0-3), a range (42-46) or a list (1,5,7 or 42,). The preset's own by default.
        vary: A field and its values, such as --vary optimizer.weight_decay 0.3 1.0; may be given more than once, then
            every combination is run.
        out: Where results go; runs/PRESET by default. The same command again resumes.
        workers: Processes that train at the same time; one a core by default, one for an accelerator.
        batch_size: Members that train together in one program, at most; by default as memory allows.
        checkpoint_seconds: Time between checkpoints, so the most that a kill can cost.
        forecast: A locked forecast (see docs/forecasts.md): when each member is expected to have its event is shown.
        quiet: Say nothing but where the report is.
        json_lines: Say everything as one JSON object a line.
    """

    seeds: Annotated[str | None, tyro.conf.arg(metavar="SEEDS")] = None
    vary: Annotated[
        tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="FIELD V [V ...]")
    ] = ()
    out: Annotated[str | None, tyro.conf.arg(metavar="DIR")] = None
    workers: int | None = None
    batch_size: int | None = None
    checkpoint_seconds: float = 30.0
    forecast: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    json_lines: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def run_command(preset: str, arguments: list[str]) -> int:
    """Train, then print the table of members and where the report is."""
    from afterfit.lab.request import resolve

    options, changes = parse(f"run {preset}", resolve(preset).experiment, arguments)
    vary = vary_of(options.vary)
    resolve(preset, seeds=options.seeds, vary=vary, changes=changes).members()  # refuses before JAX is even imported

    def trained(progress: Any) -> Any:
        from afterfit.lab.run import run

        return run(
            preset, seeds=options.seeds, vary=vary, changes=changes, out=options.out, workers=options.workers,
            batch_size=options.batch_size, checkpoint_seconds=options.checkpoint_seconds, progress=progress,
        )  # fmt: skip

    return _train(options, trained)


def branch_command(folder: Path, arguments: list[str]) -> int:
    """Train branches of a stored run; the options are those of `run`, and --at STEP."""
    from afterfit.lab.runs import open_runs

    parent = open_runs(folder)
    given = dict(given_options(arguments))
    right = "is needed: the step after which the branches differ"
    require("at" in given or "h" in given or "help" in given, "--at", "", right)
    at = _option("at", given.get("at", ["1"]), int)
    rest = [word for name, values in given_options(arguments) if name != "at" for word in (f"--{name}", *values)]
    options, changes = parse(f"branch {folder}", parent.experiment, rest)
    require(options.out is not None, "--out", "", "is needed: the folder of the branches")
    require(options.seeds is None, "--seeds", options.seeds, "branches have the seeds of their parent")

    def trained(progress: Any) -> Any:
        from afterfit.lab.branch import branch

        return branch(
            parent, at, out=str(options.out), vary=vary_of(options.vary), changes=changes, workers=options.workers,
            batch_size=options.batch_size, checkpoint_seconds=options.checkpoint_seconds, progress=progress,
        )  # fmt: skip

    return _train(options, trained)


def parse(command: str, experiment: Any, arguments: list[str]) -> tuple[RunOptions, dict[str, Any]]:
    """The options, and the values of the fields that were set, by dotted path.

    Values are read as those of --vary and of TOML files are, and refused in one line.
    """
    from afterfit.spec.written import leaves_and_fields

    given = given_options(arguments)
    experiment, changes = _with_parts(experiment, given)
    fields = {path: (hint, value) for path, (hint, value) in leaves_and_fields(experiment).items() if _settable(hint)}
    if any(name in ("h", "help") or name.startswith("tyro-") for name, _ in given):
        _help(command, experiment, fields, arguments)
    hints = get_type_hints(RunOptions)
    options: dict[str, Any] = {}
    for name, values in given:
        path = name.replace("-", "_")
        if path in changes and path not in fields:
            continue
        if path == "vary":
            options["vary"] = (*options.get("vary", ()), tuple(values))
        elif path in hints:
            options[path] = _option(name, values, hints[path])
        elif path in fields:
            changes[path] = _value(name, values, fields[path][0])
        else:
            flags = [f"--{known.replace('_', '-')}" for known in (*hints, *fields)]
            close = nearest(f"--{name}", flags)
            right = close if close.startswith("did") else f"see afterfit {command} --help"
            raise SpecError(f"--{name}", " ".join(values), f"no such option; {right}")
    return RunOptions(**options), changes


def _with_parts(experiment: Any, given: list[tuple[str, list[str]]]) -> tuple[Any, dict[str, Any]]:
    """The experiment with the parts that were given whole, whose fields can then be set, and the changes that made it.

    Such as --optimizer SGD, or a list: --interventions Mixing,NormCap.
    """
    from afterfit.spec.written import changed

    parts = _parts(experiment)
    changes = {
        name.replace("-", "_"): _value(name, values, parts[name.replace("-", "_")])
        for name, values in given
        if name.replace("-", "_") in parts
    }
    return changed(experiment, changes) if changes else experiment, changes


def _parts(part: Any, path: str = "") -> dict[str, Any]:
    """The fields below a part that hold a part or a list of parts, and their annotations."""
    found: dict[str, Any] = {}
    for name, hint in field_types(type(part)).items():
        value = getattr(part, name)
        if dataclasses.is_dataclass(value):
            found |= {f"{path}{name}": hint} | _parts(value, f"{path}{name}.")
        elif any(get_origin(option) is tuple and not _settable(option) for option in alternatives(hint)):
            found[f"{path}{name}"] = hint
    return found


def given_options(arguments: list[str]) -> list[tuple[str, list[str]]]:
    """Every option, without its dashes, with the values that follow it."""
    found: list[tuple[str, list[str]]] = []
    for argument in arguments:
        if argument.startswith("--") or argument == "-h":
            name, equals, value = argument.lstrip("-").partition("=")
            found.append((name, [value] if equals else []))
        else:
            require(bool(found), "PRESET", argument, "one preset at a time; options begin with --")
            found[-1][1].append(argument)
    return found


def _option(name: str, values: list[str], hint: Any) -> Any:
    if hint is bool:
        require(not values, f"--{name}", " ".join(values), "takes no value")
        return True
    if str in get_args(hint):
        require(len(values) == 1, f"--{name}", " ".join(values), "needs one value")
        return values[0]
    return _value(name, values, hint)


def _value(name: str, values: list[str], hint: Any) -> Any:
    from afterfit.spec.written import parsed

    require(bool(values), f"--{name}", "", f"needs a value: {describe(hint)}")
    return parsed(",".join(values), hint, f"--{name}")


def _help(command: str, experiment: Any, fields: dict[str, tuple[Any, Any]], arguments: list[str]) -> None:
    """Print what can be set, and exit."""
    texts = descriptions(experiment)
    settable = dataclasses.make_dataclass(
        "Fields",
        [
            (path.replace(".", "__"), Annotated[hint, tyro.conf.arg(name=path, help=texts.get(path, ""))], value)
            for path, (hint, value) in fields.items()
        ],
        frozen=True,
    )
    both = dataclasses.make_dataclass(
        "Both",
        [
            ("options", Annotated[RunOptions, tyro.conf.arg(name="")], RunOptions()),
            ("fields", Annotated[settable, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff], settable()),
        ],
        frozen=True,
    )
    tyro.cli(
        both,
        prog=f"afterfit {command}",
        args=["--help" if argument == "-h" else argument for argument in arguments if argument.startswith("-")],
        description="Train the members and write their report. The same command again resumes. Whole parts are put in "
        "by name: --optimizer SGD, --loss SquaredError, --interventions Mixing,NormCap (see afterfit list).",
        config=(tyro.conf.AvoidSubcommands,),
    )


def _settable(hint: Any) -> bool:
    """Whether a field is one that a command line can hold: not a list of parts."""
    scalar = (int, float, bool, str, type(None))
    return all(
        option in scalar or get_origin(option) is Literal or (get_args(option) or (None,))[0] in scalar
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


def vary_of(entries: tuple[tuple[str, ...], ...]) -> dict[str, tuple[str, ...]]:
    """Values by field; those of a field that was named twice are put together."""
    vary: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        right = "needs a field and its values, such as --vary optimizer.weight_decay 0.3 1.0"
        require(bool(entry), "--vary", "", right)
        field = entry[0].replace("-", "_")
        vary[field] = vary.get(field, ()) + entry[1:]
    return vary


def _train(options: RunOptions, trained: Callable[[Any], Any]) -> int:
    """Train with the progress that is wanted, then print the table of members and where the report is."""
    import jax
    from rich.console import Console

    from afterfit.cli_look import show_runs
    from afterfit.engine.workers import WorkerFailed
    from afterfit.lab.run import Interrupted

    if options.workers != 0:
        jax.config.update("jax_platforms", "cpu")  # here it is planned only: an accelerator is the workers' alone
    console = Console()
    try:
        runs = trained(progress_of(options, console))
    except Interrupted as stopped:
        print(f"\nafterfit: {stopped}; the same command goes on from here", file=sys.stderr)  # noqa: T201
        return 130
    except WorkerFailed as failed:
        print(f"afterfit: {failed}; the rest is kept, the same command tries again", file=sys.stderr)  # noqa: T201
        return 1
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
