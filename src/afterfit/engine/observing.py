"""What is seen of a network: features and layers under treatment, logits, and measures that give one number."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from afterfit.engine import machine
from afterfit.engine.treatment import HEAD_INPUT, Treatment
from afterfit.models.model import RUNNING
from afterfit.parts import SpecError, require
from afterfit.spec import Experiment
from afterfit.views import measure_named, of_the_model

Tree = TypeVar("Tree")
OBSERVED_TOGETHER = 512  # rows of a split that go through the network at a time


def treated_features(
    treatment: Treatment | None, network: Any, examples: jax.Array, *, training: bool
) -> tuple[jax.Array, Any]:
    """What the head reads, with changes of it and of layers before it; and the network after it saw these examples."""
    changes = treatment.changes_of_features(observing=not training) if treatment else []
    if not treatment or not changes:
        return seen_by(network, examples, training=training)
    change = partial(treatment.features, observing=not training)
    inside = () if changes == [HEAD_INPUT] else (change,)
    features, network = seen_by(network, examples, *inside, training=training)
    return change(HEAD_INPUT, features), network


def seen_by(network: Any, *arguments: Any, training: bool) -> tuple[jax.Array, Any]:
    """The features of examples, and the network after that: in training, with what it carries along brought up to date.

    Args:
        network: the Equinox module.
        arguments: examples, and a change of layers if there is one.
        training: whether this is a step, or an observation.
    """
    if not (training and hasattr(network, RUNNING)):
        return network.features(*arguments), network
    features, running = network.training_features(*arguments)
    return features, eqx.tree_at(lambda n: getattr(n, RUNNING), network, running)


def treated_layers(treatment: Treatment | None, network: Any, examples: jax.Array) -> dict[str, jax.Array]:
    """What observations see of the layers, under changes of them that stay."""
    changes = treatment.changes_of_features(observing=True) if treatment else []
    if not treatment or not set(changes) - {HEAD_INPUT} or len(inspect.signature(network.layers).parameters) < 2:
        return network.layers(examples)
    return network.layers(examples, partial(treatment.features, observing=True))


def logits_of(network: Any, features: jax.Array) -> jax.Array:
    """The head's output: (N, d) to (N, K)."""
    # Full precision, as the measures that need the logits ask for, so that they are computed once.
    logits = jnp.matmul(features, network.head.weight.T, precision="highest")
    return logits if network.head.bias is None else logits + network.head.bias


def one_number(name: str) -> Callable[..., jax.Array]:
    """The library's measure of this name; SpecError if it does not give one number of arrays that are traced."""
    measure = measure_named(name)

    @wraps(measure)
    def checked(*arguments: Any, **named: Any) -> jax.Array:
        try:
            value = measure(*arguments, **named)
        except (TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise SpecError("measures", name, f"cannot be taken while training: {reason}") from error
        shape = jnp.shape(value) if isinstance(value, jax.Array | float) else type(value).__name__
        require(shape == (), "measures", name, f"gives no single number but {shape}: take it of `runs.network(member)`")
        return jnp.asarray(value)

    return checked


def in_blocks(function: Callable[[jax.Array], Tree], rows: jax.Array) -> Tree:
    """function(rows), so many at a time as fit a core's cache: on a whole split twice as fast, and little memory."""
    whole = len(rows) - len(rows) % OBSERVED_TOGETHER
    blocks = rows[:whole].reshape(-1, OBSERVED_TOGETHER)
    parts = [jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), jax.lax.map(function, blocks))] if whole else []
    parts += [function(rows[whole:])] if whole < len(rows) else []
    return jax.tree.map(lambda *x: jnp.concatenate(x), *parts)


def sorted_measures(experiment: Experiment) -> tuple[list[str], list[str]]:
    """The names of measures taken on each split, and of those of the model alone."""
    of_model = [m for m in experiment.measures if m != "loss" and of_the_model(measure_named(m))]
    return [m for m in experiment.measures if m not in of_model], of_model


def over_members(function: Callable[[Any], Any], stacked: Any) -> Any:
    """A function of one member for each of a stack.

    One member after the other where XLA computes on a CPU in several threads. There two decompositions of stacks of
    matrices that have threads to themselves wait for each other for ever (jaxlib 0.10.2: each of them fills the pool of
    threads with its own matrices, and blocks the thread that it was begun in until they are done).
    """
    if jax.default_backend() == "cpu" and machine.xla_threads() > 1:
        return jax.lax.map(function, stacked)
    return jax.vmap(function)(stacked)
