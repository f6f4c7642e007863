"""Parts of a specification as JAX pytrees: floats are leaves, everything else is structure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from afterfit.parts import leaf_names

P = TypeVar("P")


def register(part: Any) -> None:
    """Make pytrees of the part's type and of the types of all parts inside it."""
    if isinstance(part, tuple):
        for item in part:
            register(item)
    elif dataclasses.is_dataclass(part) and not isinstance(part, type):
        _register_type(type(part))
        for name in leaf_names(type(part)):
            register(getattr(part, name))


@cache
def _register_type(cls: type) -> None:
    leaves = leaf_names(cls)
    structure = tuple(field.name for field in dataclasses.fields(cls) if field.name not in leaves)

    def flatten(part: Any) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        keyed = [(jax.tree_util.GetAttrKey(name), getattr(part, name)) for name in leaves]
        return keyed, tuple(getattr(part, name) for name in structure)

    def unflatten(values: tuple[Any, ...], children: Any) -> Any:
        # Past the checks of the constructor: leaves may be tracers or stacked arrays here.
        part = object.__new__(cls)
        for name, value in (*zip(structure, values, strict=True), *zip(leaves, children, strict=True)):
            object.__setattr__(part, name, value)
        return part

    jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)


def structure(part: Any) -> Any:
    """What members of one program have in common: hashable, and equal for parts that differ in leaves only."""
    register(part)
    return jax.tree.structure(part)


def stack(parts: Sequence[P]) -> P:
    """One part whose leaves are float32 arrays with a first axis over the parts, which have equal structure."""
    for part in parts:
        register(part)
    return jax.tree.map(lambda *leaves: jnp.asarray(leaves, jnp.float32), *parts)


def path_name(path: tuple[Any, ...]) -> str:
    """A parameter's name: "blocks.0.mlp_in.weight"."""
    return ".".join(str(getattr(step, "name", getattr(step, "idx", getattr(step, "key", step)))) for step in path)
