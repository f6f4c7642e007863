"""What is timed: three set-ups, each a preset, with data made here so that nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from afterfit.spec import Experiment
from afterfit.spec.presets import preset
from afterfit.spec.written import changed
from afterfit.tasks import Images, Table

GUARD_STEPS = 10  # steps after which all versions must have come to the same loss
GUARD_ROWS = 512  # training examples that this loss is taken over, at most


@dataclass(frozen=True)
class Case:
    """One set-up.

    Attributes:
        title: in words.
        short: in few words.
        preset: where its experiment comes from.
        changes: what differs from the preset, by dotted field.
        members: the largest ensemble that is timed by default.
        floor: how many times faster than PyTorch eager the ensemble has to be at least.
    """

    title: str
    short: str
    preset: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    members: int = 4
    floor: float = 0.0

    def experiment(self) -> Experiment:
        """The preset's experiment with the changes."""
        return changed(preset(self.preset).experiment, self.changes)


CASES: Mapping[str, Case] = {
    "minibatch": Case(
        "1-layer transformer, (a, b, =) mod 97, minibatch 512",
        "minibatch",
        "modular-addition",
        {"task.sequence": "equals"},
        floor=6.0,
    ),
    "full-batch": Case(
        "the same transformer, full batch of 4,704",
        "full batch",
        "modular-addition",
        {"task.sequence": "equals", "task.train_fraction": 0.5, "minibatch.size": None},
        floor=6.0,
    ),
    "mlp": Case("MLP 784-200-200-200-10, minibatch 100", "MLP", "sakamoto-2025", floor=3.4),
}


def table_of(experiment: Experiment) -> Table:
    """The task's table; for images, random numbers of the right shape."""
    if not isinstance(experiment.task, Images):
        return experiment.task.table()
    rng, rows = np.random.default_rng(0), sum(experiment.task.sizes())
    inputs = rng.standard_normal((rows, 28, 28, 1), np.float32)
    return Table(inputs, rng.integers(0, 10, rows, np.int32), 10)


@dataclass(frozen=True)
class Reference:
    """Where every version of a case begins, and what it must do with it first. Plain arrays, for any framework.

    Attributes:
        weights: initial parameters by name; matrices as (out, in).
        inputs: the training examples.
        labels: their classes.
        batches: for each of the first steps, the training examples it sees: (GUARD_STEPS, n).
    """

    weights: dict[str, np.ndarray]
    inputs: np.ndarray
    labels: np.ndarray
    batches: np.ndarray

    @property
    def guarded(self) -> tuple[np.ndarray, np.ndarray]:
        """The examples over which the loss is compared."""
        return self.inputs[:GUARD_ROWS], self.labels[:GUARD_ROWS]

    def save(self, path: str) -> None:
        """Write all arrays to one file."""
        named: dict[str, Any] = {f"weights/{name}": value for name, value in self.weights.items()}
        np.savez(path, inputs=self.inputs, labels=self.labels, batches=self.batches, **named)

    @classmethod
    def load(cls, path: str) -> Reference:
        """Read what `save` wrote."""
        with np.load(path) as file:
            weights = {name.partition("/")[2]: file[name] for name in file.files if name.startswith("weights/")}
            return cls(weights, file["inputs"], file["labels"], file["batches"])
