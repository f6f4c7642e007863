"""What training changes, and which rows of the table each member sees."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax

Params = Any


class State(NamedTuple):
    """What training changes, of one member or stacked: parameters, the optimiser's moments, and what may come beside.

    Weight decay, norms and interventions reach the parameters only.
    """

    params: Params
    optimizer: Any
    memory: tuple[Any, ...] = ()
    """What interventions remember."""
    baseline: State | None = None
    """The paired baseline, trained beside its control; without one of its own."""
    running: Any = None
    """What the network carries along without training it, in the network's shape: running averages."""

    @property
    def arrays(self) -> Any:
        """All arrays of the network: parameters, and what is carried along."""
        return eqx.combine(self.params, self.running)


class Rows(NamedTuple):
    """Rows of the table that each member trains and is tested on: int32 (members, n)."""

    train: jax.Array
    test: jax.Array
