"""The section on a forecast as the page shows it: a figure an arm, in which a member is chosen, and what was held."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

from . import wording
from .arm_payload import drawing_payload
from .arm_tables import shares
from .arms import varied
from .curves import Run
from .fan_drawings import arm_of, fan_drawing, member_name, span_of
from .fans import CALIBRATED, FITTED, HELD_OUT, Fan, Fans
from .payload import group_label, script_json

MOST = 24  # members of an arm that the page holds, so that a run of hundreds stays a page


def fan_section(run: Run, fans: Fans | None) -> dict[str, Any] | None:
    """What the page says of a forecast; None without one."""
    if fans is None:
        return None
    return {
        "event": fans.forecast.event,
        "introduction": f"{_sentence(str(fans.forecast))} {_reading(fans)}",
        "held": _sentence(f"{held(fans)} {used(fans, fans.members)}"),
        "panels": _panels(run, fans) if fans.members else [],
    }


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _reading(fans: Fans) -> str:
    horizon = fans.forecast.horizon
    dotted = "Dotted is the step itself"
    if math.isfinite(horizon):
        dotted += f", and where it is near enough the horizon, step {wording.number(round(horizon))}"
    return (
        f"The line is the step at which it was expected and the band its {100 * fans.forecast.calibration.level:g} % "
        "prediction interval, seen from each landmark on the horizontal axis; an interval that is open, or reaches far "
        "beyond the runs, goes to the upper edge. The line across is the step at which it came; a dashed one, with an "
        f"arrow, the last at which it had not. {dotted}."
    )


def held(fans: Fans) -> str:
    """How often the intervals held the step in runs that the forecast had not seen."""
    found = fans.coverage
    if found is None:
        return "No held-out run tells whether the intervals hold."
    low, high = found.interval
    seeds = wording.counted(found.n, "held-out seed")
    unknown = f" ({wording.counted(fans.unknown, 'run')} ended before the horizon without it)" if fans.unknown else ""
    return (
        f"the {100 * fans.forecast.calibration.level:g} % intervals held the step at {100 * found.estimate:.0f} % "
        f"{shares(low, high)} of the landmarks, the mean over {seeds}{unknown}; in brackets Wilson's "
        f"{100 * found.level:g} % interval."
    )


def used(fans: Fans, shown: Sequence[Fan]) -> str:
    """Which seeds were used to make the forecast, and so are not counted; those that are shown are grey."""
    counts = [
        f"{wording.counted(len(seeds), 'seed')} to {what}"
        for role, what in ((FITTED, "fit"), (CALIBRATED, "calibrate"))
        if (seeds := fans.seeds(role))
    ]
    grey = "grey" if any(not fan.held_out for fan in shown) else "not shown"
    return f"Used to make it, {grey} and not counted: {wording.listed(counts)}." if counts else ""


def in_order(fans: Sequence[Fan]) -> list[Fan]:
    """Held-out members first, then those used; by seed."""
    return sorted(fans, key=lambda fan: ((HELD_OUT, CALIBRATED, FITTED).index(fan.role), fan.seed))


def _panels(run: Run, fans: Fans) -> list[dict[str, Any]]:
    """One an arm."""
    arms: dict[int, list[Fan]] = {}
    for fan in fans.members:
        arms.setdefault(arm_of(run, fan), []).append(fan)
    return [_panel(run, fans, number, in_order(arm)) for number, arm in sorted(arms.items())]


def _panel(run: Run, fans: Fans, number: int, arm: Sequence[Fan]) -> dict[str, Any]:
    span, shown, new = span_of(arm, fans.forecast.horizon), arm[:MOST], sum(fan.held_out for fan in arm)
    choices = [
        {"name": html.escape(member_name(fan)), **drawing_payload(fan_drawing(run, fans, fan, span))} for fan in shown
    ]
    counted = [f"{wording.counted(len(arm), 'run')}, {new} held out"]
    counted += [f"the first {MOST} can be chosen"] if len(shown) < len(arm) else []
    censored = sum(fan.course.censored for fan in arm)
    return {
        "id": f"forecast-{number}",
        "title": group_label(run.groups[number]) if varied(run) else "all members",
        "names": [member_name(fan) for fan in shown],
        "caption": f"{'; '.join(counted)}; {censored} without the event.",
        "json": script_json({"choices": choices}),
    }
