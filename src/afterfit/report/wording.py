"""How numbers and names are written wherever people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any

NOTHING = "–"


def number(value: Any) -> str:
    """`1,200`, `0.3`, `1e-05`; other values as they read; a dash for what is missing."""
    if value is None or (isinstance(value, Real) and not isinstance(value, Integral) and math.isnan(float(value))):
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if isinstance(value, Integral):
        return f"{int(value):,}"
    value = float(value)
    return f"{value:,.0f}" if abs(value) >= 1e4 and abs(value) < 1e9 else f"{value:.4g}"


def seed_text(seed: Any) -> str:
    """A seed is a name, not a quantity: no separators."""
    return str(int(seed)) if isinstance(seed, int | float) and float(seed).is_integer() else str(seed)


def short_step(step: float) -> str:
    """`500`, `10k`, `2M`: a step as it stands at an axis."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if step >= size:
            return f"{step / size:.4g}{suffix}"
    return f"{step:.4g}"


def accuracy_text(value: float | None) -> str:
    """Three decimals, never rounded up to 1: an accuracy of .9996 is not 1."""
    if value is None or math.isnan(value):
        return NOTHING
    return "1.000" if value >= 1 else f"{min(value, 0.999):.3f}"


def spelled(field: str) -> str:
    """The last part of a dotted field, in words: `optimizer.weight_decay` reads `weight decay`."""
    return field.rsplit(".", 1)[-1].replace("_", " ")


def field_labels(fields: Sequence[str]) -> dict[str, str]:
    """Short names for varied fields; two that would read the same keep their full names."""
    short = [spelled(field) for field in fields]
    return {field: words if short.count(words) == 1 else field for field, words in zip(fields, short, strict=True)}


def listed(items: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    items = list(items)
    return " and ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def counted(count: int, noun: str) -> str:
    """`1 member`, `12 members`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
