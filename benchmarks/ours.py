"""afterfit's own trainer, as the engine drives it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from afterfit.engine.minibatches import MinibatchDraw
from afterfit.engine.observing import logits_of
from afterfit.engine.pytree import path_name, stack
from afterfit.engine.trainer import Trainer
from afterfit.models import Transformer
from afterfit.models.layers import Linear
from afterfit.models.transformer_network import TransformerNetwork
from afterfit.parts import part
from afterfit.spec import Experiment
from benchmarks.arithmetic import by_xla, needed, of_products
from benchmarks.cases import GUARD_STEPS, Reference, table_of


class Ours:
    """An ensemble in training: seeds 0, 1, … of one experiment."""

    def __init__(self, experiment: Experiment, members: int, reference: Reference | None = None):
        self.experiment, self.members, self.reference = experiment, members, reference
        self.trainer = Trainer(experiment, table_of(experiment))
        experiments, seeds = [experiment] * members, list(range(members))
        self.experiments, self.seeds = stack(experiments), jnp.asarray(seeds, jnp.uint32)
        self.rows = self.trainer.rows(experiments, seeds)
        self.restart()

    def restart(self) -> None:
        """Back to step 0."""
        self.state, self.step = self.trainer.start(self.experiments, self.seeds), 0

    def advance(self, steps: int) -> None:
        """Take steps, and wait for them."""
        self.state = jax.block_until_ready(self.trainer.advance(*self._arguments(steps)))
        self.step += steps

    def observe(self, times: int) -> None:
        """Take the measures of all members, so many times, and bring them to Python."""
        t = self.trainer
        for _ in range(times):
            observed = t.observe(self.experiments, self.state.params, self.rows, t.inputs, t.labels, self.seeds, 0)
            jax.tree.map(np.asarray, observed)

    def guard_loss(self) -> float:
        """The loss of seed 0 after the first few steps."""
        assert self.reference
        self.restart()
        self.advance(GUARD_STEPS)
        network = self.trainer.network(jax.tree.map(lambda leaf: leaf[0], self.state.params))
        loss = lambda x, y: self.experiment.loss.total(logits_of(network, network.features(x)), y)  # noqa: E731
        return float(jax.jit(loss)(*map(jnp.asarray, self.reference.guarded)))

    def save_reference(self, path: str) -> dict[str, int]:
        """Write where every version of the case begins; gives the number of operations that a step needs."""
        self.reference = reference_of(self)
        self.reference.save(path)
        return {"needed": needed(self.experiment, self.trainer.table)}

    def operations(self) -> dict[str, float]:
        """Of a step's matrix products, for one member; and XLA's count of everything, for all members."""
        arguments = self._arguments(1)
        return {
            "products": of_products(self.trainer.advance, *arguments) / self.members,
            "xla": by_xla(self.trainer.advance, *arguments) / self.members,
        }

    def _arguments(self, steps: int) -> tuple[Any, ...]:
        t = self.trainer
        return (
            self.experiments, self.seeds, self.rows, self.state, self.step, self.step + steps, t.inputs, t.labels
        )  # fmt: skip


def reference_of(ours: Ours) -> Reference:
    """Initial parameters, training examples and first minibatches of seed 0, as plain arrays."""
    ours.restart()
    network = ours.trainer.network(jax.tree.map(lambda leaf: leaf[0], ours.state.params))
    train = np.asarray(ours.rows.train[0])
    batches = np.asarray(jax.jit(partial(_first_batches, ours.experiment))(train))
    place = np.zeros(len(ours.trainer.table.labels), np.int32)
    place[train] = np.arange(len(train))
    table = ours.trainer.table
    return Reference(weights_of(network), table.inputs[train], table.labels[train], place[batches])


def _first_batches(experiment: Experiment, train: jax.Array) -> jax.Array:
    """The table's rows that seed 0 sees at each of the first steps."""
    draw, seed = MinibatchDraw.of(experiment, len(train)), jnp.uint32(0)
    order, batches = draw.start(seed, train, jnp.int32(0)), []
    for step in range(GUARD_STEPS):
        order, chosen = draw.rows(seed, train, order, jnp.int32(step))
        batches.append(chosen)
    return jnp.stack(batches)


def weights_of(network: Any) -> dict[str, np.ndarray]:
    """All parameters by name, every linear layer's matrix as (out, in)."""
    is_linear = lambda node: isinstance(node, Linear)  # noqa: E731
    straight = jax.tree.map(lambda n: n.stored(input_first=False) if is_linear(n) else n, network, is_leaf=is_linear)
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(straight, eqx.is_array))
    return {path_name(path): np.asarray(leaf) for path, leaf in leaves}


class PlainNetwork(TransformerNetwork):
    """The same network, with every position of every sequence through every block."""

    def layers(self, inputs: jax.Array) -> dict[str, jax.Array]:
        """By the textbook."""
        return self.plain_layers(inputs)


@part
class PlainTransformer(Transformer):
    """The same model, without the factored first block."""

    def build(self, key: jax.Array, inputs: np.ndarray, num_classes: int, vocabulary: int | None) -> PlainNetwork:
        """The same initial parameters."""
        network = Transformer.build(self, key, inputs, num_classes, vocabulary)
        return PlainNetwork(**{name: getattr(network, name) for name in TransformerNetwork.__dataclass_fields__})


def without_factoring(experiment: Experiment) -> Experiment:
    """The experiment with the plain forward pass."""
    model = experiment.model
    plain = PlainTransformer(**{name: getattr(model, name) for name in Transformer.__dataclass_fields__})
    return replace(experiment, model=plain)
