"""`afterfit doctor`: what stands in the way of delayed generalisation, of a preset, a TOML file or a run folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from afterfit.cli_run import RunOptions, given_options, parse, vary_of
from afterfit.parts import require

STYLES = {"warning": "bold red", "note": "yellow", "ok": "green"}


def doctor_command(what: str, arguments: list[str]) -> int:
    """Print the findings; 1 if one is a warning and --strict was given, else 0."""
    from afterfit.lab.diagnose import diagnose, is_folder

    given = given_options(arguments)
    strict = [values for name, values in given if name == "strict"]
    require(not any(strict), "--strict", " ".join(map(" ".join, strict)), "takes no value")
    rest = [word for name, values in given if name != "strict" for word in (f"--{name}", *values)]
    if is_folder(what):
        right = "a run folder is judged as it is: options are for presets and TOML files"
        require(not rest, rest[0] if rest else "", " ".join(rest[1:]), right)
        found = diagnose(Path(what))
    else:
        found = _of_spec(what, rest)
    _print(found)
    return 1 if strict and found.warnings else 0


def _of_spec(preset: str, arguments: list[str]) -> Any:
    from afterfit.lab.diagnose import diagnose
    from afterfit.lab.request import resolve

    options, changes = parse(f"doctor {preset}", resolve(preset).experiment, arguments)
    for field in dataclasses.fields(RunOptions):
        value = getattr(options, field.name)
        right = "is for afterfit run: here nothing is trained"
        require(field.name in ("seeds", "vary") or value == field.default, f"--{field.name}", value, right)
    return diagnose(preset, seeds=options.seeds, vary=vary_of(options.vary), changes=changes)


def _print(found: Any) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for finding in found:
        text = Text(str(finding))
        text.stylize(STYLES[finding.severity], 0, len(finding.severity))
        console.print(text, soft_wrap=not console.is_terminal)
    console.print(Text(f"{found.summary()}."), soft_wrap=True)
