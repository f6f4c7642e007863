"""The written form of parts: plain dictionaries for JSON and TOML, and single fields by dotted path."""

from __future__ import annotations

import dataclasses
import importlib
import typing
from typing import Any, TypeVar

from afterfit import models, tasks
from afterfit.parts import SpecError, alternatives, describe, field_types, nearest
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
        models.MLP,
        models.Transformer,
        losses.CrossEntropy,
        losses.SquaredError,
        optimizers.Adam,
        optimizers.AdamW,
        optimizers.SGD,
        schedules.Every,
        schedules.Logarithmic,
        schedules.Paced,
        events.Threshold,
    )
}


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
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SpecError(field, name, f"cannot be imported ({error}); define it in a module that can") from error
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise SpecError(field, name, "is not a part: decorate its class with afterfit.parts.part")
    return found


def to_dict(part: Any) -> dict[str, Any]:
    """A part as plain values, with its type under "kind"."""
    return {"kind": kind_name(type(part))} | {
        field.name: _plain(getattr(part, field.name)) for field in dataclasses.fields(part)
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def from_dict(written: dict[str, Any]) -> Any:
    """The part that `to_dict` wrote."""
    cls = kind_of(written["kind"])
    return cls(**{name: _read(value) for name, value in written.items() if name != "kind"})


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return from_dict(value)
    return tuple(map(_read, value)) if isinstance(value, list) else value


def replaced(part: P, path: str, value: Any) -> P:
    """The part with one field, named by its dotted path, set to another value.

    A dictionary replaces fields of the part that stands there, or the whole part if it names another "kind". Text is
    read as the field's type wants it, so that values from a command line and from a program mean the same.
    """
    name, _, rest = path.partition(".")
    if not dataclasses.is_dataclass(part) or name not in field_types(type(part)):
        known = field_types(type(part)) if dataclasses.is_dataclass(part) else ()
        raise SpecError(path, value, f"no such field; {nearest(name, known)}" if known else "no such field")
    present = getattr(part, name)
    try:
        if rest:
            changed = replaced(present, rest, value)
        elif isinstance(value, dict):
            changed = _merged(present, value)
        else:
            changed = parsed(value, field_types(type(part))[name], name) if isinstance(value, str) else value
    except SpecError as error:
        raise error.inside(name) if rest or isinstance(value, dict) else error from None
    return dataclasses.replace(part, **{name: changed})  # type: ignore[type-var]


def _merged(present: Any, changes: dict[str, Any]) -> Any:
    kind = changes.get("kind")
    if kind is not None and kind != kind_name(type(present)):
        return from_dict(changes)
    for name, value in changes.items():
        if name != "kind":
            present = replaced(present, name, value)
    return present


def parsed(text: str, hint: Any, field: str) -> Any:
    """Text as a value of an annotation: "0.3", "none", "true", "200,200" for a list."""
    for option in alternatives(hint):
        if option is type(None) and text.lower() in ("none", "null"):
            return None
        if option in (int, float, bool, str):
            value = _scalar(text, option)
            if value is not None:
                return value
        if typing.get_origin(option) is typing.Literal and text in typing.get_args(option):
            return text
        if typing.get_origin(option) is tuple:
            inner = typing.get_args(option)[0]
            return tuple(parsed(item.strip(), inner, field) for item in text.split(",") if item.strip())
    raise SpecError(field, text, f"must be {describe(hint)}")


def _scalar(text: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower())
    try:
        return kind(text)
    except ValueError:
        return None


def leaves_and_fields(part: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Every single field below a part: {dotted path: (annotation, value)}. Lists of parts count as one field."""
    found: dict[str, tuple[Any, Any]] = {}
    for name, hint in field_types(type(part)).items():
        value = getattr(part, name)
        if dataclasses.is_dataclass(value):
            found |= leaves_and_fields(value, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = (hint, value)
    return found
