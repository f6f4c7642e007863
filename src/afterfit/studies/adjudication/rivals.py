"""The rival explanations: which measures stand side by side, which way each must go, and when it is said to have gone.

One rule serves all of them. Every measure is put as a positive quantity that is claimed to fall before or with
generalisation: a variance within classes, a curvature, a number of directions that features use, a norm, a loss. Its
event is the first observation at which it is less than 1/factor of the largest value that it has had so far.

Why this rule: a fall by a factor has no unit, so it asks the same of a loss and of a norm; it looks back only, so it
neither knows when a run is cut nor what comes after, and cutting a run at its jump changes nothing; and it was written
down before any run. What it does not do: a fall by half is a small thing for a collapse that goes over four orders of
magnitude and a large one for a norm. So other factors are a choice of the study under which all is judged again, and so
is the count from memorisation, which leaves out what falls while the network only fits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from afterfit.analysis.rules import first_drop
from afterfit.spec import Experiment, SquaredError

ENTROPY = "spectral_entropy"
ELAPSED = "elapsed"
NORM = "weight_norm"
# Factor by which a measure must fall, and from when on its largest value counts.
RULES: Mapping[str, tuple[float, str]] = {
    "halved": (2.0, "start"),
    "down to 4/5": (1.25, "start"),
    "quartered": (4.0, "start"),
    "halved since memorised": (2.0, "memorised"),
}


@dataclass(frozen=True)
class Rival:
    """One explanation.

    Attributes:
        name: of the measure in tables.
        label: for readers.
        family: what kind of explanation it is: a colour in the figures.
        column: of the observations; None for what is not observed.
        squared_error: the column under squared error, where it is another.
    """

    name: str
    label: str
    family: str
    column: str | None
    squared_error: str | None = None

    def column_of(self, experiment: Experiment) -> str | None:
        """The column that holds this measure in runs of an experiment."""
        if self.squared_error and isinstance(experiment.loss, SquaredError):
            return self.squared_error
        return self.column


RIVALS = (
    Rival("rnc1", "RNC1", "collapse", "train/rnc1"),
    Rival("nc1", "NC1", "collapse", "train/nc1"),
    Rival("cdnv", "CDNV", "collapse", "train/cdnv"),
    Rival(
        "relative_flatness",
        "relative flatness κ",
        "flatness",
        "train/relative_flatness",
        "train/relative_flatness[loss=squared_error]",
    ),
    Rival("relative_flatness_bound", "published bound of κ", "flatness", "train/relative_flatness_bound"),
    Rival(ENTROPY, "spectral entropy", "entropy", "train/spectral_entropy"),
    Rival(NORM, "weight norm", "baseline", "weight_norm"),
    Rival("loss", "train loss", "baseline", "train/loss"),
    Rival(ELAPSED, "steps elapsed alone", "baseline", None),
)
MEASURED = tuple(rival for rival in RIVALS if rival.column)
BY_NAME = {rival.name: rival for rival in RIVALS}


def measures_of(experiment: Experiment) -> tuple[str, ...]:
    """What is taken while training, so that every rival has its column."""
    columns = [rival.column_of(experiment) for rival in MEASURED]
    names = [column.removeprefix("train/") for column in columns if column]
    return tuple(dict.fromkeys(("loss", "accuracy", *names)))


def features_of(experiment: Experiment) -> int:
    """d, the number of features that the head reads."""
    model = experiment.model
    return int(model.widths[-1] if hasattr(model, "widths") else model.width)  # type: ignore[attr-defined]


def as_quantity(rival: Rival, values: np.ndarray, experiment: Experiment) -> np.ndarray:
    """The measure as a positive quantity: itself, but for the entropy H̃ = log k / log d the k directions it stands for.

    A normalised entropy is a logarithm already: halving it would mean to take the root of the number of directions.
    """
    return features_of(experiment) ** values if rival.name == ENTROPY else values


def fall(steps: np.ndarray, values: np.ndarray, factor: float, since: float | None = 0.0) -> int | None:
    """The first observation at which a positive quantity is below 1/factor of its largest value so far, or None.

    Args:
        steps: shape (n,), increasing.
        values: shape (n,); 0 is below everything, NaN is passed over.
        factor: above 1.
        since: from which step on the largest value counts; None for an event that did not come: then there is no fall.

    >>> fall(np.array([0, 10, 20, 30]), np.array([8.0, 10.0, 6.0, 4.0]), 2.0)
    30
    >>> fall(np.array([0, 10, 20, 30]), np.array([8.0, 10.0, 6.0, 4.0]), 2.0, since=20) is None
    True
    """
    if since is None:
        return None
    there = steps >= since
    if there.sum() < 2:
        return None
    with np.errstate(divide="ignore"):
        logs = np.log(values[there])
    return first_drop(steps[there], logs, by=math.log(factor), window=int(there.sum()))
