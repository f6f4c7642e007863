"""The same formulas as one would write them in plain JAX: `jit`, `fori_loop`, optax, a dictionary of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from afterfit.models import MLP, Transformer
from afterfit.spec import AdamW, CrossEntropy, Experiment
from benchmarks.arithmetic import by_xla, of_products
from benchmarks.cases import Reference

CHUNK = 64  # steps of one compiled call at most
Weights = dict[str, jax.Array]


def transformer_logits(w: Weights, tokens: jax.Array, heads: int) -> jax.Array:
    """One causal block without layer norm: tokens (N, S) to logits (N, K), read out at the last position."""
    length = tokens.shape[1]
    x = w["embedding"][tokens] + w["position"]
    split = lambda y: y.reshape(*y.shape[:2], heads, -1)  # noqa: E731
    q, k, v = (split(x @ w[f"blocks.0.{name}.weight"].T) for name in ("query", "key", "value"))
    scores = jnp.einsum("nqhd,nshd->nhqs", q, k) / jnp.sqrt(q.shape[-1])
    scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -jnp.inf)
    mixed = jnp.einsum("nhqs,nshd->nqhd", jax.nn.softmax(scores), v).reshape(x.shape)
    x = x + mixed @ w["blocks.0.output.weight"].T
    hidden = jax.nn.relu(x @ w["blocks.0.mlp_in.weight"].T + w["blocks.0.mlp_in.bias"])
    x = x + hidden @ w["blocks.0.mlp_out.weight"].T + w["blocks.0.mlp_out.bias"]
    return x[:, -1] @ w["head.weight"].T


def mlp_logits(w: Weights, x: jax.Array, hidden: int) -> jax.Array:
    """Linear layers with ReLU between them: inputs (N, …) to logits (N, K)."""
    x = x.reshape(len(x), -1)
    for index in range(hidden):
        x = jax.nn.relu(x @ w[f"hidden.{index}.weight"].T + w[f"hidden.{index}.bias"])
    return x @ w["head.weight"].T + w["head.bias"]


def logits_function(experiment: Experiment) -> Callable[[Weights, jax.Array], jax.Array]:
    """The forward pass of the experiment's model."""
    model = experiment.model
    if isinstance(model, Transformer):
        return lambda w, x: transformer_logits(w, x, model.heads)
    assert isinstance(model, MLP)
    return lambda w, x: mlp_logits(w, x, len(model.widths))


def loss_function(experiment: Experiment) -> Callable[[Weights, jax.Array, jax.Array], jax.Array]:
    """Mean cross-entropy, or the sum of squared distances to the one-hot labels."""
    logits_of = logits_function(experiment)

    def cross_entropy(w: Weights, x: jax.Array, y: jax.Array) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(logits_of(w, x), y).mean()

    def squared_error(w: Weights, x: jax.Array, y: jax.Array) -> jax.Array:
        logits = logits_of(w, x)
        return ((logits - jax.nn.one_hot(y, logits.shape[1])) ** 2).sum()

    return cross_entropy if isinstance(experiment.loss, CrossEntropy) else squared_error


class PlainJax:
    """One member in training."""

    members = 1

    def __init__(self, experiment: Experiment, reference: Reference):
        assert isinstance(experiment.optimizer, AdamW)
        o = experiment.optimizer
        self.optimizer = optax.adamw(o.learning_rate, o.b1, o.b2, o.epsilon, weight_decay=o.weight_decay)
        self.loss, self.reference = loss_function(experiment), reference
        self.inputs, self.labels = jnp.asarray(reference.inputs), jnp.asarray(reference.labels)
        self.size = reference.batches.shape[1]
        self.rng, self.waiting = np.random.default_rng(0), np.empty((0, self.size), np.int32)
        self.run = jax.jit(self._run, donate_argnums=0)
        self.restart()

    def restart(self) -> None:
        """Back to step 0."""
        weights = {name: jnp.array(value) for name, value in self.reference.weights.items()}
        self.state = (weights, self.optimizer.init(weights))

    def advance(self, steps: int) -> None:
        """Take steps, a new random order each epoch, and wait for them."""
        while steps:
            taken = min(steps, CHUNK)
            self._take(self._batches(taken))
            steps -= taken
        jax.block_until_ready(self.state)

    def guard_loss(self) -> float:
        """The loss after the reference's first steps."""
        self.restart()
        self._take(self.reference.batches)
        return float(jax.jit(self.loss)(self.state[0], *map(jnp.asarray, self.reference.guarded)))

    def operations(self) -> dict[str, float]:
        """Of a step's matrix products; and XLA's count of everything."""
        arguments = (self.state, np.zeros((CHUNK, self.size), np.int32), 1, self.inputs, self.labels)
        return {"products": of_products(self.run, *arguments), "xla": by_xla(self.run, *arguments)}

    def _take(self, batches: np.ndarray) -> None:
        padded = np.zeros((CHUNK, self.size), np.int32)
        padded[: len(batches)] = batches
        self.state = self.run(self.state, padded, len(batches), self.inputs, self.labels)

    def _batches(self, count: int) -> np.ndarray:
        """The next minibatches: rows (count, size)."""
        if self.size == len(self.labels):
            return np.broadcast_to(np.arange(self.size, dtype=np.int32), (count, self.size))
        while len(self.waiting) < count:
            order = self.rng.permutation(len(self.labels))[: len(self.labels) // self.size * self.size]
            self.waiting = np.concatenate([self.waiting, order.reshape(-1, self.size).astype(np.int32)])
        taken, self.waiting = self.waiting[:count], self.waiting[count:]
        return taken

    def _run(self, state: Any, batches: jax.Array, count: jax.Array, inputs: jax.Array, labels: jax.Array) -> Any:
        def step(index: jax.Array, state: Any) -> Any:
            weights, moments = state
            gradient = jax.grad(self.loss)(weights, inputs[batches[index]], labels[batches[index]])
            updates, moments = self.optimizer.update(gradient, moments, weights)
            return optax.apply_updates(weights, updates), moments

        return jax.lax.fori_loop(0, count, step, state)
