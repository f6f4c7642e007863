"""The fan of a forecast as plain marks: for one member, when the event was expected, seen from each landmark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from afterfit.analysis.forecast import Prediction

from . import wording
from .arm_drawings import Axis, Drawing, Mark, interval_text
from .arms import varied
from .curves import Run
from .fans import Fan, Fans

FURTHEST, BEYOND = 2.0, 1.15  # times the last step of an arm, or the horizon: what is above goes to the edge
OPEN = 1.2  # times the last step of an arm: so far at least a band goes that is open
PAD = 0.06  # of the range, around it


@dataclass(frozen=True)
class Span:
    """The ends of the axes, in steps: x from which, y for which an event is predicted. Fans of an arm share them.

    Both are linear, unlike those of curves: what is expected is a number of steps still to come, and a fan closes on
    the line of the step itself.
    """

    first: float
    last: float
    low: float
    high: float


def span_of(fans: Sequence[Fan], horizon: float) -> Span:
    """Where landmarks, events and intervals lie; what is far beyond the runs, or the horizon, is cut at the edge."""
    predictions = [each for fan in fans for each in fan.course.predictions]
    times = np.array([fan.course.time for fan in fans])
    last = float(times.max())
    ends = np.array([end if math.isfinite(end) else OPEN * last for each in predictions for end in _ends(each)])
    high = min(max(last, ends.max()), FURTHEST * last, BEYOND * max(horizon, last))
    low = min(times.min(), ends.min(), high / 2)  # small differences are not shown large
    pad, beside = PAD * float(high - low) or 1.0, PAD * last or 1.0
    return Span(-beside / 2, last + beside, float(max(low - pad, 0.0)), float(high + pad))


def group_of(run: Run, fan: Fan) -> int:
    """The number of the group that a member belongs to."""
    position = int(np.flatnonzero(np.asarray(run.observations["member"]) == fan.member)[0])
    found = (n for n, group in enumerate(run.groups) if any(each.position == position for each in group.members))
    return next(found)


def arm_of(run: Run, fan: Fan) -> int:
    """The number of the group of its arm; where nothing was varied, and each seed may have a colour, all are one."""
    return group_of(run, fan) if varied(run) else 0


def fan_drawing(run: Run, fans: Fans, fan: Fan, span: Span) -> Drawing:
    """Median and interval over the step from which they were seen, and when the event came; grey if not held out."""
    x = Axis("predicted at step", "linear", span.first, span.last)
    y = Axis(f"step of {wording.spelled(fans.forecast.event)}", "linear", span.low, span.high)
    marks = (*_rules(fans, span), *_predicted(run, fans, fan, span), *_outcome(fan))
    return Drawing("fan", member_name(fan), x, y, marks)


def member_name(fan: Fan) -> str:
    """A member by its seed and what it was used for."""
    diverged = ", diverged" if fan.diverged else ""
    return f"seed {wording.seed_text(fan.seed)}, {fan.role}{diverged}"


def _ends(each: Prediction) -> tuple[float, float, float]:
    return each.median, each.interval.low, each.interval.high


def _rules(fans: Fans, span: Span) -> Iterator[Mark]:
    """The step itself, below which nothing is still to come, and the horizon where it is near enough."""
    both = np.array([max(span.first, span.low), min(span.last, span.high)])
    yield Mark("rule", None, both, both)
    if fans.forecast.horizon <= span.high:
        yield Mark("rule", None, np.array([span.first, span.last]), np.full(2, fans.forecast.horizon))


def _predicted(run: Run, fans: Fans, fan: Fan, span: Span) -> Iterator[Mark]:
    predictions = fan.course.predictions
    group = group_of(run, fan) if fan.held_out else None
    x = np.array([each.step for each in predictions], dtype=float)
    median, low, high = (np.clip(ends, span.low, span.high) for ends in zip(*map(_ends, predictions), strict=True))
    if len(x) == 1:  # one landmark: a sliver, so that its interval is seen
        x, predictions = x[0] + np.array([0.0, 0.01 * span.last]), predictions * 2
        median, low, high = (np.repeat(each, 2) for each in (median, low, high))
    yield Mark("band", group, np.append(x, x[::-1]), np.append(high, low[::-1]))
    yield Mark("median", group, x, median, [_said(fans, fan, each) for each in predictions])


def _said(fans: Fans, fan: Fan, each: Prediction) -> str:
    level = f"({100 * each.interval.level:g} %)"
    lines = [f"{member_name(fan)}, from step {each.step:,}", f"{interval_text(*_ends(each))} {level}"]
    if math.isfinite(fans.forecast.horizon):
        lines.append(f"not by {wording.number(round(each.horizon))}: {100 * each.p_never:.0f} %")
    return "\n".join(lines + ([each.warning] if each.warning else []))


def _outcome(fan: Fan) -> Iterator[Mark]:
    """A line across to the step of the event; for a run without it, to where it was last seen, with an arrow up."""
    time, line = np.array([fan.course.time]), np.array([0.0, fan.course.time])
    across = np.repeat(time, 2)
    if fan.course.censored:
        yield Mark("upto", None, line, across)
        yield Mark("up", None, time, time, [f"{member_name(fan)}\nnot by step {time[0]:,.0f}"])
    else:
        yield Mark("truth", None, line, across)
        yield Mark("came", None, time, time, [f"{member_name(fan)}\nat step {time[0]:,.0f}"])
