"""What one split of one model shows at one step, and the measures taken of it.

A measure is a function whose parameters are named after what a `View` holds: `features, labels` for `rnc1`,
`parameters` for `weight_norm`. So a new measure is one function, and nothing here changes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from afterfit import measures as measure_functions
from afterfit.parts import SpecError, nearest, require


@dataclass(frozen=True)
class View:
    """One split of one model at one step: arrays of one kind (NumPy, PyTorch or JAX).

    Attributes:
        inputs: what the model reads, shape (N, …).
        labels: classes, shape (N,).
        features: what the head reads, shape (N, d).
        logits: shape (N, K).
        head_weight: shape (K, d).
        head_bias: shape (K,), or None.
        num_classes: K.
        layers: other representations by name, shapes (N, …).
        parameters: all trained arrays by name.
        extra: whatever else a measure of the user's own asks for, by parameter name.
    """

    inputs: Any
    labels: Any
    features: Any
    logits: Any
    head_weight: Any
    head_bias: Any
    num_classes: int
    layers: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def at(self, layer: str) -> View:
        """The same view with another layer's representation, flattened to (N, d), as the features."""
        if layer not in self.layers:
            raise SpecError("measures", f"@{layer}", nearest(layer, self.layers) if self.layers else "no such layer")
        x = self.layers[layer]
        return replace(self, features=x.reshape(x.shape[0], -1))

    def first(self, samples: int) -> View:
        """The same view of the first so many samples."""
        if samples >= self.labels.shape[0]:
            return self
        cut = {name: getattr(self, name)[:samples] for name in ("inputs", "labels", "features", "logits")}
        return replace(self, **cut, layers={name: x[:samples] for name, x in self.layers.items()})

    def lacking(self, function: Callable[..., Any]) -> list[str]:
        """What the function's parameters ask for and this view does not hold."""
        return _lacking(inspect.signature(function), self._offered)

    def arguments(self, function: Callable[..., Any]) -> dict[str, Any]:
        """What of this view the function's parameters ask for, by name."""
        asked, offered = inspect.signature(function), self._offered
        lacking = _lacking(asked, offered)
        if lacking:
            name = getattr(function, "__name__", str(function))
            raise SpecError("measures", name, f"asks for {', '.join(lacking)}, which a view does not have")
        return {name: offered[name] for name in asked.parameters if name in offered}

    @property
    def _offered(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | dict(self.extra)


def _lacking(asked: inspect.Signature, offered: Mapping[str, Any]) -> list[str]:
    """The parameters without a default that nothing is offered for."""
    return [p.name for p in asked.parameters.values() if p.default is p.empty and p.name not in offered]


def measure_named(name: str) -> Callable[..., Any]:
    """The library's measure of this name, or SpecError.

    Without a split; with or without options of the function, "rnc1[scale=max_norm]" or "nc1[definition=pinv;…]", and
    with or without "@layer" after them.
    """
    base, bracket, written = name.partition("@")[0].partition("[")
    if base not in measure_functions.__all__:
        raise SpecError("measures", name, nearest(base, measure_functions.__all__))
    function = getattr(measure_functions, base)
    return partial(function, **_options(name, function, written)) if bracket else function


def _options(name: str, function: Callable[..., Any], written: str) -> dict[str, Any]:
    """What stands between a measure's brackets, each value of its default's kind."""
    offered = {p.name: p.default for p in inspect.signature(function).parameters.values() if p.default is not p.empty}
    require(written.endswith("]"), "measures", name, "must close its bracket: rnc1[scale=max_norm]")
    options = {}
    for entry in written[:-1].split(";"):
        option, equals, value = entry.partition("=")
        if option not in offered:
            raise SpecError("measures", name, f"no option {option!r}; {nearest(option, offered)}")
        require(bool(equals and value), "measures", name, f"needs a value: {option}=…")
        options[option] = _valued(name, option, value, offered[option])
    return options


def _valued(name: str, option: str, value: str, default: Any) -> Any:
    """The value of an option as its default is: true or false, a number, or text."""
    kind = type(default)
    try:
        return {"true": True, "false": False}[value] if kind is bool else kind(value) if kind in (int, float) else value
    except (KeyError, ValueError):
        right = f"must have a {'true or false' if kind is bool else kind.__name__} for {option}"
        raise SpecError("measures", name, right) from None


def of_the_model(function: Callable[..., Any]) -> bool:
    """Whether a measure reads the parameters only, and so is the same on every split."""
    required = [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    return required == ["parameters"]


def observe(view: View, measures: Sequence[str] | Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """Take the measures of a view: {name: 0-d array of the view's kind}.

    Args:
        view: what to measure.
        measures: names of the library's measures, "name[option=value]" for other than its usual options, "name@layer"
            for another layer than the penultimate; or functions by the name that each is to have.
    """
    named = measures if isinstance(measures, Mapping) else {name: measure_named(name) for name in measures}
    observed = {}
    for name, function in named.items():
        _, _, layer = name.partition("@")
        shown = view.at(layer) if layer else view
        observed[name] = function(**shown.arguments(function))
    return observed
