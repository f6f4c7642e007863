"""The section on arms as the page shows it: for each event its figures, its table, and what was tested, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from afterfit.analysis.results import Quantity

from . import wording
from .arm_comparisons import DRAWS, SIGNIFICANT, Answer, Difference
from .arm_drawings import Drawing, dose_response, interval_text, paired, signed, step_text, survival
from .arm_payload import drawing_payload
from .arms import ArmOutcome, Block, EventArms, arm_events, varied
from .curves import Run
from .payload import script_json


def arm_section(run: Run) -> dict[str, Any] | None:
    """What the page says of the arms; None where a run has none to compare."""
    events = arm_events(run)
    if not events:
        return None
    found = [_event(run, i, event) for i, event in enumerate(events)]
    return {"introduction": _introduction(run), "events": found, "draws": f"{DRAWS:,}"}


def _introduction(run: Run) -> str:
    labels = wording.field_labels(fields := varied(run))
    first, *others = (labels[field] for field in fields)
    within = f" at fixed {wording.listed(others)}" if others else ""
    return f"Arms differ in {first}{within}; seeds are what is repeated within an arm."


def _event(run: Run, number: int, found: EventArms) -> dict[str, Any]:
    blocks = [_block(run, f"arms-{number}-{i}", found, block) for i, block in enumerate(found.blocks)]
    return {"name": found.event, "blocks": blocks, "notes": [_horizon(found), *found.notes, *_holm(found)]}


def _horizon(found: EventArms) -> str:
    tau = f"τ = {step_text(found.tau)} steps"
    if found.tau <= 0:
        return f"{tau}: a run was followed no further, so there are no means."
    if found.complete:
        return f"{tau}, the last step of the run: every run had the event, so the means are of its own steps."
    return f"{tau}: the step to which every run was followed or had the event before; later counts as τ."


def _holm(found: EventArms) -> Iterator[str]:
    """How many comparisons were adjusted for, and whether that left any of them a chance."""
    compared = [arm.difference for block in found.blocks for arm in block.arms if arm.difference is not None]
    tested = [each for each in compared if each.p is not None]
    if not tested:
        return
    yield f"Holm's p is for {wording.counted(len(tested), 'comparison')} of this event."
    least = len(tested) * 2 / 2 ** max(len(each.values) for each in tested)
    if least > SIGNIFICANT:
        yield f"With so few seeds for so many comparisons it could not be below {least:.2g}."


def _block(run: Run, name: str, found: EventArms, block: Block) -> dict[str, Any]:
    drawings = [survival(run, found, block), dose_response(run, found, block), paired(run, found, block)]
    panels = [panel_of(f"{name}-{each.kind}", each, _caption(each, found, block)) for each in drawings if each]
    reference = block.arms[block.reference].label
    return {
        "fixed": block.stratum.fixed,
        "field": block.stratum.label,
        "reference": f"{block.stratum.label} {reference}" if block.stratum.field else reference,
        "panels": panels,
        "rows": [_row(arm, block) for arm in block.arms],
        "differ": _differ(block.differ),
        "trend": _trend(block),
    }


def panel_of(name: str, drawing: Drawing, caption: str) -> dict[str, Any]:
    """A figure of the page."""
    payload = script_json(drawing_payload(drawing))
    return {"id": name, "kind": drawing.kind, "title": drawing.title, "caption": caption, "json": payload}


def _caption(drawing: Drawing, found: EventArms, block: Block) -> str:
    runs = sum(len(arm.times) for arm in block.arms)
    censored = runs - sum(arm.times.events for arm in block.arms)
    counted = f"n = {runs:,}, {censored:,} censored."
    if drawing.kind == "survival":
        return (
            "Kaplan–Meier: the share of runs in which it had not happened yet, with pointwise 95 % limits; ticks are "
            f"runs that were last seen without it. {counted}"
        )
    if drawing.kind == "dose":
        return (
            "Mean of the steps, later ones counted as τ, with 95 % intervals. Faint lines are seeds; an arrow stands "
            f"where a run was last seen without it. {counted}"
        )
    return (
        f"Steps (at most τ) less those of {block.arms[block.reference].label} with the same seed, and their mean with "
        "its 95 % interval; an open mark rests on a run without the event by τ."
    )


def _row(arm: ArmOutcome, block: Block) -> dict[str, Any]:
    times, censored = arm.times, len(arm.times) - arm.times.events
    mean = wording.NOTHING if arm.mean is None else _quantity(arm.mean)
    return {
        "label": arm.label,
        "group": arm.group,
        "counts": [f"{len(times):,}", f"{times.events:,}", f"{censored:,}"],
        "median": _median(arm),
        "mean": mean,
        "difference": _difference(arm.difference),
    }


def _quantity(quantity: Quantity) -> str:
    if quantity.warning:
        return f"{step_text(quantity.estimate)}, {quantity.warning}"
    return interval_text(quantity.estimate, *quantity.interval)


def _median(arm: ArmOutcome) -> str:
    median = arm.curve.quantile()
    if median.interval.low == float("inf"):
        return "not reached"
    middle = "not reached" if median.estimate == float("inf") else step_text(median.estimate)
    return f"{middle} [{step_text(median.interval.low)}, {step_text(median.interval.high)}]"


def _difference(difference: Difference | None) -> dict[str, Any]:
    """Cells: the difference with its interval, p, and Holm's p; words take the place of what is not known."""
    if difference is None:
        return {"reference": True}
    pairs = len(difference.values)
    few = f"{wording.counted(pairs, 'seed')}: too few" if difference.p is None and pairs else ""
    adjusted = "" if difference.adjusted is None else p_text(difference.adjusted)
    p = "" if difference.p is None else p_text(difference.p)
    if difference.found is None or difference.found.interval is None:
        return {"reference": False, "words": difference.words, "p": p, "adjusted": adjusted, "few": few}
    low, high = difference.found.interval
    bounded = f"[{_end(low)}, {_end(high)}]"
    text = f"{signed(difference.found.estimate)} {bounded}, {pairs} seeds"
    if low == high:
        text = f"{signed(difference.found.estimate)} in each of {pairs} seeds"
    return {"reference": False, "words": text, "p": p, "adjusted": adjusted, "few": few}


def _end(value: float) -> str:
    return signed(value) if abs(value) != float("inf") else step_text(value)


def p_text(p: float) -> str:
    """Two digits."""
    return f"{p:.2f}" if p >= 0.1 else f"{p:.2g}"


def _differ(answer: Answer) -> str:
    if answer.found is None:
        return f"Do the arms differ at all? Not tested: {answer.words}."
    random = ", all rearrangements" if "from all" in answer.found.method else f", {DRAWS:,} random rearrangements"
    return f"Do the arms differ at all? Log-rank p = {p_text(answer.found.p)}{random}, without regard to seeds."


def _trend(block: Block) -> str:
    if block.trend is None:
        return ""
    found = block.trend.found
    if found is None:
        return f"{block.trend.words[:1].upper()}{block.trend.words[1:]}."
    between = "" if found.interval is None else f" {shares(*found.interval)}"
    return (
        f"Of two runs with different {block.stratum.label}, the one with the higher value had it later in "
        f"{100 * found.estimate:.0f} %{between} of all pairs (unknown order counts half); Jonckheere–Terpstra trend "
        f"p = {p_text(found.p)}, without regard to seeds."
    )


def shares(low: float, high: float) -> str:
    """An interval of shares, in percent."""
    return f"[{100 * low:.0f} %, {100 * high:.0f} %]"
