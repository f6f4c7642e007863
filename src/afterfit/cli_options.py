"""Options of commands that take an experiment: those of the command, and the fields of the experiment."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import tyro

from afterfit.parts import SpecError, alternatives, describe, field_types, nearest, require

Options = TypeVar("Options")
PARTS = (
    "Whole parts are put in by name: --optimizer SGD, --loss SquaredError, --interventions Mixing,NormCap "
    "(see afterfit list)."
)


@dataclasses.dataclass(frozen=True)
class MemberOptions:
    """Which members there are.

    Attributes:
        seeds: How many (4: seeds 0-3), a range (42-46) or a list (1,5,7 or 42,). The preset's own by default.
        vary: A field and its values, such as --vary optimizer.weight_decay 0.3 1.0; may be given more than once, then
            every combination is taken.
    """

    seeds: Annotated[str | None, tyro.conf.arg(metavar="SEEDS")] = None
    vary: Annotated[
        tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="FIELD V [V ...]")
    ] = ()


def parse(kind: type[Options], command: str, experiment: Any, arguments: list[str]) -> tuple[Options, dict[str, Any]]:
    """The command's own options, a dataclass, and the values of the fields that were set, by dotted path.

    Values are read as those of --vary and of TOML files are, and refused in one line. --help tells of both, with the
    docstring of the dataclass, and exits.
    """
    from afterfit.spec.written import leaves_and_fields

    given = given_options(arguments)
    experiment, changes = _with_parts(experiment, given)
    fields = {path: (hint, value) for path, (hint, value) in leaves_and_fields(experiment).items() if _settable(hint)}
    if any(name in ("h", "help") or name.startswith("tyro-") for name, _ in given):
        _help(kind, command, experiment, fields, arguments)
    hints = get_type_hints(kind)
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
    return kind(**options), changes


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


def _help(kind: type, command: str, experiment: Any, fields: dict[str, tuple[Any, Any]], arguments: list[str]) -> None:
    """Print what can be set, and exit."""
    import docstring_parser

    about = docstring_parser.parse(kind.__doc__ or "").short_description
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
            ("options", Annotated[kind, tyro.conf.arg(name="")], kind()),
            ("fields", Annotated[settable, tyro.conf.arg(name=""), tyro.conf.FlagConversionOff], settable()),
        ],
        frozen=True,
    )
    tyro.cli(
        both,
        prog=f"afterfit {command}",
        args=["--help" if argument == "-h" else argument for argument in arguments if argument.startswith("-")],
        description=f"{about} {PARTS}",
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
