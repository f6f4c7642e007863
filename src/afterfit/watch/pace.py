"""When a watch observes next: by its schedule, and no more often than its budget allows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from afterfit.watch.overhead import Overhead


class Schedule(Protocol):
    """When observations are due: `Every`, `Logarithmic`, `Paced`, or anything with this method."""

    def after(self, step: int) -> int:
        """The first step after this one."""
        ...


class Pace:
    """The next step at which an observation is due, and the clock between observations.

    Args:
        schedule: as it was asked for.
        overhead: what observations cost, and what they may.
    """

    def __init__(self, schedule: Schedule, overhead: Overhead):
        self.schedule, self.known = schedule, overhead
        self.begin(0, -1)

    def begin(self, step: int, last: int) -> None:
        """The loop goes on after a step; the last observation was at another, or at none, -1."""
        self.due = 0 if last < 0 else self.schedule.after(last)
        self._restart(max(step, 0))

    def _restart(self, step: int) -> None:
        self.step = step
        self.observed_at = self.called_at = time.monotonic()

    def called(self, step: int) -> bool:
        """The loop is at a step; whether an observation is due."""
        if step < self.step:  # it went back to a checkpoint of its own
            self.due = self.schedule.after(step - 1) if step else 0
            self._restart(step)
        self.called_at = time.monotonic()
        return step >= self.due

    def observing(self, step: int) -> float:
        """An observation begins, at this moment."""
        now = time.monotonic()
        self.known.trained(max(0, step - self.step), now - self.observed_at)
        return now

    def observed(self, step: int, began: float, agreed: Callable[[Overhead], Overhead]) -> None:
        """An observation that began at a moment is over; all ranks agree on what it has cost."""
        now = time.monotonic()
        self.known.observed(now - began)
        self.known = agreed(self.known)
        asked = max(1, self.schedule.after(step) - step)
        self.known.adapt(asked)
        between = self.known.steps_between(asked)
        self.due = self.schedule.after(step) if between <= asked else step + between
        self.step, self.observed_at, self.called_at = step, now, now

    @property
    def overhead(self) -> Overhead:
        """What watching has cost, up to the last call."""
        since = max(0.0, self.called_at - self.observed_at)
        return replace(self.known, training=self.known.training + since)
