"""The command line. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from afterfit._version import __version__
from afterfit.cli_run import branch_command, run_command
from afterfit.parts import SpecError, require

Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR", help="The run's folder.")]
Kind = Literal["presets", "tasks", "models", "interventions", "measures", "studies"]


@dataclasses.dataclass(frozen=True)
class Run:
    """Train the members of a preset, or of a TOML file, and write their report. The same command again resumes.

    `afterfit run PRESET --help` lists every field that can be set.
    """

    preset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PRESET", help="A name or a .toml file.")]


@dataclasses.dataclass(frozen=True)
class Branch:
    """Continue a stored run from a step on, in other ways: --at STEP --out DIR, and fields to set or vary as for run.

    Up to that step a branch is its parent, to the last bit. The same command again resumes.
    """

    folder: Folder


@dataclasses.dataclass(frozen=True)
class Plan:
    """Find the weight decay that generalises within a budget: --budget N [--vary FIELD V V ...] and options as for run.

    Pilots are trained (--seeds 3 of them at each value, for --pilot-steps, half of the budget), a scaling law gives the
    answer with what is not known of it, and --check-seeds fresh seeds (10; 0 for none) say whether it holds. Also
    --probability 0.9 and --event generalised. The same command again resumes.
    """

    preset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PRESET", help="A name or a .toml file.")]


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Say what stands in the way of delayed generalisation: of a preset, a TOML file, or a run folder.

    Fields of a preset or file are set and varied as for run. Exits with 1 if there is a warning and --strict is given.
    """

    what: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PRESET|DIR", help="A name, a .toml file, a run.")]


@dataclasses.dataclass(frozen=True)
class Reproduce:
    """Run a study, judge every claim of its paper, and redraw its figures. The same command again goes on.

    Attributes:
        scale: smoke trains for seconds and gives no verdicts; quick ends within 20 minutes on two cores; full has the
            published sizes.
        claims: Judge these only, such as A1,A3, and run only what they need.
        out: Where results go; runs/STUDY-SCALE by default.
        workers: Processes that train at the same time; one a core by default, one for an accelerator.
        cluster: A Ray cluster that trains in place of this machine, auto or HOST:PORT; see docs/cluster.md.
        checkpoints: Where its workers write checkpoints: a folder that all see, or an address such as s3://bucket.
        retries: How often a batch that fails for a reason of its own is tried again.
        quiet: Say nothing but where the page is.
    """

    study: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STUDY", help="See afterfit list studies.")]
    scale: Literal["smoke", "quick", "full"] = "quick"
    claims: Annotated[str | None, tyro.conf.arg(metavar="A1,A3")] = None
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    workers: int | None = None
    cluster: Annotated[str | None, tyro.conf.arg(metavar="auto|HOST:PORT")] = None
    checkpoints: Annotated[str | None, tyro.conf.arg(metavar="URI")] = None
    retries: int = 1
    quiet: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


@dataclasses.dataclass(frozen=True)
class Show:
    """Print a table of the members.

    Attributes:
        follow: Go on showing a run that another process trains, until it ends or Ctrl-C.
    """

    folder: Folder
    follow: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


@dataclasses.dataclass(frozen=True)
class Report:
    """Write the HTML report, and the figures for a paper if asked.

    Attributes:
        out: Where to write it instead of report.html in the run's folder.
        figures: Also write the figures, into the run's folder.
        formats: Their formats.
        forecast: A locked forecast (see docs/forecasts.md): what it said of each member is shown.
    """

    folder: Folder
    out: Path | None = None
    figures: bool = False
    formats: tuple[Literal["svg", "pdf", "png"], ...] = ("svg", "pdf")
    forecast: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None


@dataclasses.dataclass(frozen=True)
class Export:
    """Write the observations for other programs.

    Attributes:
        to: The format.
        out: Where to write it instead of the run's folder.
    """

    folder: Folder
    to: Literal["parquet", "netcdf", "csv"]
    out: Path | None = None


@dataclasses.dataclass(frozen=True)
class List:
    """Print what there is: presets, tasks, models, interventions, measures, studies."""

    what: Annotated[Kind | None, tyro.conf.Positional] = None


@dataclasses.dataclass(frozen=True)
class Download:
    """Fetch a published data set, check it against its SHA-256, and keep it in the user's cache."""

    dataset: Annotated[Literal["mnist", "fashion-mnist", "cifar-10"], tyro.conf.Positional]


Command = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Branch, tyro.conf.subcommand("branch")]
    | Annotated[Plan, tyro.conf.subcommand("plan")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[Reproduce, tyro.conf.subcommand("reproduce")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[Download, tyro.conf.subcommand("download")]
)
# Commands whose options are the fields of an experiment: what comes first, and how they are called.
OF_FIELDS = {
    "run": ("PRESET", "PRESET [options]"),
    "branch": ("DIR", "DIR --at STEP --out DIR"),
    "plan": ("PRESET", "PRESET --budget N"),
    "doctor": ("PRESET", "PRESET [options], or afterfit doctor DIR"),
}
DESCRIPTION = "Measure, forecast and steer what a network keeps learning after it has fit its training data."


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status: 0 done, 1 failed, 2 asked wrongly, 130 interrupted."""
    asked = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        # While modules are imported a KeyboardInterrupt may be swallowed, and there is nothing to save: just end.
        # A run answers by itself as soon as it trains.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if asked == ["--version"]:
        print(f"afterfit {__version__}")  # noqa: T201
        return
    sys.exit(_guarded(asked))


def _guarded(asked: list[str]) -> int:
    """The command, with what the user can mend told in one line."""
    try:
        if asked[:1] and asked[0] in OF_FIELDS and asked[1:2] not in (["-h"], ["--help"]):
            return _with_fields(*asked)
        return dispatch(_parsed(asked))
    except SpecError as error:
        return _fail(2, str(error))
    except BrokenPipeError:  # the reader of our output has seen enough, so nothing may be flushed at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return _fail(130, "stopped")
    except OSError as error:
        return _fail(1, f"{error.filename or 'it'} cannot be used: {(error.strerror or str(error)).lower()}")
    except RuntimeError as error:
        from afterfit.store import StoreError
        from afterfit.tasks import DataError

        if not isinstance(error, StoreError | DataError):
            raise
        return _fail(1, str(error))


def _with_fields(name: str, first: str = "", *rest: str) -> int:
    """A command whose options are the fields of an experiment."""
    what, usage = OF_FIELDS[name]
    require(first[:1] not in ("", "-"), what, first, f"comes first: afterfit {name} {usage}")
    if name == "run":
        return run_command(first, list(rest))
    if name == "branch":
        return branch_command(Path(first), list(rest))
    if name == "doctor":
        from afterfit.cli_doctor import doctor_command

        return doctor_command(first, list(rest))
    from afterfit.cli_plan import plan_command

    return plan_command(first, list(rest))


def _parsed(asked: list[str]) -> Any:
    """The command; what tyro says of a wrong one is brought to one line."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(Command, prog="afterfit", description=DESCRIPTION, args=asked)  # type: ignore[arg-type]
    except SystemExit as ended:
        if not ended.code:
            raise
        sys.exit(_fail(2, f"{_first_paragraph(said.getvalue())}; see afterfit --help"))


def _first_paragraph(box: str) -> str:
    """What stands in a box below its title and above the next rule: a line of no letters."""
    _, *inside = (line.strip("│| ") for line in box.splitlines())
    below = itertools.dropwhile(lambda line: not _says_something(line), inside)
    return " ".join(itertools.takewhile(_says_something, below))


def _says_something(line: str) -> bool:
    return any(map(str.isalnum, line))


def _fail(status: int, text: str) -> int:
    print(f"afterfit: {text}", file=sys.stderr)  # noqa: T201
    return status


def dispatch(command: Any) -> int:
    """Do what was asked, of the commands whose options are their own."""
    from afterfit import cli_look

    match command:
        case Reproduce():
            from afterfit.cli_reproduce import reproduce_command

            return reproduce_command(command)
        case Show():
            return cli_look.show(command.folder, command.follow)
        case Report():
            formats = command.formats if command.figures else ()
            return cli_look.report(command.folder, command.out, formats, command.forecast)
        case Export():
            return cli_look.export(command.folder, command.to, command.out)
        case List():
            return cli_look.list_things(command.what)
        case _:
            return cli_look.download(command.dataset)


if __name__ == "__main__":
    main()
