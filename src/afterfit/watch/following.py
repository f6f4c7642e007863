"""A forecast that follows a watched run, as long as it fits: what it was calibrated on must be what it is shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from afterfit.analysis.forecast import Forecast, Prediction
    from afterfit.analysis.forecast_inputs import Memory

NO_FORECAST = (
    "none that was calibrated on runs of this kind was given; fit one on earlier runs (afterfit.analysis.forecast.fit, "
    "see docs/forecasts.md) and give its file as forecast="
)


FAR = 1.0  # standard deviations of the training runs beyond their range: nearer, the prediction carries a warning


class Following:
    """Shows a forecast every observation of a run, and says what it predicts, or why it cannot be relied on.

    Args:
        forecast: the locked forecast; None for none.
        varied: the run's varied fields.
        events: the names of the events that the run declares.
    """

    def __init__(self, forecast: Forecast | None, varied: Mapping[str, Any], events: Collection[str]):
        self.forecast, self.varied = forecast, varied
        self.unfit = NO_FORECAST if forecast is None else _unfit(forecast, varied, events)
        self.begin()

    def begin(self) -> None:
        """Forget what was shown."""
        self._online = None if self.forecast is None or self.unfit else self.forecast.begin(self.varied)
        self._seen: set[str] = set()

    def update(self, step: int, values: Mapping[str, float]) -> None:
        """Show it one observation; one without any measure that it looks at says nothing to it."""
        if not self._online:
            return
        measures = self._online.forecast.model.measures
        self._seen.update(name for name in measures if name in values)
        if not measures or any(name in values for name in measures):
            self._online.update(step, values)

    def answer(self, event: int | None) -> tuple[Prediction | None, str]:
        """The prediction from the last observation; or None, and why there is none.

        Args:
            event: the step at which what is forecast came; None while it has not.
        """
        if self.forecast is None or self._online is None:
            return None, self.unfit or NO_FORECAST
        if event is not None:
            return None, f"{self.forecast.event!r}, which it is about, came at step {event:,}"
        lacking = [name for name in self.forecast.model.measures if name not in self._seen]
        if lacking:
            return None, f"it looks at {', '.join(lacking)}, which is not observed here: name it in measures="
        memory = self._online.memory
        if memory.step < 0:
            return None, "nothing was observed yet"
        outside = _outside(self.forecast.model, memory, self.varied)
        if outside:
            kind = "it was calibrated on runs of another kind, or this one has left them behind"
            return None, f"{outside}: {kind}; fit one on runs like this one"
        return self.forecast.from_memory(memory, self.varied), ""


def _outside(model: Any, memory: Memory, varied: Mapping[str, Any]) -> str | None:
    """What says that a run is not like those that a model was fitted on, or None.

    A regression knows the range of its training runs. Of many measures one or another is a little beyond it in any run;
    what counts is a measure beyond it by more than `FAR` standard deviations, or without a value yet, and a varied
    field beyond it at all. Other models say by themselves why they should not be relied on.
    """
    inputs = getattr(model, "inputs", None)
    if inputs is None:
        return model.warning(memory, varied)
    raw, low, high, scale = (
        np.asarray(each) for each in (inputs.raw(memory, varied), inputs.low, inputs.high, inputs.scale)
    )
    slack = FAR * scale
    measures, fields = len(inputs.measures), len(inputs.fields)
    slack[len(raw) - fields :] = 0.0
    with np.errstate(invalid="ignore"):
        fits = (raw >= low - slack) & (raw <= high + slack)
    names = [*inputs.measures, *inputs.fields]
    far = [name for name, fit in zip(names, [*fits[:measures], *fits[len(raw) - fields :]], strict=True) if not fit]
    return f"{', '.join(far)} {'is' if len(far) == 1 else 'are'} far from what the training runs had" if far else None


def _unfit(forecast: Forecast, varied: Mapping[str, Any], events: Collection[str]) -> str | None:
    """Why a forecast cannot be of a run with these fields and events, or None."""
    from afterfit.analysis.forecast_inputs import field

    if forecast.event not in events:
        return f"it is about {forecast.event!r}, and this run declares {', '.join(events) or 'no event'}"
    for name in forecast.model.fields:
        try:
            field(varied, name)
        except ValueError as error:
            return f"it needs to know {name}: give varied={{{name!r}: …}} ({error})"
    return None
