"""What a locked forecast said of every member of a run while it went on, and how often its intervals held the step.

A member whose seed (or whose data) was used to fit or to calibrate the forecast is kept apart: it may be drawn, and is
said to have been used, but no interval is judged by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from afterfit.analysis.evaluation import course_of
from afterfit.analysis.evaluation_curves import Course
from afterfit.analysis.forecast import Forecast
from afterfit.analysis.forecast_runs import Run, runs_of
from afterfit.analysis.proportions import wilson
from afterfit.analysis.results import Quantity

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

LEVEL = 0.95
HELD_OUT, FITTED, CALIBRATED = "held out", "used to fit", "used to calibrate"


@dataclass(frozen=True)
class Fan:
    """One member: what was predicted of it at each landmark, and whether the forecast has seen it.

    Attributes:
        member: its number in the observations.
        seed: its seed.
        role: `HELD_OUT`, `FITTED` or `CALIBRATED`.
        course: the predictions, and when the event came; one that diverged before counts as never having it.
        diverged: whether it did.
    """

    member: int
    seed: int
    role: str
    course: Course
    diverged: bool = False

    @property
    def held_out(self) -> bool:
        """Whether the forecast has not seen its seed."""
        return self.role == HELD_OUT


@dataclass(frozen=True)
class Fans:
    """A forecast over the members of a run.

    Attributes:
        forecast: what was followed.
        members: those of which something was predicted, in the order of the observations.
        coverage: mean over held-out seeds of the share of landmarks at which the interval held the step, or None where
            no such run ended late enough to tell.
        unknown: held-out runs that ended before the horizon without the event: they count where their intervals can
            be told to hold or to miss it all the same.
    """

    forecast: Forecast
    members: tuple[Fan, ...]
    coverage: Quantity | None
    unknown: int

    def seeds(self, *roles: str) -> list[int]:
        """The seeds of these roles, ascending."""
        return sorted({fan.seed for fan in self.members if fan.role in roles})


def fans_of(
    forecast: Forecast,
    observations: xr.Dataset,
    events: pd.DataFrame,
    settings: Mapping[int, Mapping[str, float]] | None = None,
) -> Fans:
    """What a forecast said of the members of a run, at each of its landmarks before the event.

    Args:
        forecast: fitted and calibrated.
        observations: dims (member, step); seed, status and every varied field are coordinates on member.
        events: one row a member, with the columns NAME, NAME_after and NAME_censored for every event NAME.
        settings: by member, numbers of its experiment by dotted field that were not varied, for a forecast that looks
            at them.

    Raises:
        ValueError: the event was not declared, or a measure or field that the forecast looks at is not there.
    """
    runs = [_with(run, (settings or {}).get(run.member, {})) for run in runs_of(observations, events, forecast.event)]
    roles = _roles(forecast, runs)
    lost = _diverged(observations)
    fans = [
        Fan(run.member, run.used.seed, roles[run.used.seed], course_of(forecast, run), run.member in lost)
        for run in runs
    ]
    shown = tuple(fan for fan in fans if fan.course.predictions)
    new = [fan for fan in shown if fan.held_out]
    return Fans(forecast, shown, coverage(new), sum(not fan.course.known for fan in new))


def coverage(fans: Iterable[Fan], *, level: float = LEVEL) -> Quantity | None:
    """How often the intervals held the step: the mean over seeds of the share of landmarks, with Wilson's interval.

    The seed is the unit, since its runs in several arms share split, start and order, and its landmarks the run. The
    interval is that for as many seeds as if each were held at all of its landmarks or at none, which is the widest.
    A landmark of a run that ended before it could be told is left out.
    """
    held: dict[int, list[float]] = {}
    for fan in fans:
        told = fan.course.covered()
        told = told[~np.isnan(told)]
        if len(told):
            held.setdefault(fan.seed, []).append(float(told.mean()))
    if not held:
        return None
    shares, n = [float(np.mean(each)) for each in held.values()], len(held)
    mean = min(float(np.mean(shares)), 1.0)
    return Quantity(mean, wilson(mean, n, level=level), n, n, 0, "mean over seeds of the share of landmarks, Wilson")


def _diverged(observations: xr.Dataset) -> set[int]:
    """The members that diverged."""
    if "status" not in observations.coords:
        return set()
    return set(observations["member"].values[observations["status"].values == "diverged"].tolist())


def _with(run: Run, settings: Mapping[str, float]) -> Run:
    """The run with its settings beside its varied fields, which come first."""
    return replace(run, varied={**settings, **run.varied})


def _roles(forecast: Forecast, runs: Sequence[Run]) -> dict[int, str]:
    """By seed; a run whose data was used under another seed takes its own seed with it."""
    roles = {run.used.seed: HELD_OUT for run in runs}
    for role, used in ((CALIBRATED, forecast.calibrated_on), (FITTED, forecast.fitted_on)):
        seeds, digests = {each.seed for each in used}, {each.digest for each in used}
        roles |= {run.used.seed: role for run in runs if run.used.seed in seeds or run.used.digest in digests}
    return roles
