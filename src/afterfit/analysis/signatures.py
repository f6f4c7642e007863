"""What a run shows when it does not get where it should: signatures of failure, each by a declared rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .diagnosis import USUAL, Bounds, Finding
from .phases import SPREAD, Phase, PhaseRules, phase_of, trend_of
from .preconditions import absorbed_losses

Record = Mapping[str, np.ndarray]
NC2 = "train/nc2"


def signatures(
    record: Record, rules: PhaseRules | None = None, bounds: Bounds = USUAL, *, ended: bool = False
) -> list[Finding]:
    """What a run's observations say against it, and for it.

    Args:
        record: {"step": (n,), "train/accuracy": (n,), …}; what needs a measure that is missing is not looked at.
        rules: the bounds of the phases; the usual ones if left out.
        bounds: the thresholds.
        ended: whether the run is over.
    """
    rules = rules or PhaseRules()
    phase = phase_of(record, rules)
    found = [_phase(phase, ended)]
    if phase.name == "unknown":
        return found
    losses = _Series.of(record, "train/softmax_collapse")
    if len(losses.values):
        arrived = phase.name == "generalised"
        where = f"the training samples at step {losses.steps[-1]:,.0f}"
        found.append(absorbed_losses(float(losses.values[-1]), where, generalised=arrived, bounds=bounds))
    fitted = _Series.of(record, "train/accuracy")
    reached = fitted.steps[fitted.values >= rules.memorised]
    if not len(reached) or phase.name == "diverging":
        return found
    began = float(reached[0])
    checks = (_order(record, began, rules, bounds), _plateau(record, began, phase, bounds))
    return found + [each for each in (*checks, _norm(record, began, phase, rules, bounds)) if each]


@dataclass(frozen=True)
class _Series:
    """The finite values of one measure and their steps."""

    steps: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, record: Record, name: str, since: float = -np.inf) -> _Series:
        values = np.asarray(record.get(name, ()), float)
        steps = np.asarray(record["step"], float)[: len(values)]
        kept = np.isfinite(values) & (steps >= since)
        return cls(steps[kept], values[kept])


def _phase(phase: Phase, ended: bool) -> Finding:
    rule = "the phases, see afterfit.analysis.phases"
    if phase.name == "diverging":
        change = "lower the learning rate or warm it up, clip gradients, or look for the first value that is no number"
        return Finding("phase", "warning", str(phase), rule, change)
    if phase.name == "collapsed without generalising":
        change = (
            "waiting will not help by itself: more training data, more weight decay from the start, another model; "
        )
        change += "collapse of the training features is not generalisation"
        return Finding(
            "phase", "warning", str(phase), rule, change, "Truong et al. 2026, MLP control (entropy .76 → .15)"
        )
    if ended and phase.name in ("fitting", "memorised", "transition"):
        change = "more steps, or what the other findings name: it ended before it generalised"
        return Finding("phase", "warning", f"over while {phase}", rule, change)
    if phase.name in ("fitting", "unknown"):
        change = "keep training, or raise the learning rate or the width: nothing is delayed before the fit"
        change = change if phase.name == "fitting" else "give training and test data with accuracy among the measures"
        return Finding("phase", "note", str(phase), rule, change)
    return Finding("phase", "ok", str(phase), rule)


def _order(record: Record, began: float, rules: PhaseRules, bounds: Bounds) -> Finding | None:
    """Whether test accuracy rose before RNC1 fell: then it was not the spread of the classes that did it."""
    test, spread = _Series.of(record, "test/accuracy", began), _Series.of(record, SPREAD, began)
    if not len(test.values) or not len(spread.values):
        return None
    start, best = float(test.values[0]), float(test.values.max())
    rule = (
        f"after memorising, if test accuracy rises by {bounds.rise:g} or more: RNC1 is halved at most one observation "
    )
    rule += "after test accuracy is halfway up"
    source = "Sakamoto & Sato 2025, section 4.1 and figure 9"
    if start >= rules.generalised:
        found = f"test accuracy was {start:.3f} when the training set was fitted: nothing was delayed"
        return Finding("what came first", "note", found, rule, source=source)
    if best - start < bounds.rise:
        return None
    risen = float(test.steps[test.values >= (start + best) / 2][0])
    halved = spread.steps[spread.values <= spread.values[0] / 2]
    found = f"test accuracy was halfway from {start:.3f} to {best:.3f} at step {risen:,.0f}; RNC1 was halved "
    found += f"at step {halved[0]:,.0f}" if len(halved) else f"at no step (now {spread.values[-1]:.3g})"
    if len(halved) and np.sum((spread.steps > risen) & (spread.steps <= halved[0])) <= 1:
        return Finding("what came first", "ok", found, rule, source=source)
    change = (
        "nothing, but do not read RNC1 as the cause here: NC1, NC2 and CDNV tell whether the classes separated first"
    )
    return Finding("what came first", "note", f"{found}{_separation(record, began, risen)}", rule, change, source)


def _separation(record: Record, began: float, risen: float) -> str:
    """NC2 from memorising to the rise."""
    means = _Series.of(record, NC2, began)
    before = means.values[means.steps <= risen]
    if not len(before):
        return "; NC2 was not observed"
    return f"; NC2 went from {before[0]:.3g} to {before[-1]:.3g} by then (1: class means orthogonal and equally long)"


def _plateau(record: Record, began: float, phase: Phase, bounds: Bounds) -> Finding | None:
    """Whether RNC1 stands still without having collapsed."""
    spread = _Series.of(record, SPREAD)
    late = _Series.of(record, SPREAD, began)
    rule = f"once twice the steps of memorising are over, with {bounds.fewest} observations since: RNC1 at most "
    rule += f"{bounds.collapsed:g} or {bounds.plateau:g} of its largest value, or changing by {_percent(bounds.still)} "
    rule += "or more over the second half of the time since memorising"
    if len(late.values) < bounds.fewest or late.steps[-1] < 2 * began:
        return None
    change = _change(late, since=(began + float(late.steps[-1])) / 2)
    share = float(late.values[-1] / spread.values.max())
    found = f"RNC1 is {late.values[-1]:.3g}, {_percent(share)} of its largest value, and changed by {_percent(change)} "
    found += f"over the second half of the steps since {began:,.0f}"
    source = "Sakamoto & Sato 2025, figures 3 and 9"
    if share <= bounds.plateau or late.values[-1] <= bounds.collapsed or abs(change) >= bounds.still:
        return Finding("RNC1", "ok", found, rule, source=source)
    if phase.name in ("generalised", "transition"):
        remedy = "nothing: this network generalises without collapse, as some architectures do"
        return Finding("RNC1", "note", f"{found}: it stands still", rule, remedy, source)
    remedy = "more weight decay (it sets the clock of RNC1), or another architecture: some do not collapse"
    return Finding("RNC1", "warning", f"{found}: it stands still", rule, remedy, source)


def _norm(record: Record, began: float, phase: Phase, rules: PhaseRules, bounds: Bounds) -> Finding | None:
    """Whether the weight norm still grows after memorising."""
    norm = _Series.of(record, "weight_norm", began)
    if len(norm.values) < bounds.fewest:
        return None
    trend = trend_of(norm.steps, norm.values, window=rules.window)
    growth = trend.last / trend.first - 1 if trend.first else 0.0
    rule = f"after memorising, not rising over the last {rules.window} observations (Kendall's p < 0.05) by "
    rule += f"more than {_percent(bounds.growth)}"
    found = f"weight norm {trend.first:.4g} → {trend.last:.4g} over {trend.n} observations (p = {trend.p:.1g})"
    source = "Truong et al. 2026 (norm expansion comes before the collapse)"
    if trend.direction != "rising" or growth <= bounds.growth or phase.name == "generalised":
        return Finding("weight norm", "ok", found, rule, source=source)
    change = "wait until it turns, or raise weight decay: the decay does not balance the gradient yet"
    return Finding("weight norm", "note" if phase.name == "transition" else "warning", found, rule, change, source)


def _change(series: _Series, since: float) -> float:
    """Relative change from a step to the end: Theil & Sen's slope times the time, over the median."""
    from scipy.stats import theilslopes

    kept = series.steps >= since
    steps, values = series.steps[kept], series.values[kept]
    middle = float(np.median(values))
    if len(steps) < 2 or middle == 0:
        return 0.0
    slope = float(np.asarray(theilslopes(values, steps)[0]))
    return slope * float(steps[-1] - steps[0]) / middle


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
