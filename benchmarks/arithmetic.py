"""Floating-point operations of the matrix products, counted three ways: from a formula, from JAX and from XLA.

Two operations, a multiplication and an addition, for each term of a product. Elementwise work is left out, as PyTorch's
own counter leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

from afterfit.models import MLP, Transformer
from afterfit.spec import Experiment
from afterfit.tasks import Table


def of_products(function: Callable[..., Any], *arguments: Any) -> int:
    """Operations of all matrix products that calling a function takes; of a loop of unknown length, one turn."""
    return _of_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def by_xla(function: Any, *arguments: Any) -> float:
    """XLA's own count for a compiled function, elementwise work included; of a loop of unknown length, one turn."""
    return float(function.lower(*arguments).cost_analysis()["flops"])


def _of_jaxpr(jaxpr: Any) -> int:
    return sum(map(_of_equation, jaxpr.eqns))


def _of_equation(equation: Any) -> int:
    if equation.primitive.name == "dot_general":
        return _of_dot(equation)
    inner = [_of_jaxpr(found) for found in _jaxprs(equation.params)]
    if equation.primitive.name == "cond":
        return max(inner)
    return sum(inner) * equation.params.get("length", 1) if equation.primitive.name == "scan" else sum(inner)


def _of_dot(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    summed = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    return 2 * summed * math.prod(equation.outvars[0].aval.shape)


def _jaxprs(params: dict[str, Any]) -> Iterator[Any]:
    """The programs inside an equation: a loop's body, a branch, a function that was called."""
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            if isinstance(item, ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, Jaxpr):
                yield item


def needed(experiment: Experiment, table: Table) -> int:
    """What one training step cannot do without, by formula: forward, and twice that backward.

    Of the transformer, the first block's keys and values for each token and position, the query of the last position
    only, scores and mixture, then output matrix, MLP and head for one position of each sample. Of the MLP, all layers,
    without the gradient with respect to the inputs.
    """
    samples = experiment.minibatch.size or experiment.task.sizes()[0]
    if isinstance(experiment.model, Transformer):
        return _transformer(experiment.model, table, samples)
    if isinstance(experiment.model, MLP):
        return _mlp(experiment.model, table, samples)
    raise TypeError(f"no formula for {type(experiment.model).__name__}")


def _transformer(model: Transformer, table: Table, samples: int) -> int:
    d = model.width
    rows = [len(set(column.tolist())) for column in table.inputs.T]
    projections = (2 * sum(rows) + rows[-1]) * d * d
    scores = rows[-1] * sum(rows) * d
    after = samples * (d * d + 2 * d * model.mlp_width + d * table.num_classes)
    return 3 * 2 * (projections + scores + after)


def _mlp(model: MLP, table: Table, samples: int) -> int:
    sizes = (math.prod(table.inputs.shape[1:]), *model.widths, table.num_classes)
    layers = [a * b for a, b in pairwise(sizes)]
    return 2 * samples * (3 * sum(layers) - layers[0])
