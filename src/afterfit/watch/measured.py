"""The measures of a watch: as functions by name, and taken of its views, what they share computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from afterfit import measures as measure_functions
from afterfit.measures import ClassStatistics
from afterfit.parts import require
from afterfit.views import View, measure_named, observe, of_the_model

Measure = Callable[..., Any]
Loss = Callable[[Any, Any], Any]
LOSSES = ("cross_entropy", "squared_error")
OF_CLASSES = ("within_class_variance", "between_class_variance", "nc1", "rnc1", "nc2", "cdnv")
_OF_CLASSES = {getattr(measure_functions, name): getattr(ClassStatistics, name) for name in OF_CLASSES}


def named(measures: Sequence[str] | Mapping[str, Measure], loss: str | Loss) -> dict[str, Measure]:
    """The measures as functions by name, the loss among them if it is named.

    Raises:
        SpecError: a measure or a loss that there is not.
    """
    if isinstance(measures, Mapping):
        return dict(measures)
    right = f"must be one of {', '.join(LOSSES)}, or a function of (logits, labels)"
    require(callable(loss) or loss in LOSSES, "loss", loss, right)
    found: dict[str, Measure] = {name: measure_named(name) for name in measures if name != "loss"}
    if "loss" not in measures:
        return found
    function = loss if callable(loss) else measure_named(loss)
    return {"loss": lambda logits, labels: function(logits, labels), **found}


def of_models(measures: Mapping[str, Measure]) -> frozenset[str]:
    """The names of those that read the parameters only, and so are taken once and not of each split."""
    return frozenset(name for name, function in measures.items() if name != "loss" and of_the_model(function))


def taken(views: Mapping[str, View], measures: Mapping[str, Measure], once: frozenset[str]) -> dict[str, float]:
    """Every measure of every split, {"train/rnc1": 0.21, …}; those of the model once, {"weight_norm": 50.0}."""
    values: dict[str, float] = {}
    of_model = {name: function for name, function in measures.items() if name in once}
    of_split = {name: function for name, function in measures.items() if name not in once}
    for split, view in views.items():
        if split == "train" or "train" not in views:
            values |= {name: float(value) for name, value in observe(view, of_model).items()}
        values |= {f"{split}/{name}": float(value) for name, value in of_one(view, of_split).items()}
    return values


def of_one(view: View, measures: Mapping[str, Measure]) -> dict[str, Any]:
    """As `afterfit.views.observe`, but all measures of classes of a layer come from one pass over its features.

    Classes that outnumber the samples (a vocabulary) are counted as they occur: the values are the same, the cost is
    not.
    """
    statistics: dict[str, ClassStatistics] = {}
    values: dict[str, Any] = {}
    for name, function in measures.items():
        method, options = _of_classes(function)
        if method is None:
            values |= observe(view, {name: function})
            continue
        _, _, layer = name.partition("@")
        if layer not in statistics:
            features, count = (view.at(layer) if layer else view).features, view.num_classes
            known = count if count <= view.labels.shape[0] else None
            statistics[layer] = ClassStatistics.of(features, view.labels, known)
        values[name] = method(statistics[layer], **options)
    return values


def _of_classes(function: Measure) -> tuple[Measure | None, dict[str, Any]]:
    """The method of `ClassStatistics` that gives the same, and its options; None where none is cheaper."""
    options = dict(function.keywords) if isinstance(function, partial) else {}
    base = function.func if isinstance(function, partial) else function
    if options.get("definition") == "pinv":  # needs the covariance of every class
        return None, {}
    return _OF_CLASSES.get(base), options
