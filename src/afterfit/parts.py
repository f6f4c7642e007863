"""Parts of a specification: frozen dataclasses that refuse wrong values in one line.

A part is data. Its `float` fields are leaves (they may differ between members that train together in one compiled
program); everything else, and every float declared `static`, is structure. Nothing here imports JAX: the engine makes
pytrees of parts when it needs them (see `afterfit.engine.pytree`).
"""

from __future__ import annotations

import dataclasses
import difflib
import numbers
import types
import typing
from collections.abc import Iterable
from functools import cache
from typing import Any, Literal, dataclass_transform

T = typing.TypeVar("T")

LONGEST_VALUE = 200  # characters of a refused value that are shown


class SpecError(ValueError):
    """A value that cannot be used: says the field, the value given and what would be right, in one line."""

    def __init__(self, field: str, value: object, right: str):
        self.field, self.value, self.right = field, value, right
        super().__init__(f"{field} = {_shown(value)}: {right}")

    def __reduce__(self) -> tuple[type[SpecError], tuple[str, object, str]]:
        """Made again from its three parts when it crosses a process."""
        return SpecError, (self.field, self.value, self.right)

    def inside(self, owner: str) -> SpecError:
        """The same error, with the field named from one level further out."""
        return SpecError(f"{owner}.{self.field}", self.value, self.right)


def _shown(value: object) -> str:
    """The value in one line of bounded length."""
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= LONGEST_VALUE else shown[: LONGEST_VALUE - 2] + " …"


def require(condition: bool, field: str, value: object, right: str) -> None:
    """Raise `SpecError(field, value, right)` unless the condition holds."""
    if not condition:
        raise SpecError(field, value, right)


def nearest(name: object, known: Iterable[str]) -> str:
    """One line that names the closest of the known names, or all of them: "did you mean 'x'?"."""
    known = sorted(known)
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"must be one of {', '.join(known)}"


def static(default: Any = dataclasses.MISSING) -> Any:
    """A field on whose floats shapes or data depend: part of the structure, not a leaf."""
    return dataclasses.field(default=default, metadata={"static": True})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(dataclasses.field, static))
def part(cls: type[T]) -> type[T]:
    """Make a class a part: a frozen, keyword-only dataclass whose values are checked against their annotations.

    Whole numbers given for float fields become floats. A class that defines `check(self)` has it called after that, to
    refuse values of the right type that make no sense (by `require`).
    """

    def check_everything(self: Any) -> None:
        for name, hint in field_types(cls).items():
            object.__setattr__(self, name, fitted(getattr(self, name), hint, name))
        if hasattr(self, "check"):
            self.check()

    cls.__post_init__ = check_everything  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


@cache
def field_types(cls: type) -> dict[str, Any]:
    """The resolved annotation of every field of a part, in order."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


@cache
def leaf_names(cls: type) -> tuple[str, ...]:
    """The fields of a part that are leaves, or hold parts that have leaves."""
    return tuple(
        field.name
        for field in dataclasses.fields(cls)
        if not field.metadata.get("static") and _may_hold_leaves(field_types(cls)[field.name])
    )


def _may_hold_leaves(hint: Any) -> bool:
    is_part = dataclasses.is_dataclass(hint) or getattr(hint, "_is_protocol", False)
    return hint is float or is_part or any(map(_may_hold_leaves, typing.get_args(hint)))


def fitted(value: Any, hint: Any, name: str) -> Any:
    """The value as its annotation wants it, or SpecError."""
    for option in alternatives(hint):
        found = _fitted_to_one(value, option, name)
        if found is not NotImplemented:
            return found
    raise SpecError(name, value, f"must be {describe(hint)}")


def _fitted_to_one(value: Any, hint: Any, name: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (float, int):
        return _number(value, hint)
    if origin is Literal:
        return value if any(type(value) is type(word) and value == word for word in arguments) else NotImplemented
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return NotImplemented
        inner = arguments[0] if len(arguments) == 2 and arguments[1] is Ellipsis else None
        if inner is None:
            raise TypeError(f"{name}: a part may hold tuple[T, ...] only, not {hint}")
        return tuple(fitted(item, inner, f"{name}[{index}]") for index, item in enumerate(value))
    if isinstance(origin or hint, type):
        return _instance(value, origin or hint, name)
    return value


def _number(value: Any, kind: type) -> Any:
    """The value as a Python float or int, NumPy's scalars too; NotImplemented if it is none."""
    wanted = numbers.Real if kind is float else numbers.Integral
    if not isinstance(value, wanted) or isinstance(value, bool):
        return NotImplemented
    try:
        return kind(value)
    except OverflowError:  # a whole number beyond every float
        return NotImplemented


def _instance(value: Any, kind: type, name: str) -> Any:
    """The value, if it is of this kind; a part of the user's own is known by its methods, and must be a part."""
    if isinstance(value, type) or not isinstance(value, kind):
        return NotImplemented
    if getattr(kind, "_is_protocol", False) and not dataclasses.is_dataclass(value):
        raise SpecError(name, value, "is not a part: decorate its class with afterfit.parts.part")
    return value


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the one type itself."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if is_union else (hint,)


def describe(hint: Any) -> str:
    """What a value of this annotation is, in words for an error message."""
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        return f"a list, each item {describe(typing.get_args(hint)[0])}"
    options = alternatives(hint)
    if len(options) > 1:
        return " or ".join(map(describe, options))
    return words.get(hint) or getattr(hint, "__name__", str(hint))
