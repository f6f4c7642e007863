"""Counter-based randomness: every random number is a function of (seed, stream, step), and nothing is state."""

from __future__ import annotations

from enum import IntEnum

import jax


class Stream(IntEnum):
    """What the random numbers are for. Values are part of every stored run: append, never renumber."""

    INITIAL_PARAMETERS = 0
    MINIBATCH_ORDER = 1


def key(seed: jax.Array | int, stream: Stream, counter: jax.Array | int = 0) -> jax.Array:
    """The key of a stream at a counter: the step, or the epoch."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), stream), counter)
