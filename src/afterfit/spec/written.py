"""The written form of parts: plain dictionaries for JSON and TOML, and single fields by dotted path."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, TypeVar

from afterfit import interventions, models, tasks
from afterfit.parts import SpecError, alternatives, describe, field_types, fitted, nearest, require
from afterfit.spec import events, experiment, losses, optimizers, schedules

P = TypeVar("P")

KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        experiment.Experiment,
        experiment.Minibatch,
        tasks.GaussianMixture,
        tasks.Images,
        tasks.ModularArithmetic,
        tasks.PermutationComposition,
        tasks.SparseParity,
        *interventions.KINDS,
        interventions.When,
        *models.KINDS,
        losses.CrossEntropy,
        losses.SquaredError,
        losses.StableMaxCrossEntropy,
        optimizers.Adam,
        optimizers.AdamW,
        optimizers.SGD,
        schedules.Every,
        schedules.Logarithmic,
        schedules.Paced,
        events.ChangePoint,
        events.Drop,
        events.LargestSlope,
        events.Threshold,
    )
}

# What is meant where a person names no kind, and more than one would do.
USUAL: dict[Any, str] = {events.EventRule: "Threshold"}


def kind_name(cls: type) -> str:
    """The name of a part's type in writing: its own for afterfit's, "module:Name" for others."""
    return cls.__name__ if KINDS.get(cls.__name__) is cls else f"{cls.__module__}:{cls.__qualname__}"


def kind_of(name: str, field: str = "kind") -> type:
    """The type of a written name. Names of the form "module:Name" import the module: only from the user's own hand."""
    module, colon, attribute = name.partition(":")
    if not colon:
        if name not in KINDS:
            raise SpecError(field, name, nearest(name, KINDS))
        return KINDS[name]
    try:
        found = attrgetter(attribute)(importlib.import_module(module))
    except (ImportError, AttributeError, ValueError) as error:
        raise SpecError(field, name, f"cannot be imported ({error}); define it in a module that can") from error
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise SpecError(field, name, "is not a part: decorate its class with afterfit.parts.part")
    return found


def to_dict(part: Any) -> dict[str, Any]:
    """A part as plain values, with its type under "kind"."""
    return {"kind": kind_name(type(part))} | {
        field.name: plain(getattr(part, field.name)) for field in dataclasses.fields(part)
    }


def plain(value: Any) -> Any:
    """A value of a part as JSON has it: parts as dictionaries, tuples as lists."""
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def from_dict(written: Mapping[str, Any], *, by_hand: bool = False) -> Any:
    """The part that `to_dict` wrote.

    Args:
        written: values by field, and the type under "kind". Fields that are not there have their defaults.
        by_hand: a person wrote it: text is read as the field's type wants it, and a part in which only some fields are
            to differ from the default needs no "kind".
    """
    if not isinstance(written.get("kind"), str):
        raise SpecError("kind", written.get("kind"), "must name what it is, such as 'MLP'")
    cls = kind_of(written["kind"])
    values = {name: value for name, value in written.items() if name != "kind"}
    defaults = _defaults(cls, values)
    if by_hand:
        hints = field_types(cls)
        return cls(**{name: _by_hand(value, hints[name], defaults[name], name) for name, value in values.items()})
    return cls(**{name: _read(value) for name, value in values.items()})


def _defaults(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """What each field of a part starts from; refuses values for fields that are not there, and fields left out."""
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    for name, value in values.items():
        if name not in defaults:
            raise SpecError(name, value, f"no such field of {cls.__name__}; {nearest(name, defaults)}")
    for field in dataclasses.fields(cls):
        if field.name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise SpecError(field.name, None, f"must be given for {cls.__name__}")
    return defaults


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return from_dict(value)
    return tuple(map(_read, value)) if isinstance(value, list) else value


def replaced(part: P, path: str, value: Any) -> P:
    """The part with one field, named by its dotted path, set to another value: see `changed`."""
    return changed(part, {path: value})


def changed(part: P, changes: Mapping[str, Any]) -> P:
    """The part with fields, named by their dotted paths, set to other values, all at once.

    What the values must be in common is checked for the outcome only, not on the way to it. A dictionary changes fields
    of the part that stands there, or puts another one in its place if it names another "kind". Text is read as the
    field's type wants it, so that values from a command line and from a program mean the same.
    """
    if isinstance(part, tuple):
        return _changed_items(part, changes)
    by_field: dict[str, list[tuple[str, Any]]] = {}
    for path, value in changes.items():
        name, _, rest = path.partition(".")
        _require_field(part, name, path, value)
        by_field.setdefault(name, []).append((rest, value))
    new = {}
    for name, entries in by_field.items():
        new[name] = getattr(part, name)
        for value in (value for rest, value in entries if not rest):
            new[name] = _by_hand(value, field_types(type(part))[name], new[name], name)
        deeper = {rest: value for rest, value in entries if rest}
        if deeper:
            new[name] = _inside(name, changed, new[name], deeper)
    return dataclasses.replace(part, **new)  # type: ignore[type-var]


def _changed_items(parts: tuple[Any, ...], changes: Mapping[str, Any]) -> Any:
    """A list of parts with fields of its items, "0.strength", set to other values."""
    new = list(parts)
    for path, value in changes.items():
        item, _, rest = path.partition(".")
        place = _place(parts, item, path, value)
        require(bool(rest), path, value, "give a field of the item, such as 0.strength, or the whole list")
        new[place] = _inside(item, changed, new[place], {rest: value})
    return tuple(new)


def _place(parts: tuple[Any, ...], item: str, path: str, value: Any) -> int:
    known = [str(place) for place in range(len(parts))]
    right = f"no such item; must begin with {' or '.join(known)}" if known else "there are no items"
    require(item in known and dataclasses.is_dataclass(parts[int(item)]), path, value, right)
    return int(item)


def held(part: Any, path: str, value: Any) -> Any:
    """A value as the field with this dotted path would hold it, in plain form, whatever stands in other fields."""
    name, _, rest = path.partition(".")
    if isinstance(part, tuple):
        return _inside(name, held, part[_place(part, name, path, value)], rest, value)
    _require_field(part, name, path, value)
    if rest:
        return _inside(name, held, getattr(part, name), rest, value)
    hint = field_types(type(part))[name]
    return plain(fitted(_by_hand(value, hint, getattr(part, name), name), hint, name))


def _inside(name: str, function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except SpecError as error:
        raise error.inside(name) from None


def _require_field(part: Any, name: str, path: str, value: Any) -> None:
    """Refuse a field that is not there, with the nearest one, be it further down."""
    if not dataclasses.is_dataclass(part):
        raise SpecError(path, value, "no such field")
    own = field_types(type(part))
    if name not in own:
        everywhere = nearest(path, {*own, *leaves_and_fields(part)})
        raise SpecError(path, value, f"no such field; {everywhere if '?' in everywhere else nearest(name, own)}")


def _by_hand(value: Any, hint: Any, present: Any, name: str) -> Any:
    """A value that a person wrote for a field in which `present` stands."""
    if isinstance(value, str):
        return parsed(value, hint, name)
    if isinstance(value, Mapping):
        return _inside(name, _part_by_hand, value, hint, present)
    lists = [option for option in alternatives(hint) if typing.get_origin(option) is tuple]
    if isinstance(value, list | tuple) and lists:
        items = typing.get_args(lists[0])[0]
        return tuple(_by_hand(item, items, None, f"{name}[{index}]") for index, item in enumerate(value))
    return value


def _part_by_hand(written: Mapping[str, Any], hint: Any, present: Any) -> Any:
    own_kind = kind_name(type(present)) if dataclasses.is_dataclass(present) else None
    if own_kind and written.get("kind", own_kind) == own_kind:
        return changed(present, {name: value for name, value in written.items() if name != "kind"})
    options = [option for option in alternatives(hint) if isinstance(option, type)]
    if "kind" not in written and len(options) == 1 and dataclasses.is_dataclass(options[0]):
        written = {**written, "kind": kind_name(options[0])}
    if "kind" not in written and hint in USUAL:
        written = {**written, "kind": USUAL[hint]}
    return from_dict(written, by_hand=True)


def parsed(text: str, hint: Any, field: str) -> Any:
    """Text as a value of an annotation: "0.3", "none", "true", "200,200" for a list, "SGD" for such a part."""
    if type(None) in alternatives(hint) and text.lower() in ("none", "null"):
        return None
    for option in alternatives(hint):
        if option in (int, float, bool, str):
            value = _scalar(text, option)
            if value is not None:
                return value
        if typing.get_origin(option) is typing.Literal and text in typing.get_args(option):
            return text
        if typing.get_origin(option) is tuple:
            inner = typing.get_args(option)[0]
            return tuple(parsed(item.strip(), inner, field) for item in text.split(",") if item.strip())
    fitting = kinds_of(hint)
    if fitting and (text in fitting or ":" in text):
        return _inside(field, from_dict, {"kind": text})
    raise SpecError(field, text, nearest(text, fitting) if fitting else f"must be {describe(hint)}")


def kinds_of(hint: Any) -> list[str]:
    """The names of afterfit's parts that a field with this annotation can hold."""
    options = tuple(option for option in alternatives(hint) if isinstance(option, type))
    return [name for name, kind in KINDS.items() if options and issubclass(kind, options)]


def _scalar(text: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower())
    try:
        return kind(text)
    except ValueError:
        return None


def leaves_and_fields(part: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Every single field below a part: {dotted path: (annotation, value)}; lists of parts as one field too."""
    found: dict[str, tuple[Any, Any]] = {}
    for name, hint in field_types(type(part)).items():
        value = getattr(part, name)
        if dataclasses.is_dataclass(value):
            found |= leaves_and_fields(value, f"{path}{name}.")
            continue
        if isinstance(value, tuple):
            for place, item in enumerate(value):
                found |= leaves_and_fields(item, f"{path}{name}.{place}.") if dataclasses.is_dataclass(item) else {}
        found[f"{path}{name}"] = (hint, value)
    return found
