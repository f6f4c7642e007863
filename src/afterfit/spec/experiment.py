"""`Experiment`: all that decides what one member does, but for its seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from afterfit.interventions import Intervention
from afterfit.models import Model
from afterfit.parts import SpecError, nearest, part, require, static
from afterfit.spec.events import GENERALISED, MEMORISED, EventRule
from afterfit.spec.losses import CrossEntropy, SquaredError, StableMaxCrossEntropy
from afterfit.spec.optimizers import SGD, Adam, AdamW
from afterfit.spec.schedules import Every, Logarithmic, Paced
from afterfit.tasks import Task

DEFAULT_MEASURES = (
    "loss",
    "accuracy",
    "nc1",
    "rnc1",
    "nc2",
    "cdnv",
    "within_class_variance",
    "between_class_variance",
    "spectral_entropy",
    "relative_flatness",
    "relative_flatness_bound",
    "weight_norm",
)


@part
class Minibatch:
    """Which training examples a step sees.

    Attributes:
        size: examples a step; none for all of them.
        order: "shuffled": a new random order each epoch, what does not fill a last minibatch is left out;
            "replacement": drawn independently at each step.
    """

    size: int | None = 512
    order: Literal["shuffled", "replacement"] = "shuffled"

    def check(self) -> None:
        """Refuse an empty minibatch."""
        require(self.size is None or self.size >= 1, "size", self.size, "must be 1 or more, or none for the full batch")


@part
class Experiment:
    """One training run, all but its seed.

    Attributes:
        task: what is learned.
        model: what learns.
        loss: what is minimised.
        optimizer: how parameters move.
        minibatch: which examples a step sees.
        steps: optimiser steps at most.
        schedule: at which steps the measures are taken.
        measures: what is taken, on train and on test; `name@layer` reads another layer than the penultimate,
            `name[option=value]` has another option of the measure's function than the usual.
        probe: the measures other than loss and accuracy see this many examples of each split, the same ones at every
            step; none for all.
        events: rules, declared before the run and stored with it.
        stop_when: a member is done once this event has happened; none to train for all the steps.
        patience: steps to go on after that.
        snapshots: steps at which the parameters are kept, each at the first observation from it on. Those at a member's
            end are kept in any case.
        interventions: what is changed while training; they compose in this order.
        matched: makes the arm a control of its interventions. "norm": with them, but the norm of all parameters follows
            the paired baseline (equal seed, no interventions) at every step. "learning_rate": every step is as long as
            the baseline's. "schedule": only their rates and projections, without penalties and other changes.
            "random_direction": every change in a random direction, of the same size.
    """

    task: Task = static()  # members of a group share its table
    model: Model
    loss: CrossEntropy | SquaredError | StableMaxCrossEntropy = CrossEntropy()
    optimizer: AdamW | Adam | SGD = AdamW()
    minibatch: Minibatch = Minibatch()
    steps: int = 10_000
    schedule: Every | Logarithmic | Paced = Every()
    measures: tuple[str, ...] = DEFAULT_MEASURES
    probe: int | None = None
    events: tuple[EventRule, ...] = (MEMORISED, GENERALISED)
    stop_when: str | None = None
    patience: int = 0
    snapshots: tuple[int, ...] = ()
    interventions: tuple[Intervention, ...] = ()
    matched: Literal["norm", "learning_rate", "schedule", "random_direction"] | None = None

    def check(self) -> None:
        """Refuse what does not fit together."""
        require(self.steps >= 1, "steps", self.steps, "must be 1 or more")
        require(self.probe is None or self.probe >= 1, "probe", self.probe, "must be 1 or more, or none for all")
        require(self.patience >= 0, "patience", self.patience, "must be 0 or more")
        require(all(step >= 0 for step in self.snapshots), "snapshots", self.snapshots, "must all be 0 or more")
        names = [rule.name for rule in self.events]
        require(len(set(names)) == len(names), "events", names, "must have different names")
        self._check_awaited("stop_when", self.stop_when)
        for index, each in enumerate(self.interventions):
            self._check_awaited(f"interventions.{index}.when.after", each.when.after)
        right = "is a control of interventions, and there are none"
        require(self.matched is None or bool(self.interventions), "matched", self.matched, right)
        for rule in self.events:
            base = rule.measure.rpartition("/")[2]
            require(base in self.measures, f"events.{rule.name}.measure", rule.measure, "must be among the measures")

    def _check_awaited(self, field: str, event: str | None) -> None:
        """Refuse to wait for an event that is not declared, or is known only at the end of a run."""
        rules = {rule.name: rule for rule in self.events}
        if event is None:
            return
        if event not in rules:
            raise SpecError(field, event, nearest(event, rules) if rules else "needs an event")
        text = f"is a {type(rules[event]).__name__}, known only at the end of a run: a rule that can stop one is needed"
        require(getattr(rules[event], "ends_runs", True), field, event, text)

    def observed_after(self, step: int) -> int:
        """The next step at which the measures are taken; the last step always is one."""
        return min(self.schedule.after(step), self.steps)

    def observed_steps(self, until: int) -> Iterator[int]:
        """All steps at which the measures are taken, from 0 up to a step."""
        step = 0
        while step <= until:
            yield step
            if step >= self.steps:
                return
            step = self.observed_after(step)

    def snapshot_steps(self) -> list[int]:
        """The observed steps at which the parameters are kept."""
        return sorted({self.observed_after(step - 1) if step else 0 for step in self.snapshots})

    def check_sizes(self) -> None:
        """Refuse a minibatch larger than the training set. Apart from `check`: a task may have to look at its files."""
        train, _ = self.task.sizes()
        size = self.minibatch.size
        right = f"must be at most the {train} training examples, or none for the full batch"
        require(size is None or size <= train, "minibatch.size", size, right)
