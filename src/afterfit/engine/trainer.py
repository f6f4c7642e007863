"""The compiled functions of one group: start, advance and observe a stack of members.

The functions for one member are written here in the plain; `vmap` over members, `fori_loop` over steps and `jit` around
both make of them one program. Members share the table of examples and the number of the step, nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from afterfit.engine.minibatches import MinibatchDraw
from afterfit.engine.observing import (
    in_blocks,
    logits_of,
    one_number,
    over_members,
    sorted_measures,
    treated_features,
    treated_layers,
)
from afterfit.engine.pytree import path_name
from afterfit.engine.randomness import Stream, key
from afterfit.engine.state import Params, Rows, State
from afterfit.engine.treatment import (
    FOLLOWING,
    NOTHING_SEEN,
    Arrays,
    Seen,
    Treatment,
    awaited,
    memories,
    require_fitting,
    untreated,
)
from afterfit.interventions import NEVER
from afterfit.models.model import RUNNING
from afterfit.parts import require
from afterfit.spec import Experiment
from afterfit.tasks import Table
from afterfit.views import View, observe

FINITE = ""  # among the measures of an observation: whether all parameters are finite numbers


class Trainer:
    """Compiled once for members of equal structure, whatever their number, leaves and seeds.

    Args:
        experiment: any member's experiment; only its structure is used.
        table: the examples.
    """

    def __init__(self, experiment: Experiment, table: Table):
        self.table = table
        # Flat: rows are gathered at each step, and of a matrix that is twice as fast.
        self.inputs = jnp.asarray(table.inputs.reshape(len(table.inputs), -1))
        self.labels = jnp.asarray(table.labels)
        shapes = eqx.filter_eval_shape(partial(self._build, experiment), jax.random.key(0))
        is_shape = lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct)  # noqa: E731
        arrays, self.skeleton = eqx.partition(shapes, is_shape)
        paths = jax.tree_util.tree_leaves_with_path(arrays)
        self.is_trained = jax.tree_util.tree_map_with_path(lambda path, _: path_name(path[:1]) != RUNNING, arrays)
        self.shapes, self.running_shapes = eqx.partition(arrays, self.is_trained)
        self.names = [path_name(path) for path, _ in paths if path_name(path[:1]) != RUNNING]
        self.running_names = [path_name(path) for path, _ in paths if path_name(path[:1]) == RUNNING]
        _require_trainable(self.names, jax.tree.leaves(self.shapes))
        require_fitting(experiment, table.num_classes, self._changeable_layers)
        self.of_splits, self.of_model = sorted_measures(experiment)
        self.start = jax.jit(jax.vmap(self._start))
        self.remember = jax.jit(jax.vmap(lambda experiment, params: memories(experiment, self.named(params))))
        self.advance = jax.jit(self._advance, donate_argnums=3)
        self.observe = jax.jit(self._observe_all)

    def rows(self, experiments: list[Experiment], seeds: list[int]) -> Rows:
        """Each member's split, stacked."""
        splits = [e.task.split(self.table, seed) for e, seed in zip(experiments, seeds, strict=True)]
        return Rows(*(jnp.asarray(np.stack(side)) for side in zip(*splits, strict=True)))

    def network(self, arrays: Any) -> Any:
        """The Equinox module with these arrays."""
        return eqx.combine(arrays, self.skeleton)

    def with_parameters(self, named: Mapping[str, np.ndarray]) -> Any:
        """The Equinox module with parameters, and what it carries along, given by name."""
        return self.network(self._arrays(named))

    def _arrays(self, named: Mapping[str, np.ndarray]) -> Any:
        running = [jnp.asarray(named[name]) for name in self.running_names]
        params = self.unnamed({name: jnp.asarray(array) for name, array in named.items()})
        return eqx.combine(params, jax.tree.unflatten(jax.tree.structure(self.running_shapes), running))

    def shown(
        self, member: Experiment, seed: int, parameters: Mapping[str, np.ndarray], split: str, step: int,
        events: Mapping[str, int | None],
    ) -> View:  # fmt: skip
        """What a member shows on all of a split, with all layers, as NumPy arrays.

        Args:
            member: its experiment.
            seed: its seed.
            parameters: by name.
            split: "train" or "test".
            step: at which it had these parameters; interventions that stay act as they did then.
            events: the step of each declared event, None for one that did not happen.
        """
        network_arrays = self._arrays(parameters)
        chosen = getattr(self.rows([member], [seed]), split)[0]
        of_member = (member, network_arrays, jnp.uint32(seed), jnp.int32(step), _by_then(member, step, events))
        arrays = jax.tree.map(np.asarray, self._shown(*of_member, chosen, self.inputs, self.labels))
        return View(**arrays, num_classes=self.table.num_classes, extra=self.table.facts)

    def taught(self, member: Experiment, seed: int, step: int, events: Mapping[str, int | None]) -> np.ndarray:
        """The labels of a member's training examples as a step teaches them, in the order of `shown`."""
        chosen = self.rows([member], [seed]).train[0]
        treatment = Treatment(member, jnp.uint32(seed), jnp.int32(step), _by_then(member, step, events))
        return np.asarray(treatment.labels(self.labels[chosen], chosen))

    @cached_property
    def _shown(self) -> Callable[..., dict[str, Any]]:
        """The arrays of a view, compiled."""

        def arrays(
            member: Experiment, of_network: Any, seed: jax.Array, step: jax.Array, seen: Seen,
            chosen: jax.Array, inputs: jax.Array, labels: jax.Array,
        ) -> dict[str, Any]:  # fmt: skip
            treatment = Treatment(member, seed, step, seen)
            view = self.view(of_network, chosen, inputs=inputs, labels=labels, treatment=treatment, every_layer=True)
            return {name: value for name, value in vars(view).items() if name not in ("num_classes", "extra")}

        return jax.jit(arrays)

    def _build(self, experiment: Experiment, rng: jax.Array) -> Any:
        t = self.table
        return experiment.model.build(rng, t.inputs, t.num_classes, t.vocabulary)

    def named(self, arrays: Any) -> Arrays:
        """The trained ones of a network's arrays, by name."""
        return dict(zip(self.names, jax.tree.leaves(self._trained(arrays)[0]), strict=True))

    def all_named(self, arrays: Any) -> Arrays:
        """A network's arrays by name, with what it carries along."""
        return self.named(arrays) | dict(
            zip(self.running_names, jax.tree.leaves(self._trained(arrays)[1]), strict=True)
        )

    def _trained(self, arrays: Any) -> tuple[Params, Any]:
        """A network's arrays that are trained, and those that it carries along."""
        return eqx.partition(arrays, self.is_trained)

    def unnamed(self, named: Mapping[str, Any]) -> Params:
        """The reverse of `named`."""
        return jax.tree.unflatten(jax.tree.structure(self.shapes), [named[name] for name in self.names])

    def _changeable_layers(self) -> list[str]:
        """The layers whose output can be changed: those that `features` offers its second argument, if it has one."""
        network, names = self.network(eqx.combine(self.shapes, self.running_shapes)), []

        def offered(layer: str, output: jax.Array) -> jax.Array:
            names.append(layer)
            return output

        if len(inspect.signature(network.features).parameters) > 1:
            examples = jax.ShapeDtypeStruct((2, *self.table.inputs.shape[1:]), self.inputs.dtype)
            eqx.filter_eval_shape(lambda network, x: network.features(x, offered), network, examples)
        return names

    def _start(self, experiment: Experiment, seed: jax.Array) -> State:
        network = self._build(experiment, key(seed, Stream.INITIAL_PARAMETERS))
        params, running = self._trained(eqx.filter(network, eqx.is_array))
        plain = State(params, experiment.optimizer.direction().init(params), running=running)
        memory = memories(experiment, self.named(params))
        return plain._replace(memory=memory, baseline=plain if experiment.matched in FOLLOWING else None)

    def _advance(
        self, experiments: Experiment, seeds: jax.Array, rows: Rows, state: State, start: jax.Array, stop: jax.Array,
        inputs: jax.Array, labels: jax.Array, seen: Seen = NOTHING_SEEN,
    ) -> State:  # fmt: skip
        """The states after the steps start, …, stop − 1. One compilation serves any of them."""
        draw = MinibatchDraw.of(experiments, rows.train.shape[1])
        one = jax.vmap(partial(self._step, inputs=inputs, labels=labels), in_axes=(0, 0, 0, 0, None, 0))

        def body(step: jax.Array, carry: tuple[State, jax.Array]) -> tuple[State, jax.Array]:
            state, order = carry
            order, chosen = jax.vmap(draw.rows, in_axes=(0, 0, 0, None))(seeds, rows.train, order, step)
            return one(experiments, seeds, state, chosen, step, dict(seen)), order

        order = jax.vmap(draw.start, in_axes=(0, 0, None))(seeds, rows.train, start)
        return jax.lax.fori_loop(start, stop, body, (state, order))[0]

    def _step(
        self, experiment: Experiment, seed: jax.Array, state: State, chosen: jax.Array, step: jax.Array, seen: Seen, *,
        inputs: jax.Array, labels: jax.Array,
    ) -> State:  # fmt: skip
        treatment = Treatment(experiment, seed, step, seen)
        gradients, running = self._gradients(treatment, state, chosen, inputs, labels)
        gradients, memory = treatment.gradients(self.named(gradients), self.named(state.params), state.memory)
        optimizer = treatment.optimizer()
        direction, moments = optimizer.direction().update(self.unnamed(gradients), state.optimizer, state.params)
        rate = optimizer.rate(step)
        params = optax.apply_updates(state.params, jax.tree.map(lambda d: -rate * d, direction))
        after = self.unnamed(treatment.parameters(self.named(params)))
        if state.baseline is None:
            return State(after, moments, memory, running=running)
        plain = untreated(experiment)
        baseline = self._step(plain, seed, state.baseline, chosen, step, {}, inputs=inputs, labels=labels)
        courses = map(self.named, (state.params, after, state.baseline.params, baseline.params))
        return State(self.unnamed(FOLLOWING[experiment.matched](*courses)), moments, memory, baseline, running)

    def _gradients(
        self, treatment: Treatment, state: State, chosen: jax.Array, inputs: jax.Array, labels: jax.Array
    ) -> tuple[Params, Any]:
        """Of the minibatch's loss and of all penalties; and what the network carries along after this minibatch."""
        taught = treatment.labels(labels[chosen], chosen)

        def shown(params: Params) -> tuple[View, Any]:
            network = self.network(eqx.combine(params, state.running))
            features, network = treated_features(treatment, network, self._examples(inputs, chosen), training=True)
            carried = self._trained(eqx.filter(network, eqx.is_array))[1]
            return self._viewed(params, features, logits_of(network, features), taught), carried

        def loss(params: Params) -> tuple[jax.Array, Any]:
            view, carried = shown(params)
            return treatment.experiment.loss.total(view.logits, view.labels), carried

        def both(params: Params) -> tuple[jax.Array, Any]:
            view, carried = shown(params)
            return treatment.experiment.loss.total(view.logits, view.labels) + treatment.penalty(view), carried

        if not (treatment.random and treatment.having("penalty")):
            return jax.grad(both, has_aux=True)(state.params)
        of_loss, carried = jax.grad(loss, has_aux=True)(state.params)
        of_penalty = jax.grad(lambda params: treatment.penalty(shown(params)[0]))(state.params)
        instead = treatment.random_gradient(self.named(of_penalty))
        return jax.tree.map(jnp.add, of_loss, self.unnamed(instead)), carried

    def _viewed(self, arrays: Any, features: jax.Array, logits: jax.Array, labels: jax.Array) -> View:
        """A minibatch as penalties see it."""
        head = self.network(arrays).head
        return View(
            inputs=None, labels=labels, features=features, logits=logits, head_weight=head.weight, head_bias=head.bias,
            num_classes=self.table.num_classes, parameters=self.named(arrays), extra=self.table.facts,
        )  # fmt: skip

    def _observe_all(
        self, experiments: Experiment, arrays: Any, rows: Rows, inputs: jax.Array, labels: jax.Array,
        seeds: jax.Array, step: jax.Array, seen: Seen = NOTHING_SEEN,
    ) -> dict[str, jax.Array]:  # fmt: skip
        def one(member: tuple[Experiment, Any, Rows, jax.Array, Seen]) -> dict[str, jax.Array]:
            experiment, params, chosen, seed, events = member
            return self._observe(experiment, params, chosen, seed, step, events, inputs=inputs, labels=labels)

        observed = over_members(one, (experiments, arrays, rows, seeds, dict(seen)))
        finite = jax.vmap(lambda p: jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(p)])))
        return observed | {FINITE: finite(arrays)}

    def _observe(
        self, experiment: Experiment, arrays: Any, rows: Rows, seed: jax.Array, step: jax.Array, seen: Seen, *,
        inputs: jax.Array, labels: jax.Array,
    ) -> dict[str, jax.Array]:  # fmt: skip
        loss = {"loss": lambda logits, labels: experiment.loss.per_sample(logits, labels).mean()}
        functions = {name: loss.get(name) or one_number(name) for name in self.of_splits}
        of_outputs = {name: functions.pop(name) for name in ("loss", "accuracy") if name in functions}
        treatment = Treatment(experiment, seed, step, seen)
        observed: dict[str, jax.Array] = {}
        for split, chosen in rows._asdict().items():
            whole = self.view(arrays, chosen, inputs=inputs, labels=labels, treatment=treatment)
            probe = whole.first(experiment.probe or len(chosen))
            if split == "train":
                observed |= observe(probe, {name: one_number(name) for name in self.of_model})
            taken = observe(whole, of_outputs) | observe(probe, functions)
            observed |= {f"{split}/{name}": value for name, value in taken.items()}
        return observed

    def view(
        self, arrays: Any, chosen: jax.Array, *, inputs: jax.Array, labels: jax.Array,
        treatment: Treatment | None = None, every_layer: bool = False,
    ) -> View:  # fmt: skip
        """What some rows of the table show of a network with these arrays, under those interventions that stay.

        Its layers are in it where a measure reads one, or if asked for.
        """
        network = self.network(arrays)
        wanted = (every_layer and hasattr(network, "layers")) or any("@" in name for name in self.of_splits)

        def represent(rows: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
            examples = self._examples(inputs, rows)
            features, _ = treated_features(treatment, network, examples, training=False)
            return features, treated_layers(treatment, network, examples) if wanted else {}

        features, layers = in_blocks(represent, chosen)
        shown = self._viewed(arrays, features, logits_of(network, features), labels[chosen])
        return replace(shown, inputs=self._examples(inputs, chosen), layers=layers)

    def _examples(self, inputs: jax.Array, rows: jax.Array) -> jax.Array:
        """Rows of the table in the shape in which the task gives them."""
        return inputs[rows].reshape(len(rows), *self.table.inputs.shape[1:])


def _by_then(member: Experiment, step: int, events: Mapping[str, int | None]) -> dict[str, jax.Array]:
    """The step of each event that a member's interventions wait for, if it had come by a step."""
    return {
        name: jnp.int32(at if (at := events[name]) is not None and at <= step else NEVER) for name in awaited(member)
    }


def _require_trainable(names: list[str], shapes: list[jax.ShapeDtypeStruct]) -> None:
    """Refuse a network with JAX arrays that cannot have a gradient."""
    for name, shape in zip(names, shapes, strict=True):
        right = "all JAX arrays of a model are trained, so they hold real numbers: keep constants as NumPy arrays"
        require(jnp.issubdtype(shape.dtype, jnp.floating), f"model.{name}", str(shape.dtype), right)
