"""The figures of arms as plain marks in plain axes, which the page and the figures for papers draw alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import wording
from .arm_leads import ArmLead, EventLeads
from .arms import ArmOutcome, Block, EventArms
from .curves import Run

SPREAD = 0.56  # how much of the room of an arm its runs take up
MOST_TICKS = 7


@dataclass(frozen=True)
class Axis:
    """What stands at an axis: its label, kind (step, log, linear, arms), its ends and, where they are given, ticks."""

    label: str
    kind: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Mark:
    """What is drawn of one arm in one way, in the order of `text`, which is shown when pointing at it.

    Kinds: band (an area), curve, lost (censored, on a curve), seed (one seed over arms), seen and unseen (one run),
    up (one run that is later than here), estimate (with its interval along `along`), rule (a line without an arm);
    of a forecast also median, truth and upto (a line to the step of the event, or to where it had not come), came.
    """

    kind: str
    group: int | None
    x: Any
    y: Any
    text: Sequence[str] = ()
    low: Any = None
    high: Any = None
    along: str = ""
    name: str = ""


@dataclass(frozen=True)
class Drawing:
    """One panel; what the names of its curves are values of stands in `legend`."""

    kind: str
    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    legend: str = ""


def _stairs(x: np.ndarray, y: np.ndarray, end: float) -> tuple[np.ndarray, np.ndarray]:
    """The corners of a step function with value y from x on, to the end."""
    return np.append(np.repeat(x, 2)[1:], end), np.repeat(y, 2)


def survival(run: Run, found: EventArms, block: Block) -> Drawing:
    """The share of runs without the event, arm by arm, with limits, over the steps."""
    times = [arm.times for each in found.blocks for arm in each.arms]  # one axis for all panels of an event
    seen = np.concatenate([each.time[~each.censored] for each in times])
    end = float(run.positions(max(each.time.max() for each in times)))
    low = min(float(run.positions(seen.min() if len(seen) else end)), end / 10) / 1.4
    marks = [mark for arm in block.arms for mark in _survival_marks(run, block, arm, low)]
    order = {"band": 0, "curve": 1, "lost": 2}
    marks = sorted(marks, key=lambda mark: order[mark.kind])
    legend = block.stratum.label if block.stratum.field else ""
    y = Axis("share of runs without it yet", "linear", -0.03, 1.04)
    return Drawing("survival", "Survival curves", Axis("step", "step", low, end * 1.08), y, tuple(marks), legend)


def _survival_marks(run: Run, block: Block, arm: ArmOutcome, left: float) -> Iterable[Mark]:
    curve, name = arm.curve, arm_name(block, arm.label)
    at, steps = np.append(left, run.positions(curve.time)), np.append(0, curve.time)
    done = len(curve.time) > 0 and curve.survival[-1] == 0
    end = float(at[-1] if done else run.positions(curve.end))
    x, share = _stairs(at, np.append(1.0, curve.survival), end)
    if curve.n > 1:
        lower = _stairs(at, np.append(curve.start[0], curve.low), end)[1]
        upper = _stairs(at, np.append(curve.start[1], curve.high), end)[1]
        yield Mark("band", arm.group, np.append(x, x[::-1]), np.append(upper, lower[::-1]))
    risk = np.append(curve.n, curve.at_risk)
    text = [
        f"{name}\n{100 * s:.0f} % without it from step {t:,.0f} on"
        for s, t in zip([1.0, *curve.survival], steps, strict=True)
    ]
    text[1:] = [
        f"{each}\n{wording.counted(int(n), 'run')} followed until then"
        for each, n in zip(text[1:], risk[1:], strict=True)
    ]
    yield Mark("curve", arm.group, x, share, [each for each in text for _ in range(2)], name=arm.label)
    lost, counts = np.unique(arm.times.time[arm.times.censored], return_counts=True)
    if len(lost):
        said = [
            f"{name}\n{wording.counted(int(n), 'run')} without it at step {t:,.0f}"
            for t, n in zip(lost, counts, strict=True)
        ]
        yield Mark("lost", arm.group, run.positions(lost), np.array([curve.at(t)[0] for t in lost]), said)


def arm_name(block: Block | EventLeads, label: str) -> str:
    """An arm with its field."""
    field = f"{block.stratum.label} " if block.stratum.field else ""
    return f"{field}{label}"


def _happened(block: Block) -> bool:
    return any(arm.times.events for arm in block.arms)


def dose_response(run: Run, found: EventArms, block: Block) -> Drawing | None:
    """Restricted means over the dose, and each seed's own times; None where the field is no dose, or no run had it."""
    if block.trend is None or found.tau <= 0 or not _happened(block):
        return None
    doses = np.array([float(arm.value) for arm in block.arms])
    log = bool(doses.min() > 0 and doses.max() > 10 * doses.min())
    times = np.concatenate([run.positions(arm.times.time) for arm in block.arms])
    means = [arm.mean for arm in block.arms if arm.mean is not None and len(arm.times) > 1]
    # An interval may reach down to almost nothing: a decade below all runs is low enough to see that it does.
    low = max(min(times.min(), *(mean.interval.low for mean in means)), times.min() / 10)
    high = max(times.max(), found.tau)
    pad = max((high / low) ** 0.06, 1.15)
    marks = [
        *_seed_marks(run, block, doses),
        *(_mean_mark(block, arm, low) for arm in block.arms if len(arm.times) > 1),
    ]
    ticks = tuple((dose, wording.number(arm.value)) for dose, arm in zip(doses, block.arms, strict=True))
    ticks = ticks[:: -(-len(ticks) // MOST_TICKS)]
    y = Axis("step", "step", float(low / pad), float(high * pad))
    return Drawing("dose", "Dose–response", _dose_axis(block.stratum.label, doses, log, ticks), y, tuple(marks))


def _dose_axis(label: str, doses: np.ndarray, log: bool, ticks: tuple[tuple[float, str], ...]) -> Axis:
    if log:
        pad = (doses.max() / doses.min()) ** 0.07
        return Axis(label, "log", float(doses.min() / pad), float(doses.max() * pad), ticks)
    pad = 0.07 * float(doses.max() - doses.min())
    return Axis(label, "linear", float(doses.min()) - pad, float(doses.max()) + pad, ticks)


def _seed_marks(run: Run, block: Block, doses: np.ndarray) -> Iterable[Mark]:
    own: dict[Any, list[tuple[float, float]]] = {}
    for arm, dose in zip(block.arms, doses, strict=True):
        at = run.positions(arm.times.time)
        for seed, height in zip(_seeds(arm), at, strict=True):
            own.setdefault(seed, []).append((dose, height))
    for points in own.values():
        x, y = np.array(points).T
        yield Mark("seed", None, x, y)
    for arm, dose in zip(block.arms, doses, strict=True):
        for kind, chosen in (("seen", ~arm.times.censored), ("up", arm.times.censored)):
            if chosen.any():
                what = "at step" if kind == "seen" else "not by step"
                said = [
                    f"{arm_name(block, arm.label)}\nseed {wording.seed_text(seed)}: {what} {time:,.0f}"
                    for seed, time, there in zip(_seeds(arm), arm.times.time, chosen, strict=True)
                    if there
                ]
                yield Mark(kind, arm.group, np.full(chosen.sum(), dose), run.positions(arm.times.time[chosen]), said)


def _seeds(arm: ArmOutcome) -> list[Any]:
    return [] if arm.times.seed is None else arm.times.seed.tolist()


def _mean_mark(block: Block, arm: ArmOutcome, lowest: float) -> Mark:
    mean = arm.mean
    assert mean is not None, "τ is above 0"
    said = f"{arm_name(block, arm.label)}\nmean of the steps to τ: {interval_text(mean.estimate, *mean.interval)}"
    x, y = np.array([float(arm.value)]), np.array([max(mean.estimate, lowest)])
    low, high = (np.array([max(end, lowest)]) for end in mean.interval)
    return Mark("estimate", arm.group, x, y, [said], low, high, "y")


def paired(run: Run, found: EventArms, block: Block) -> Drawing | None:
    """Differences to the reference arm, one a seed, with their mean and its interval; None where no run had it."""
    if not _happened(block):
        return None
    compared = [arm for arm in block.arms if arm.difference is not None and len(arm.difference.values)]
    rows = []
    for arm in compared:
        each = arm.difference
        assert each is not None
        text = [
            f"seed {wording.seed_text(seed)}: {signed(value)} steps"
            for seed, value in zip(each.seeds, each.values, strict=True)
        ]
        estimate = None
        if each.found is not None and each.found.interval is not None:
            estimate = (each.found.estimate, each.found.interval.low, each.found.interval.high)
        rows.append(Row(arm.group, arm.label, each.values, each.sure, text, estimate))
    reference = arm_name(block, block.arms[block.reference].label)
    return _strip("paired", "Paired differences", f"steps later than {reference}", block, rows)


def leads(found: EventLeads) -> Drawing | None:
    """How many steps before the outcome the event came, one mark a run; None where no run had both."""
    rows = [_lead_row(arm) for arm in found.arms]
    return _strip("leads", "Lead times", f"steps before {wording.spelled(found.outcome)}", found, rows)


def _lead_row(arm: ArmLead) -> Row:
    if arm.leads is None:
        return Row(arm.group, arm.label, np.arange(0.0), np.arange(0) > 0, (), None)
    values = arm.leads.leads[np.isfinite(arm.leads.leads)]
    median = arm.leads.median
    finite = math.isfinite(median.estimate)
    estimate = (median.estimate, median.interval.low, median.interval.high) if finite else None
    text = [f"{signed(value)} steps" for value in values]
    return Row(arm.group, arm.label, values, np.ones(len(values), bool), text, estimate)


@dataclass(frozen=True)
class Row:
    """One arm in a strip of runs: its values, and (estimate, low, high)."""

    group: int | None
    label: str
    values: np.ndarray
    sure: np.ndarray
    text: Sequence[str]
    estimate: tuple[float, float, float] | None


def _strip(kind: str, title: str, label: str, block: Block | EventLeads, rows: Sequence[Row]) -> Drawing | None:
    """Arms from top to bottom, their runs spread around their lines; intervals without an end go to the edge."""
    if not any(len(row.values) for row in rows):
        return None
    known = np.concatenate([[0.0], *(row.values for row in rows), *(row.estimate or () for row in rows)])
    known = known[np.isfinite(known)]
    pad = 0.06 * (known.max() - known.min()) or 1.0
    low, high = float(known.min() - pad), float(known.max() + pad)
    marks = [Mark("rule", None, np.array([0.0, 0.0]), np.array([-0.6, len(rows) - 0.4]))]
    for height, row in enumerate(reversed(rows)):
        marks += _row_marks(block, row, height, low, high)
    ticks = tuple((float(height), row.label) for height, row in enumerate(reversed(rows)))
    y = Axis(block.stratum.label if block.stratum.field else "", "arms", -0.6, len(rows) - 0.4, ticks)
    return Drawing(kind, title, Axis(label, "linear", low, high), y, tuple(marks))


def _row_marks(block: Block | EventLeads, row: Row, height: float, low: float, high: float) -> Iterable[Mark]:
    count, name = len(row.values), arm_name(block, row.label)
    y = height + SPREAD * (np.arange(count) / (count - 1) - 0.5 if count > 1 else np.zeros(count))
    for kind, chosen in (("seen", row.sure), ("unseen", ~row.sure)):
        if chosen.any():
            text = [f"{name}\n{said}" for said, there in zip(row.text, chosen, strict=True) if there]
            yield Mark(kind, row.group, row.values[chosen], y[chosen], text)
    if row.estimate is not None:
        said = f"{name}\n{interval_text(*row.estimate)}"
        middle, first, last = (np.clip([end], low, high) for end in row.estimate)
        yield Mark("estimate", row.group, middle, np.array([height]), [said], first, last, "x")


def signed(value: float) -> str:
    """`+1,200`, `−300`, `0`."""
    size = wording.number(round(abs(value)))
    return size if round(value) == 0 else f"{'+' if value > 0 else '−'}{size}"


def interval_text(estimate: float, low: float, high: float) -> str:
    """`1,200 [900, 1,500]`, in whole steps."""
    return f"{step_text(estimate)} [{step_text(low)}, {step_text(high)}]"


def step_text(step: float) -> str:
    """A whole number of steps, or a sign for none."""
    if math.isinf(step):
        return "∞" if step > 0 else "−∞"
    return f"{'−' if round(step) < 0 else ''}{wording.number(round(abs(step)))}"
