"""How good a forecast is, on runs that it has not seen: the run is the unit of everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .evaluation_curves import AlarmPoint, Course, RocCurve, alarm, roc
from .forecast import at_landmarks
from .forecast_inputs import memories
from .forecast_predictions import Forecast
from .forecast_runs import Run, gathered, select
from .proportions import fractional_order_interval, share
from .results import Interval, Quantity, number

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a forecast was on runs that it had not seen.

    Attributes:
        courses: what was predicted, by run.
        error: median over runs with the event of their median |T̂ - T|/T over landmarks.
        last_error: the same at the last landmark before the event.
        coverage: mean over runs of the share of landmarks at which the interval held the time; of all runs of which
            that is known, those without the event among them.
        width: median over runs with the event of their median interval width / T; infinite when open.
        first_lead: median over these runs of the lead T - t at which the error was first below the tolerance.
        steady_lead: the same from which on it stayed below.
        tolerance: for both.
        level: nominal, of the forecast's intervals.
        unknown: runs that ended before the horizon without the event.
    """

    courses: tuple[Course, ...]
    error: Quantity | None
    last_error: Quantity | None
    coverage: Quantity | None
    width: Quantity | None
    first_lead: Quantity | None
    steady_lead: Quantity | None
    tolerance: float
    level: float
    unknown: int

    @property
    def n(self) -> int:
        """Runs."""
        return len(self.courses)

    @property
    def events(self) -> int:
        """Runs in which the event came by the horizon."""
        return sum(not course.censored for course in self.courses)

    def table(self) -> pandas.DataFrame:
        """One row a run and landmark."""
        import pandas as pd

        rows = [
            {
                "member": course.run.member,
                "seed": course.run.used.seed,
                "step": each.step,
                "time": course.time,
                "censored": course.censored,
                "median": each.median,
                "low": each.interval.low,
                "high": each.interval.high,
                "p_never": each.p_never,
                "covered": covered,
            }
            for course in self.courses
            for each, covered in zip(course.predictions, course.covered(), strict=True)
        ]
        return pd.DataFrame(rows)

    def error_at(self, lead: float, *, level: float = 0.95) -> Quantity:
        """Median over runs of |T̂ - T|/T at the last landmark that lay at least `lead` steps before the event.

        Raises:
            ValueError: no run was followed for so long before the event.
        """
        found = [course.errors[course.leads >= lead] for course in self.courses if not course.censored]
        values = np.array([each[-1] for each in found if len(each)])
        if not len(values):
            raise ValueError(f"no run has a landmark {lead:g} steps before the event")
        return _median(values, f"median relative error {number(lead)} steps before", level, least=0.0)

    def coverage_by_step(self, *, level: float = 0.95) -> dict[int, Quantity]:
        """At each landmark the share of runs, still without the event, whose interval held the time."""
        held: dict[int, list[float]] = {}
        for course in self.courses:
            for each, covered in zip(course.predictions, course.covered(), strict=True):
                if not np.isnan(covered):
                    held.setdefault(each.step, []).append(covered)
        return {step: share(int(sum(each)), len(each), level=level) for step, each in sorted(held.items())}

    def roc(self, within: float, *, level: float = 0.95, draws: int = 999, seed: int = 0) -> RocCurve:
        """How well the forecast tells whether the event comes within so many steps.

        All landmarks of all runs, ranked by the model's probability; a landmark of a run that ended before it could be
        told is left out. The interval of the area is that of whole runs resampled: landmarks of one run are not
        independent.

        Raises:
            ValueError: at all landmarks the event came, or at none.
        """
        return roc(self.courses, within, level=level, draws=draws, seed=seed)

    def alarms(
        self, within: float, thresholds: Sequence[float] = (0.1, 0.25, 0.5, 0.75, 0.9), *, level: float = 0.95
    ) -> list[AlarmPoint]:
        """Lead against false alarms: an alarm is raised when P(event within so many steps) first reaches a threshold.

        Raises:
            ValueError: none of the runs had the event.
        """
        return [alarm(self.courses, within, threshold, level=level) for threshold in thresholds]

    def __str__(self) -> str:
        shown = {
            "error": self.error,
            "last error": self.last_error,
            f"coverage (nominal {100 * self.level:g} %)": self.coverage,
            "width": self.width,
            f"lead at {100 * self.tolerance:g} % error": self.steady_lead,
        }
        parts = [f"{name} {number(each.estimate)} {each.interval}" for name, each in shown.items() if each is not None]
        return f"{self.n} runs, {self.n - self.events} without the event: {'; '.join(parts)}"


def evaluate(
    forecast: Forecast,
    observations: Any,
    events: pandas.DataFrame | None = None,
    *,
    seeds: Sequence[int] | None = None,
    by: Literal["seed", "run"] = "seed",
    tolerance: float = 0.2,
    level: float = 0.95,
    diverged: Literal["never", "censored"] = "never",
) -> Evaluation:
    """How good a forecast is, on runs that it was neither fitted nor calibrated on.

    It is judged at its landmarks: every step at which it was calibrated, as long as a run is still without the event.
    Runs that never have the event count: their intervals must reach beyond the horizon, and alarms in them are false.
    Intervals of medians are from fractional order statistics over runs; that of the coverage is Clopper and Pearson's
    for as many runs, as if each were held at all its landmarks or at none, which is the widest.

    Args:
        forecast: what is judged.
        observations: an opened run folder, or its observations.
        events: the table of events; of the runs unless given.
        seeds: on which to judge; all unless given.
        by: what must be new. "seed": no run may share its seed with one that was used, whatever else differs, since
            runs of one seed share their data split, start and order. "run": the same seed with other varied fields, or
            of another experiment, will do. Data that was used is refused in any case, by its SHA-256.
        tolerance: of the relative error, for leads.
        level: of the intervals of what is found.
        diverged: what a run that diverged counts as, see `runs_of`.

    Raises:
        ValueError: a run that was used, no run, or none with a landmark.

    Source: Truong et al. 2026 for |T̂ - T|/T and the lead at 20 %; Hutson 1999; Clopper & Pearson 1934.
    """
    runs = gathered(observations, events, forecast.event, diverged)
    runs = runs if seeds is None else select(runs, seeds)
    if by not in ("seed", "run"):
        raise ValueError(f"by must be 'seed' or 'run', not {by!r}")
    for run in runs:
        _refuse(forecast, run, by)
    courses = tuple(each for run in runs if (each := course_of(forecast, run)).predictions)
    if not courses:
        raise ValueError(f"none of {len(runs)} runs was observed at a landmark of the forecast before the event")
    happened = [course for course in courses if not course.censored]
    held = [float(np.nanmean(each)) for course in courses if not np.isnan(each := course.covered()).all()]
    leads = [_leads(course, tolerance) for course in happened]

    def over(values: list[float], what: str, least: float = 0.0) -> Quantity | None:
        return _median(np.array(values), what, level, least=least) if values else None

    return Evaluation(
        courses,
        over([float(np.median(course.errors)) for course in happened], "median relative error"),
        over([float(course.errors[-1]) for course in happened], "median relative error at the last landmark"),
        _coverage(held, level),
        over([_width(course) for course in happened], "median width / T"),
        over([first for first, _ in leads], f"median lead, error first below {tolerance:g}", -np.inf),
        over([steady for _, steady in leads], f"median lead, error below {tolerance:g} from there on", -np.inf),
        tolerance,
        forecast.calibration.level,
        sum(not course.known for course in courses),
    )


def _refuse(forecast: Forecast, run: Run, by: str) -> None:
    same = {
        "data": run.used.digest in {used.digest for used in forecast.used},
        "seed": by == "seed" and run.used.seed in {used.seed for used in forecast.used},
        "run": run.used.identity in {used.identity for used in forecast.used},
    }
    found = [name for name, there in same.items() if there]
    if found:
        what = "it was" if found[0] == "run" else f"its {found[0]} was"
        who = f"member {run.member} (seed {run.used.seed})"
        raise ValueError(f"{who}: {what} used to fit or calibrate this forecast; judge it on other seeds")


def course_of(forecast: Forecast, run: Run) -> Course:
    """What was predicted of one run at each landmark of the forecast, whether or not the forecast has seen the run."""
    later = run.time >= forecast.horizon and (run.censored or run.time > forecast.horizon)
    time = min(run.time, forecast.horizon)
    landmarks = forecast.calibration.landmarks
    if landmarks:
        seen = [memory for _, memory in at_landmarks(forecast.model, run, landmarks)]
    else:
        every = memories(run, forecast.model.measures, forecast.model.window)
        seen = [memory for memory in every if memory.step < run.time]
    predictions = [forecast.from_memory(memory, run.varied) for memory in seen if memory.step < time]
    return Course(run, time, later or not run.censored, later or run.censored, predictions)


def _leads(course: Course, tolerance: float) -> tuple[float, float]:
    """The lead at which the error was first, and from which on it was always, below; -inf if at none."""
    good = course.errors < tolerance
    if not good.any():
        return -np.inf, -np.inf
    bad = np.flatnonzero(~good)
    from_there = bad[-1] + 1 if len(bad) else 0
    steady = float(course.leads[from_there]) if from_there < len(good) else -np.inf
    return float(course.leads[np.argmax(good)]), steady


def _width(course: Course) -> float:
    return float(np.median([(each.interval.high - each.interval.low) / course.time for each in course.predictions]))


def _median(values: np.ndarray, what: str, level: float, *, least: float = -np.inf) -> Quantity:
    """Over runs; of an even number of which some are infinite the upper one. No value can be below `least`."""
    middle = float(np.quantile(values, 0.5, method="linear" if np.isfinite(values).all() else "higher"))
    found = fractional_order_interval(values, 0.5, level)
    interval = Interval(max(found.low, least), found.high, level)
    return Quantity(middle, interval, len(values), len(values), 0, f"{what}, fractional order statistics")


def _coverage(held: list[float], level: float) -> Quantity | None:
    if not held:
        return None
    n, total = len(held), float(np.sum(held))
    found = share(min(total, n), n, level=level)  # type: ignore[arg-type]
    return Quantity(total / n, found.interval, n, n, 0, "mean over runs of the share of landmarks, Clopper–Pearson")
