"""At which steps the measures are taken. Step 0 and the last step are always observed."""

from __future__ import annotations

import math
from itertools import pairwise

from afterfit.parts import part, require


@part
class Every:
    """An observation every so many steps.

    Attributes:
        steps: the distance between observations.
    """

    steps: int = 100

    def check(self) -> None:
        """Refuse a distance below one step."""
        require(self.steps >= 1, "steps", self.steps, "must be 1 or more")

    def after(self, step: int) -> int:
        """The first observed step after this one."""
        return (step // self.steps + 1) * self.steps


@part
class Logarithmic:
    """Observations evenly spread over the logarithm of the step.

    Attributes:
        per_decade: observations from one power of ten to the next.
    """

    per_decade: int = 20

    def check(self) -> None:
        """Refuse a density below one a decade."""
        require(self.per_decade >= 1, "per_decade", self.per_decade, "must be 1 or more")

    def after(self, step: int) -> int:
        """The first observed step after this one: the rounded powers 10^(i / per_decade)."""
        index = math.floor(self.per_decade * math.log10(max(step, 1))) - 1
        while (candidate := round(10 ** (index / self.per_decade))) <= step:
            index += 1
        return candidate


@part
class Paced:
    """Dense at first, sparser later: `every[i]` steps apart up to the step `until[i]`, then the last of `every`.

    Sakamoto & Sato 2025: `until=(30, 150), every=(1, 10, 666)`.

    Attributes:
        until: ends of the stretches, rising; one fewer than `every`.
        every: distance between observations in each stretch, and after the last.
    """

    until: tuple[int, ...] = (30, 150)
    every: tuple[int, ...] = (1, 10, 666)

    def check(self) -> None:
        """Refuse stretches that do not rise, or distances that are missing."""
        rising = all(a < b for a, b in pairwise((0, *self.until)))
        require(rising, "until", self.until, "must rise from above 0")
        require(len(self.every) == len(self.until) + 1, "every", self.every, "needs one value more than `until`")
        require(all(distance >= 1 for distance in self.every), "every", self.every, "must all be 1 or more")

    def after(self, step: int) -> int:
        """The first observed step after this one."""
        start = 0
        for end, distance in zip((*self.until, None), self.every, strict=True):
            if end is None or step < end:
                following = start + ((step - start) // distance + 1) * distance
                return following if end is None else min(following, end)
            start = end
        raise AssertionError("the last stretch has no end")
