"""How much memory a member needs, from the shapes of its program, without compiling it."""

from __future__ import annotations

import math
from functools import cache, partial
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params

from afterfit.engine.pytree import stack
from afterfit.spec import Experiment


def member_bytes(experiment: Experiment) -> int:
    """An upper bound: all that one step, or one observation, ever holds, as if nothing were freed on the way."""
    from afterfit.engine.trainer import Trainer
    from afterfit.engine.treatment import awaited

    trainer = Trainer(experiment, experiment.task.table())
    rows = trainer.rows([experiment], [0])
    experiments, seeds = stack([experiment]), jnp.zeros(1, jnp.uint32)
    state = jax.eval_shape(trainer.start, experiments, seeds)
    seen = {name: jnp.zeros(1, jnp.int32) for name in awaited(experiment)}
    step = partial(trainer._advance, inputs=trainer.inputs, labels=trainer.labels)
    look = partial(trainer._observe_all, inputs=trainer.inputs, labels=trainer.labels)
    programs = (
        jax.make_jaxpr(step)(experiments, seeds, rows, state, 0, 1, seen=seen),
        jax.make_jaxpr(look)(experiments, state.arrays, rows, seeds=seeds, step=0, seen=seen),
    )
    return max(_bytes(program.jaxpr) for program in programs)


def _bytes(jaxpr: Any) -> int:
    """The bytes of every intermediate of a jaxpr, those of inner ones too."""
    inner = sum(_bytes(sub) for equation in jaxpr.eqns for sub in jaxprs_in_params(equation.params))
    return inner + sum(_size(v.aval) for equation in jaxpr.eqns for v in equation.outvars)


@cache
def _size(aval: Any) -> int:
    return math.prod(aval.shape) * getattr(aval.dtype, "itemsize", 8) if hasattr(aval, "shape") else 0
