"""The states at which branches begin: what is kept of a parent's, and what an arm takes up of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from afterfit.engine.state import State
from afterfit.spec import Experiment
from afterfit.spec.written import kind_name

SHARED_PIECES = ("params", "optimizer", "running")  # of a state: what a branch has from its parent in any case

Tree = TypeVar("Tree")


def arrays_of(experiment: Experiment, state: State, place: int) -> dict[str, np.ndarray]:
    """One member's part of a stacked state, by piece."""
    return {
        f"{piece}/{index}": np.asarray(leaf[place : place + 1])
        for piece, tree in pieces(experiment, state).items()
        for index, leaf in enumerate(jax.tree.leaves(tree))
    }


def continued(
    experiment: Experiment, experiments: Experiment, state: State, found: list[dict[str, np.ndarray]],
    remember: Callable[[Experiment, Any], tuple[Any, ...]],
) -> State:  # fmt: skip
    """The stacked state of arms that stand where their parents stood.

    They have the parents' parameters and moments, and their memories and baselines if any. What the parents lack begins
    here: a baseline as the arm itself, a memory with the parameters of now.

    Args:
        experiment: any arm's, for what is structure.
        experiments: the arms', stacked.
        state: as arms begin without parents.
        found: what was kept of each arm's parent, by `arrays_of`.
        remember: gives fresh memories.
    """
    own = {name: taken_up(found, name, getattr(state, name)) for name in SHARED_PIECES}
    plain = State(**own)
    begun = state._replace(**own, memory=remember(experiments, plain.params), baseline=state.baseline and plain)
    taken = {name: taken_up(found, name, tree) for name, tree in pieces(experiment, begun).items()}
    memory = tuple(tree for name, tree in taken.items() if name.startswith("memory"))
    baseline = begun.baseline and State(**{name: taken[f"baseline.{name}"] for name in SHARED_PIECES})
    return begun._replace(memory=memory, baseline=baseline)


def pieces(experiment: Experiment, state: State) -> dict[str, Any]:
    """What a state is made of, by names that tell a branch what of it is its own too."""
    kinds = [kind_name(type(each)) for each in experiment.interventions]
    memories = {f"memory.{i}.{kind}": state.memory[i] for i, kind in enumerate(kinds)}
    own = {name: getattr(state, name) for name in SHARED_PIECES}
    baseline = state.baseline
    of_baseline = {f"baseline.{name}": getattr(baseline, name) for name in SHARED_PIECES} if baseline else {}
    return own | memories | of_baseline


def taken_up(found: list[dict[str, np.ndarray]], piece: str, otherwise: Tree) -> Tree:
    """A stacked piece of a state, of each member as it was found, or else as it is; in arrays of its own."""
    leaves, structure = jax.tree.flatten(otherwise)
    own = [np.array(leaf) for leaf in leaves]
    for place, arrays in enumerate(found):
        theirs = [arrays[f"{piece}/{index}"] for index in range(len(own)) if f"{piece}/{index}" in arrays]
        if [array.shape for array in theirs] == [leaf[:1].shape for leaf in own]:
            for leaf, array in zip(own, theirs, strict=True):
                leaf[place] = array[0]
        elif piece in SHARED_PIECES:
            raise ValueError(f"the state at which a branch begins does not fit it: {piece}")
    return jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in own])
