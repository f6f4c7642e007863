"""What all measures share: one namespace for three array kinds, checks in one line, products in full precision.

Nothing here imports JAX or PyTorch, unless arrays of theirs were given and so they are loaded already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace, device, is_array_api_obj, is_jax_namespace, is_numpy_namespace

# An array of NumPy, PyTorch or JAX. Shapes are told in docstrings, as (N, d): N samples of d features, K classes.
Array: TypeAlias = Any


def as_real(*arrays: Array) -> tuple[Any, ...]:
    """The namespace, and the arrays in their common real dtype: float32 for half-precision kinds, default for integers.

    Half precision is widened because sums over many samples lose everything in it.
    """
    xp: Any = array_namespace(*arrays)
    widened = [_widened(xp, array) for array in arrays]
    dtype = widened[0].dtype if len(widened) == 1 else xp.result_type(*widened)
    return xp, *(xp.astype(array, dtype, copy=False) for array in widened)


def _widened(xp: Any, array: Array) -> Array:
    if is_numpy_namespace(xp) and array.dtype.kind == "V":  # bfloat16, as JAX hands it to NumPy, which cannot name it
        return array.astype(xp.float32)
    if xp.isdtype(array.dtype, "complex floating"):
        raise ValueError(f"measures take real arrays, not {array.dtype}")
    if xp.isdtype(array.dtype, ("bool", "integral")):
        return xp.astype(array, xp.asarray(0.0).dtype)
    if xp.isdtype(array.dtype, "real floating") and xp.finfo(array.dtype).bits >= 32:
        return array
    return xp.astype(array, xp.float32)


def as_matrix(name: str, *arrays: Array) -> tuple[Any, ...]:
    """`as_real`, once the first array is known to be a matrix that is not empty."""
    shape = tuple(arrays[0].shape)
    if len(shape) != 2:
        raise ValueError(f"{name} must have two dimensions (samples, values), got shape {shape}")
    if 0 in shape:
        raise ValueError(f"{name} are empty: shape {shape}")
    return as_real(*arrays)


def known_labels(xp: Any, labels: Any, like: Array, name: str) -> Array:
    """The labels, one a row of `like`: of the namespace, but of NumPy for JAX unless they are traced.

    Within jit, JAX traces every operation, even one on labels that are known, and could then not look at their values.
    """
    if is_jax_namespace(xp):
        labels = _untraced(labels)
    elif not _belongs_to(xp, labels):  # a list, or NumPy labels of PyTorch features
        labels = xp.asarray(labels, device=_device(xp, like))
    if tuple(labels.shape) != (like.shape[0],):
        raise ValueError(f"one label a sample: {name} have shape {tuple(like.shape)}, labels {tuple(labels.shape)}")
    if not xp.isdtype(labels.dtype, ("integral", "bool")):
        raise ValueError(f"labels must be integers, not {labels.dtype}")
    return labels


def _belongs_to(xp: Any, array: Any) -> bool:
    return bool(is_array_api_obj(array)) and array_namespace(array) is xp


def _untraced(labels: Any) -> Array:
    try:
        return np.asarray(labels)
    except TypeError:  # how JAX refuses to look into a traced array
        return labels


def as_index(xp: Any, labels: Array, like: Array) -> Array:
    """The labels as the integers with which arrays of the namespace are indexed."""
    dtype = arange(xp, 1, like).dtype
    return xp.asarray(labels, dtype=dtype) if is_jax_namespace(xp) else xp.astype(labels, dtype, copy=False)


def compacted(labels: Array) -> tuple[Array, int]:
    """The labels renumbered 0, 1, … in the order of their values, and how many there are."""
    try:
        found = array_namespace(labels).unique_inverse(labels)
    except (TypeError, RuntimeError):  # how JAX and PyTorch refuse to look into traced values
        raise ValueError("the labels are not known while jit or vmap traces them: pass num_classes") from None
    return found.inverse_indices, int(found.values.shape[0])


def require_range(labels: Array, num_classes: int) -> None:
    """Refuse labels outside [0, num_classes), as far as their values are known here."""
    if within(labels, num_classes) is False:
        came = f"{int(labels.min())} to {int(labels.max())}"
        raise ValueError(f"labels must lie in [0, {num_classes}) for {num_classes} classes, got {came}")


def within(labels: Array, num_classes: int) -> bool | None:
    """Whether all labels lie in [0, num_classes), or None while they are traced."""
    try:
        return bool(((labels >= 0) & (labels < num_classes)).all())
    except (TypeError, RuntimeError):  # a traced value has no truth yet
        return None


def require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse an option that does not exist, and name those that do."""
    if value not in choices:
        raise ValueError(f"{name} = {value!r}: must be one of {', '.join(choices)}")


def product(xp: Any, left: Array, right: Array) -> Array:
    """Matrix product in the precision of the arrays: on a GPU, JAX would otherwise round float32 to 10 bits."""
    return xp.matmul(left, right, precision="highest") if is_jax_namespace(xp) else xp.matmul(left, right)


def constant(xp: Any, array: Array) -> Array:
    """The same values, through which no gradient flows."""
    if is_jax_namespace(xp):
        from jax.lax import stop_gradient

        return stop_gradient(array)
    return array.detach() if hasattr(array, "detach") else array


def arange(xp: Any, stop: int, like: Array) -> Array:
    """0, 1, …, stop-1 on the device of `like`."""
    return xp.arange(stop, device=_device(xp, like))


def diagonal(xp: Any, size: int, like: Array) -> Array:
    """True on the diagonal, shape (size, size), on the device of `like`."""
    index = arange(xp, size, like)
    return index[:, None] == index[None, :]


def ratio(xp: Any, top: Array, bottom: Array, zero_by_zero: float = math.nan) -> Array:
    """Quotient of numbers ≥ 0: inf for x/0, `zero_by_zero` for 0/0, without warnings and without NaN gradients."""
    zero = bottom == 0
    quotient = top / xp.where(zero, 1.0, bottom)
    return xp.where(zero & (top > 0), math.inf, xp.where(zero, zero_by_zero, quotient))


def root(xp: Any, square: Array) -> Array:
    """Square root whose gradient at zero is zero, not infinite."""
    zero = square == 0
    return xp.where(zero, 0.0, xp.sqrt(xp.where(zero, 1.0, square)))


def squared_norms(xp: Any, rows: Array) -> Array:
    """‖x_i‖² of every row, shape (N,)."""
    return xp.sum(rows * rows, axis=-1)


def squared_distances(xp: Any, rows: Array) -> Array:
    """‖x_i − x_j‖² for all pairs of K rows, shape (K, K), zero on the diagonal.

    By differences and not from the Gram matrix, which cancels exactly where it matters: for rows close to each other.
    Blocks keep the (K, K, d) differences from being held at once; XLA fuses them away by itself, but not those that
    backpropagation through them needs, so for JAX the derivative is one of matrix products.
    """
    if is_jax_namespace(xp):
        return _jax_squared_distances()(rows)
    count, width = rows.shape
    block = max(1, 2**22 // (count * width))
    blocks = [
        squared_norms(xp, rows[start : start + block, None, :] - rows[None, :, :]) for start in range(0, count, block)
    ]
    return blocks[0] if len(blocks) == 1 else xp.concat(blocks, axis=0)


@cache
def _jax_squared_distances() -> Callable[[Array], Array]:
    """`squared_distances` with the derivative 2 (⟨x_i, ẋ_i⟩ + ⟨x_j, ẋ_j⟩ − ⟨x_i, ẋ_j⟩ − ⟨x_j, ẋ_i⟩), rows centred.

    Its rounding is that of rows as far apart as they all lie from their mean, R: a gradient of Σ_ij S_ij ‖x_i − x_j‖²
    is off by some eps·R·Σ_j S_ij in row i. Rounding every row to its digits moves it by as much. A pair of one row with
    itself is left out, so that a large S_ii cannot drown the others.
    """
    import jax
    import jax.numpy as xp

    @jax.custom_jvp
    def distances(rows: Array) -> Array:
        return squared_norms(xp, rows[:, None, :] - rows[None, :, :])

    @distances.defjvp
    def derivative(values: tuple[Array], changes: tuple[Array]) -> tuple[Array, Array]:
        (rows,), (change,) = values, changes
        centred = rows - xp.mean(rows, axis=0)
        own = xp.sum(centred * change, axis=1)
        across = product(xp, centred, change.T)
        slope = 2 * (own[:, None] + own[None, :] - across - across.T)
        return distances(rows), xp.where(diagonal(xp, rows.shape[0], rows), 0.0, slope)

    return distances


def scalar(value: Array) -> Array:
    """A 0-d array: NumPy reductions give scalars, which are no arrays."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def _device(xp: Any, like: Array) -> Any:
    # traced JAX arrays have no device, and JAX puts constants where they are used
    return None if is_jax_namespace(xp) else device(like)
