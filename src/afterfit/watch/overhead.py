"""Keeps a watch within a share of the run's time: fewer observations, of fewer examples, as the clock demands."""

from __future__ import annotations

import math
from dataclasses import dataclass

SMALLEST_PROBE = 256  # examples: below, measures of classes say little
REMEMBERED = 0.7  # weight of what is known already against the last observation's cost
MOST_OWED = 10  # times the usual distance, for what earlier observations took too much
BLIND_SECONDS = 30.0  # that may go by without an observation in any case, to make up for it
MOST_STRETCH = 8  # how many times rarer than asked observations become before fewer examples are looked at


@dataclass
class Overhead:
    """What watching costs, and how often and at how much it looks so that the cost keeps within a budget.

    Attributes:
        budget: share of the run's time, such as .03; None for as often as was asked.
        probe: examples of a split that are looked at.
        training: seconds that went by outside observations.
        watching: seconds that observations took.
        observations: taken.
        cost: seconds of one observation, a running mean.
        step_seconds: seconds of one of the user's steps, a running mean.
    """

    budget: float | None
    probe: int
    training: float = 0.0
    watching: float = 0.0
    observations: int = 0
    cost: float = 0.0
    step_seconds: float = 0.0

    @property
    def share(self) -> float:
        """Of the run's time, spent watching so far."""
        total = self.training + self.watching
        return self.watching / total if total else 0.0

    def trained(self, steps: int, seconds: float) -> None:
        """The user's loop went on for so many steps and seconds."""
        self.training += seconds
        if steps > 0:
            each = seconds / steps
            known = self.step_seconds or each
            self.step_seconds = REMEMBERED * known + (1 - REMEMBERED) * each

    def observed(self, seconds: float) -> None:
        """An observation took so many seconds. The first one, which may compile or fill caches, teaches nothing."""
        self.watching += seconds
        self.observations += 1
        if self.observations == 2 or not self.cost:
            self.cost = seconds
        else:
            self.cost = REMEMBERED * self.cost + (1 - REMEMBERED) * seconds

    def steps_between(self, asked: int) -> int:
        """How many steps to the next observation, at least as many as were asked for.

        So many that after it all observations together keep within the budget. One that was dear beyond measure, such
        as a first one that compiles, is made up for over several: nothing is seen for half a minute at most, or for ten
        times as long as an observation of the usual cost asks for.
        """
        if self.budget is None or not self.step_seconds or not self.observations:
            return asked
        all_with_the_next = (self.watching + self.cost) * (1 / self.budget - 1)
        needed = (all_with_the_next - self.training) / self.step_seconds
        most = max((1 if self.observations == 1 else MOST_OWED) * self._fitting, BLIND_SECONDS / self.step_seconds)
        return max(asked, math.ceil(min(needed, most)))

    @property
    def _fitting(self) -> float:
        """Steps between observations of the usual cost that keep within the budget."""
        return self.cost * (1 / self.budget - 1) / self.step_seconds if self.budget else 0.0

    def adapt(self, asked: int) -> bool:
        """Look at half as many examples when observations would become much rarer than asked; whether that was so."""
        if self.budget is None or not self.step_seconds or self.observations < 2 or self.probe <= SMALLEST_PROBE:
            return False
        if self._fitting <= MOST_STRETCH * asked:
            return False
        self.probe = max(SMALLEST_PROBE, self.probe // 2)
        self.cost /= 2
        return True

    def __str__(self) -> str:
        """One line."""
        budget = "" if self.budget is None else f" (budget {100 * self.budget:.3g} %)"
        return (
            f"watching took {100 * self.share:.3g} % of the time{budget}: {self.observations:,} "
            f"observation{'' if self.observations == 1 else 's'} of up to "
            f"{self.probe:,} examples a split, {1_000 * self.cost:.3g} ms each"
        )
