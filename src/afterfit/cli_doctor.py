"""`afterfit doctor`: what stands in the way of delayed generalisation, of a preset, a TOML file or a run folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from afterfit.cli_options import MemberOptions, given_options, parse, vary_of
from afterfit.parts import require

STYLES = {"warning": "bold red", "note": "yellow", "ok": "green"}


@dataclasses.dataclass(frozen=True)
class DoctorOptions(MemberOptions):
    """Say what stands in the way of delayed generalisation; nothing is trained.

    Attributes:
        strict: Exit with 1 if there is a warning.
    """

    strict: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False


def doctor_command(what: str, arguments: list[str]) -> int:
    """Print the findings; 1 if one is a warning and --strict was given, else 0."""
    from afterfit.lab.diagnose import diagnose, is_folder
    from afterfit.lab.request import resolve

    if is_folder(what):
        given = given_options(arguments)
        for name, values in given:
            right = "a run folder is judged as it is: only --strict goes with it"
            require(name == "strict", f"--{name}", " ".join(values), right)
            require(not values, f"--{name}", " ".join(values), "takes no value")
        found, fails = diagnose(Path(what)), bool(given)
    else:
        options, changes = parse(DoctorOptions, f"doctor {what}", resolve(what).experiment, arguments)
        found = diagnose(what, seeds=options.seeds, vary=vary_of(options.vary), changes=changes)
        fails = options.strict
    _print(found)
    return 1 if fails and found.warnings else 0


def _print(found: Any) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for finding in found:
        text = Text(str(finding))
        text.stylize(STYLES[finding.severity], 0, len(finding.severity))
        console.print(text, soft_wrap=not console.is_terminal)
    console.print(Text(f"{found.summary()}."), soft_wrap=True)
