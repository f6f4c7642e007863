"""What a watch says of a run: its phase, where its measures are going, when it will get there, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from afterfit.analysis.phases import FEWEST, MAIN, SPREAD, Phase, PhaseRules, Trend, phase_of, trend_of
from afterfit.watch.following import NO_FORECAST
from afterfit.watch.overhead import Overhead

if TYPE_CHECKING:
    from afterfit.analysis.forecast import Prediction
    from afterfit.watch.recorder import Recorder

ADVICE: dict[str, str] = {
    "unknown": "Give training and test data, so that a phase can be told.",
    "fitting": "Keep training: nothing can be said of delayed generalisation before the training set is fitted.",
    "transition": "Keep training: it is generalising now.",
    "generalised": "It has arrived; what still moves is told by the trends.",
    "diverging": "Stop: lower the learning rate, or look for the first observation that is not a number.",
    "collapsed without generalising": (
        "Waiting will not help by itself: the network has collapsed on the training set alone. More data, more weight "
        "decay from the start, or another seed."
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Status:
    """Where a run is and where it is going; printed, it is a paragraph for people.

    Attributes:
        step: of the last observation, or None.
        phase: and the numbers that put it there.
        events: the step of each declared event, None for those that have not come.
        trends: by measure, over the last observations.
        forecast: the prediction at the last observation, or None.
        advice: what to do next.
        overhead: what watching cost.
        problems: what went wrong in observing and tracking, each once.
        no_forecast: why there is no prediction; empty if there is one.
    """

    step: int | None
    phase: Phase
    events: Mapping[str, int | None]
    trends: Mapping[str, Trend]
    forecast: Prediction | None
    advice: str
    overhead: Overhead
    problems: Sequence[str] = ()
    no_forecast: str = NO_FORECAST

    def __str__(self) -> str:
        """The phase, the events, the trends of the main measures, the forecast, what to do next, and the cost."""
        failed = [f"{_capital(problem)}." for problem in self.problems]
        if self.step is None:
            return "\n".join(["Nothing was observed yet.", *failed])
        forecast = f"No forecast: {self.no_forecast}" if self.forecast is None else f"Forecast: {self.forecast}"
        lines = [
            f"Step {self.step:,}, {self.phase}.",
            _events_line(self.events),
            *trend_sentences({MAIN[name]: self.trends[name] for name in MAIN if name in self.trends}),
            f"{forecast}.",
            f"Next: {self.advice}",
            f"{_capital(str(self.overhead))}.",
            *failed,
        ]
        return "\n".join(line for line in lines if line)


def status_of(
    recorder: Recorder,
    rules: PhaseRules,
    forecast: tuple[Prediction | None, str],
    overhead: Overhead,
    problems: Sequence[str],
) -> Status:
    """The status at the last observation.

    Args:
        recorder: what was observed.
        rules: the bounds of the phases, and the window of the trends.
        forecast: the prediction, or None and why there is none.
        overhead: what watching cost.
        problems: observations that failed.
    """
    record = recorder.history.record()
    phase = phase_of(record, rules)
    trends = {
        name: trend_of(record["step"], values, window=rules.window) for name, values in record.items() if name != "step"
    }
    events = {name: recorder.event(name) for name in recorder.rules}
    return Status(
        recorder.last, phase, events, trends, forecast[0], advice_of(phase, trends), overhead, problems, forecast[1]
    )


def advice_of(phase: Phase, trends: Mapping[str, Trend]) -> str:
    """What to do next; of a run that waits, by whether RNC1 or the weight norm still falls."""
    if phase.name != "memorised":
        return ADVICE[phase.name]
    known = {name: trends[name] for name in (SPREAD, "weight_norm") if name in trends}
    falling = [MAIN[name] for name, trend in known.items() if trend.direction == "falling"]
    if falling:
        return f"Keep training: {_listed(falling)} {'is' if len(falling) == 1 else 'are'} still falling."
    if not known or any(trend.direction == "unknown" for trend in known.values()):
        return f"Keep training: whether RNC1 or the weight norm falls is known from {FEWEST} observations on."
    stuck = _listed(MAIN[name] for name in known)
    return (
        f"{_capital(stuck)} {'does' if len(known) == 1 else 'do'} not fall: more weight decay is what usually moves "
        "them; watch.doctor(optimizer) looks for what is in the way."
    )


def trend_sentences(trends: Mapping[str, Trend]) -> list[str]:
    """What rises, what falls and what is flat, a sentence each: by name, from where to where, with Kendall's p."""
    told = [trend for trend in trends.values() if trend.direction != "unknown"]
    if not told:
        return [f"Trends are told from {FEWEST} observations on."] if trends else []
    window = max(trend.n for trend in told)
    lines = []
    for direction, verb in (("rising", "Rising"), ("falling", "Falling"), ("flat", "Flat")):
        parts = [_moved(name, trend) for name, trend in trends.items() if trend.direction == direction]
        if parts:
            lines.append(f"{verb}: {_listed(parts)}.")
    rule = f"Trends over the last {window} observations: rising or falling where Kendall's test has p < 0.05."
    return [*lines, rule]


def _moved(name: str, trend: Trend) -> str:
    return f"{name} {trend.first:.4g} → {trend.last:.4g} (p = {trend.p:.1g})"


def _events_line(events: Mapping[str, int | None]) -> str:
    came = [f"{name} at step {step:,}" for name, step in events.items() if step is not None]
    awaited = [name for name, step in events.items() if step is None]
    if not events:
        return ""
    parts = [_listed(came) if came else "", f"not yet {_listed(awaited, 'or')}" if awaited else ""]
    return f"Events: {'; '.join(filter(None, parts))}."


def _listed(items: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    items = list(items)
    return f" {last} ".join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else "".join(items)


def _capital(text: str) -> str:
    """The text with a capital first; acronyms stay as they are."""
    return text[:1].upper() + text[1:]
