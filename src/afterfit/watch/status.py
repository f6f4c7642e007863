"""What a watch says of a run: its phase, where its measures are going, when it will get there, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from afterfit.analysis.phases import Phase, PhaseRules, Trend, phase_of, trend_of
from afterfit.watch.overhead import Overhead

if TYPE_CHECKING:
    from afterfit.watch.recorder import Recorder

NO_FORECAST = (
    "no forecast: none that was calibrated on runs of this kind was given; fit one on earlier runs "
    "(afterfit.analysis.forecast.fit) and give its file as forecast="
)
ADVICE: dict[str, str] = {
    "unknown": "Give training and test data, so that a phase can be told.",
    "fitting": "Keep training: nothing can be said of delayed generalisation before the training set is fitted.",
    "memorised": (
        "Keep training if RNC1 or the weight norm still falls; if both are flat, more weight decay is what moves them."
    ),
    "transition": "Keep training: it is generalising now.",
    "generalised": "It has arrived; what still moves (RNC1, flatness) is told by the trends.",
    "diverging": "Stop: lower the learning rate, or look for the first observation that is not a number.",
    "collapsed without generalising": (
        "Waiting will not help by itself: the classes have collapsed on the training set alone. More data, more weight "
        "decay from the start, or another seed."
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Status:
    """Where a run is and where it is going.

    Attributes:
        step: of the last observation, or None.
        phase: and the numbers that put it there.
        events: the step of each declared event, None for those that have not come.
        trends: by measure, over the last observations.
        forecast: the prediction at the last observation, or None.
        advice: what to do next.
        overhead: what watching cost.
        problems: observations that failed, each reason once.
    """

    step: int | None
    phase: Phase
    events: Mapping[str, int | None]
    trends: Mapping[str, Trend]
    forecast: Any
    advice: str
    overhead: Overhead
    problems: Sequence[str] = ()

    def __str__(self) -> str:
        """A paragraph for people."""
        failed = [f"An observation failed: {problem}" for problem in self.problems]
        if self.step is None:
            return "\n".join(["Nothing was observed yet.", *failed])
        came = [f"{name} at step {step:,}" for name, step in self.events.items() if step is not None]
        awaited = [name for name, step in self.events.items() if step is None]
        lines = [
            f"Step {self.step:,}, {self.phase}.",
            f"Events: {'; '.join(came) or 'none yet'}{f'; not yet {chr(44).join(awaited)}' if awaited else ''}.",
            *(f"  {name}: {trend}" for name, trend in self.trends.items()),
            f"Forecast: {self.forecast if self.forecast is not None else NO_FORECAST}.",
            f"Next: {self.advice}",
            f"{str(self.overhead)[0].upper()}{str(self.overhead)[1:]}.",
            *failed,
        ]
        return "\n".join(lines)


def status_of(
    recorder: Recorder, rules: PhaseRules, forecast: Any, overhead: Overhead, problems: Sequence[str]
) -> Status:
    """The status at the last observation."""
    record = recorder.record()
    phase = phase_of(record, rules)
    trends = {
        name: trend_of(record["step"], values, window=rules.window) for name, values in record.items() if name != "step"
    }
    events = {name: recorder.event(name) for name in recorder.rules}
    last = recorder.steps[-1] if recorder.steps else None
    return Status(last, phase, events, trends, forecast, ADVICE[phase.name], overhead, problems)
