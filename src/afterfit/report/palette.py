"""Colours of groups of members, for light and for dark paper, told apart by readers with any colour vision.

Ordered values (numbers) take evenly spaced colours of viridis, cut where it would fade into the paper; names take the
colours of Okabe & Ito 2008.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any

VIRIDIS = (
    "#440154", "#481467", "#482576", "#453781", "#404688", "#39558c", "#33638d", "#2d718e", "#287d8e", "#238a8d",
    "#1f968b", "#20a386", "#29af7f", "#3dbc74", "#56c667", "#75d054", "#95d840", "#bade28", "#dde318", "#fde725",
)  # fmt: skip
LIGHT_SPAN, DARK_SPAN = (0.0, 0.85), (0.3, 1.0)
NAMED_ON_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#555555")
NAMED_ON_DARK = ("#4aa3df", "#f0793a", "#1fc795", "#dd8fb9", "#7cc7f2", "#f0b429", "#bbbbbb")


@dataclass(frozen=True)
class Colour:
    """One colour as it is used on light and on dark paper."""

    light: str
    dark: str


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def viridis(fraction: float) -> str:
    """The colour at a fraction of the map, linear between its samples."""
    at = min(max(fraction, 0.0), 1.0) * (len(VIRIDIS) - 1)
    index = min(int(at), len(VIRIDIS) - 2)
    low, high = list(pairwise(VIRIDIS))[index]
    mixed = (a + (b - a) * (at - index) for a, b in zip(_channels(low), _channels(high), strict=True))
    return "#" + "".join(f"{round(channel):02x}" for channel in mixed)


def _spaced(count: int, span: tuple[float, float]) -> list[str]:
    low, high = span
    return [viridis(low + (high - low) * (i / (count - 1) if count > 1 else 0.35)) for i in range(count)]


def is_ordered(values: Sequence[Any]) -> bool:
    """Whether values are numbers, whose order means something; True and False are names."""
    return all(isinstance(value, Real) and not isinstance(value, bool) for value in values)


def colours(values: Sequence[Any], *, ordered: bool) -> list[Colour]:
    """One colour a value, in the order given."""
    count = len(values)
    if not ordered and count <= len(NAMED_ON_LIGHT):
        return [Colour(*pair) for pair in zip(NAMED_ON_LIGHT[:count], NAMED_ON_DARK[:count], strict=True)]
    return [Colour(*pair) for pair in zip(_spaced(count, LIGHT_SPAN), _spaced(count, DARK_SPAN), strict=True)]
