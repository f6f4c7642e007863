"""Rules for what counts as an event, declared before the run and stored with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from afterfit.parts import part, require


class Streak(NamedTuple):
    """How far a rule has come on the observations seen so far."""

    since: int | None = None
    length: int = 0
    event: int | None = None


@part
class Threshold:
    """The first step from which a measure stays beyond a bound for `sustained` observations in a row.

    Attributes:
        name: what the event is called, such as "generalised".
        measure: the name of the observed measure, such as "test/accuracy".
        at_least: the measure must not be below this.
        at_most: the measure must not be above this.
        sustained: for how many observations in a row; the event's step is the first of them.
    """

    name: str = "generalised"
    measure: str = "test/accuracy"
    at_least: float | None = None
    at_most: float | None = None
    sustained: int = 1

    def check(self) -> None:
        """Refuse a rule without bounds or with bounds that nothing meets, or sustained for no observation."""
        require(self.at_least is not None or self.at_most is not None, "at_least", None, "give at_least or at_most")
        for name in ("at_least", "at_most"):
            bound = getattr(self, name)
            require(bound is None or math.isfinite(bound), name, bound, "must be a finite number")
        if self.at_least is not None and self.at_most is not None:
            right = f"must not be above at_most = {self.at_most}"
            require(self.at_least <= self.at_most, "at_least", self.at_least, right)
        require(self.sustained >= 1, "sustained", self.sustained, "must be 1 or more")

    def advance(self, streak: Streak, step: int, value: float) -> Streak:
        """The streak after one more observation; NaN never satisfies a bound."""
        if streak.event is not None:
            return streak
        above = self.at_least is None or value >= self.at_least
        below = self.at_most is None or value <= self.at_most
        if math.isnan(value) or not (above and below):
            return Streak()
        since, length = (step if streak.since is None else streak.since), streak.length + 1
        return Streak(since, length, since if length >= self.sustained else None)

    def __call__(self, observations: Mapping[str, Sequence[float]]) -> int | None:
        """The step of the event in one member's observations ("step" and the measures, in order), or None."""
        streak = Streak()
        for step, value in zip(observations["step"], observations[self.measure], strict=True):
            streak = self.advance(streak, int(step), float(value))
        return streak.event


MEMORISED = Threshold(name="memorised", measure="train/accuracy", at_least=0.99)
GENERALISED = Threshold(name="generalised", measure="test/accuracy", at_least=0.99)
