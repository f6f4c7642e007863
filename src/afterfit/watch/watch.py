"""`Watch`: the measures, events, phases and forecasts of afterfit inside anybody's own training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterfit.analysis.phases import PhaseRules
from afterfit.parts import SpecError, require
from afterfit.spec import EventRule, Every, Threshold
from afterfit.spec.written import to_dict
from afterfit.views import View
from afterfit.watch.about import about_run
from afterfit.watch.following import Following
from afterfit.watch.measured import Loss, named, of_models, taken
from afterfit.watch.overhead import Overhead
from afterfit.watch.pace import Pace, Schedule
from afterfit.watch.problems import Problems
from afterfit.watch.recorder import Recorder
from afterfit.watch.status import Status, status_of

if TYPE_CHECKING:
    from afterfit.analysis.diagnosis import Diagnosis
    from afterfit.analysis.forecast import Forecast
    from afterfit.watch.trackers import Tracker

DEFAULT_MEASURES = (
    "loss", "accuracy", "nc1", "rnc1", "nc2", "cdnv", "spectral_entropy", "relative_flatness", "softmax_collapse",
    "weight_norm",
)  # fmt: skip


class Observation(dict[str, float]):
    """What the measures gave at one step: {"train/rnc1": 0.21, …}.

    Attributes:
        step: at which.
        events: the declared events that it brought.
    """

    def __init__(self, step: int, values: Mapping[str, float], events: Sequence[str] = ()):
        super().__init__(values)
        self.step, self.events = step, tuple(events)


class Watch:
    """Watches a model that somebody else's code trains.

        watch = afterfit.Watch(model, train=train_loader, test=test_loader, every=200, out="runs/mine")
        for step, batch in enumerate(loader):
            ...                       # your own code
            watch(step)               # observes when due; gives the observation or None
        print(watch.status())

    An observation looks at a fixed few examples of each split, in evaluation mode, without gradients and without
    autocast, and leaves the model's modes, gradients, running statistics and all random numbers as they were. Under
    DistributedDataParallel every rank calls it: each looks at its part of the examples, and rank 0 keeps what was seen.

    Args:
        model: a PyTorch module; None for `observe` with views of your own (JAX, Equinox, Flax, NumPy).
        head: the name of the last linear layer, whose input are the features; by default the one that is called last.
        train: of the training data: a DataLoader, a dataset, a pair of tensors, or batches to be walked.
        test: of held-out data, likewise; without it nobody can tell whether the network generalises.
        every: steps between observations, or a schedule (`afterfit.spec.Logarithmic()`).
        out: a run folder for `afterfit show`, `report` and `export`; the same folder again goes on. None keeps all in
            memory.
        measures: by name, as in an experiment ("rnc1", "spectral_entropy@block2", "nc1[definition=pinv]"); or functions
            by name, whose parameters are named after what a `View` holds.
        layers: names of modules to which measures refer by "@".
        probe: examples of each split that are looked at; tokens, where every token has a label. An observation costs in
            proportion: 512 take about 1 % of the time at every 200 steps, 3 % where a step takes 3 ms. The standard
            error of an accuracy of .99 is then .004.
        budget: share of the run's time that watching may take, such as .03: observations become rarer, then smaller.
        loss: "cross_entropy", "squared_error", or a function of (logits, labels).
        forward: calls the model on a batch, `forward(model, batch)`, where it takes more than one input.
        labels: takes the labels out of a batch, as integers; −100 for places that are not to count.
        events: rules, declared now; by default "memorised" and "generalised" at an accuracy of .99.
        phases: the bounds of the phases; by default those of the events "memorised" and "generalised".
        forecast: a locked forecast (a file's path, or as loaded), whose prediction is shown.
        trackers: told of every observation, see `afterfit.watch.trackers`.
        strict: raise what goes wrong in an observation; by default it is reported once and the training goes on.
        seed: of the choice of examples; and the run's, to tell it from others.
        varied: what differs between your runs, such as {"weight_decay": 0.1}; forecasts may look at it.
        name: of the run.

    Raises:
        SpecError: something does not fit; one line, before any training.
        StoreError: the folder cannot be used; one line.
    """

    def __init__(
        self,
        model: Any = None,
        *,
        head: str | None = None,
        train: Any = None,
        test: Any = None,
        every: int | Schedule = 200,
        out: str | Path | None = None,
        measures: Sequence[str] | Mapping[str, Callable[..., Any]] = DEFAULT_MEASURES,
        layers: Sequence[str] = (),
        probe: int = 512,
        budget: float | None = None,
        loss: str | Loss = "cross_entropy",
        forward: Callable[[Any, Any], Any] | None = None,
        labels: Callable[[Any], Any] | None = None,
        events: Sequence[EventRule] | None = None,
        phases: PhaseRules | None = None,
        forecast: str | Path | Forecast | None = None,
        trackers: Sequence[Tracker] = (),
        strict: bool = False,
        seed: int = 0,
        varied: Mapping[str, Any] | None = None,
        name: str = "watched",
    ):
        require(probe >= 1, "probe", probe, "must be 1 or more")
        require(
            budget is None or 0 < budget < 1, "budget", budget, "must lie between 0 and 1, such as 0.03, or be none"
        )
        self.phases = phases or PhaseRules.declared(map(to_dict, events or ()))
        self.trackers, self.varied = tuple(trackers), dict(varied or {})
        self.loss, self.functions = loss, named(measures, loss)
        self._once = of_models(self.functions)
        self.source = None
        if model is not None:
            from afterfit.watch.torch_source import TorchSource

            self.source = TorchSource(model, head, layers, forward, labels, {"train": train, "test": test}, probe, seed)
        else:
            right = "belongs to a model; without one, give views to observe"
            require(train is None and test is None, "train", type(train).__name__, right)
        overhead = Overhead(budget, self.source.largest if self.source else probe)
        self._pace = Pace(Every(steps=every) if isinstance(every, int) else every, overhead)
        rules = _rules(self.phases) if events is None else events
        self.forecast = _loaded(forecast)
        self._following = Following(self.forecast, self.varied, [rule.name for rule in rules])
        self._problems = Problems(strict)
        self._writes = self.source is None or self.source.rank == 0
        about = about_run(name, type(model).__name__ if model is not None else "views", self.source, measures, probe)
        folder = Path(out) if out is not None and self._writes else None
        self.recorder = Recorder(folder, rules, about, seed, self.varied)
        self.resume(self.recorder.last or 0)

    def __call__(self, step: int, **scalars: float) -> Observation | None:
        """Observe if an observation is due at this step; what was seen, or None.

        Args:
            step: of your loop, never falling.
            scalars: numbers of your own to be kept with it, such as lr=….
        """
        if self.source is None:
            raise SpecError("model", None, "was not given: call observe(step, train=view, test=view)")
        if not self._pace.called(step):
            return None
        return self._timed(step, lambda source: source.views(self._pace.known.probe), scalars)

    def observe(
        self, step: int, *, train: View | None = None, test: View | None = None, **scalars: float
    ) -> Observation | None:
        """Take the measures of views of your own (NumPy, JAX or PyTorch arrays) now, whatever is due."""
        views = {name: view for name, view in (("train", train), ("test", test)) if view is not None}
        right = "or test must be given: afterfit.views.View(...)"
        require(bool(views), "train", None, right)
        return self._timed(step, lambda _: views, scalars)

    def due(self, step: int) -> bool:
        """Whether an observation is due at this step."""
        return step >= self._pace.due

    @property
    def overhead(self) -> Overhead:
        """What watching has cost, up to the last call."""
        return self._pace.overhead

    def status(self) -> Status:
        """Phase, trends, forecast and what to do next, by declared rules, each with its numbers."""
        came = self.recorder.event(self.forecast.event) if self.forecast else None
        predicted = self._following.answer(came)
        return status_of(self.recorder, self.phases, predicted, self.overhead, [*self._problems.known.values()])

    def doctor(self, optimizer: Any = None, planned_steps: float | None = None) -> Diagnosis:
        """Look this loop over for what is known to stand in the way of delayed generalisation; print it to read it.

        Args:
            optimizer: as it is used; without it nothing is said of weight decay.
            planned_steps: of the whole training, against which the clock of weight decay is held.

        Raises:
            SpecError: no PyTorch optimiser, or planned steps not above 0.
        """
        from afterfit.watch.doctor import doctor

        return doctor(self, optimizer, planned_steps)

    def state_dict(self) -> dict[str, Any]:
        """What to keep with your own checkpoint: plain values."""
        return {"step": self.recorder.last, "due": self._pace.due, "probe": self._pace.known.probe}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint of your own: observations later than it are dropped, since they will come again."""
        self.resume(-1 if state["step"] is None else state["step"])
        self._pace.due = state["due"]
        self._pace.known.probe = min(self._pace.known.probe, state["probe"])

    def resume(self, step: int) -> None:
        """Go on after this step of your loop, where no state was kept: later observations are dropped.

        Every rank calls it, as it does all else but `status`.
        """
        self.recorder.forget_after(step)
        self._follow_again()
        last = -1 if self.recorder.last is None else self.recorder.last
        if self.source is not None:  # only rank 0 knows what was observed, and so where a new watch begins
            step, last = self.source.told(step), self.source.told(last)
        self._pace.begin(step, last)

    def close(self, status: str = "finished") -> None:
        """Say that the training has ended, as finished, stopped or diverged, and let the folder go."""
        self.recorder.end(status)
        self._tell(lambda tracker: tracker.close())

    def __enter__(self) -> Watch:
        """The watch itself."""
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        """Close it: as stopped when the loop was left by an exception."""
        self.close("finished" if kind is None else "stopped")

    def _timed(
        self, step: int, views: Callable[[Any], Mapping[str, View]], scalars: Mapping[str, float]
    ) -> Observation | None:
        """An observation, of which the pace learns what it cost; None where something went wrong in it."""
        began, seen = self._pace.observing(step), None
        quiet = self.source.quiet() if self.source else nullcontext()
        with self._problems.told(f"the observation at step {step} failed"), quiet:
            seen = self._observed(step, views(self.source), scalars)
        self._pace.observed(step, began, self.source.agreed if self.source else lambda overhead: overhead)
        return seen

    def _observed(self, step: int, views: Mapping[str, View], scalars: Mapping[str, float]) -> Observation | None:
        if not self._writes:
            return None
        values = taken(views, self.functions, self._once) | {name: float(value) for name, value in scalars.items()}
        self._report_nan(step, values)
        goes_back = self.recorder.last is not None and step <= self.recorder.last
        events = self.recorder.add(step, values)
        if goes_back:
            self._follow_again()
        else:
            self._following.update(step, values)
        self._tell(lambda tracker: tracker.log(values, step))
        return Observation(step, values, events)

    def _report_nan(self, step: int, values: Mapping[str, float]) -> None:
        lost = sorted(name for name, value in values.items() if math.isnan(value))
        if lost:
            text = f"at step {step} these are not numbers, and are kept as that: {', '.join(lost)}"
            self._problems.report("not a number", text)

    def _tell(self, what: Callable[[Tracker], None]) -> None:
        """Tell the trackers; one that fails is reported once, and ends neither the observation nor the training."""
        for tracker in self.trackers if self._writes else ():
            text = f"the tracker {type(tracker).__name__} could not be told"
            with self._problems.told(text, key=f"tracker {id(tracker)}"):
                what(tracker)

    def _follow_again(self) -> None:
        """Show the forecast all that was observed before."""
        self._following.begin()
        for step, values in self.recorder.history:
            self._following.update(step, values)


def _rules(phases: PhaseRules) -> tuple[EventRule, ...]:
    """The events that are declared unless others are, at the bounds of the phases."""
    return (
        Threshold(name="memorised", measure="train/accuracy", at_least=phases.memorised),
        Threshold(name="generalised", measure="test/accuracy", at_least=phases.generalised),
    )


def _loaded(forecast: str | Path | Forecast | None) -> Forecast | None:
    if not isinstance(forecast, str | Path):
        return forecast
    from afterfit.analysis.forecast import Forecast

    try:
        return Forecast.load(forecast)
    except (OSError, ValueError) as error:
        raise SpecError("forecast", str(forecast), f"cannot be used: {error}") from error
