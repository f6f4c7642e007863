"""The machine's peak: the fastest float32 matrix product over a few shapes."""

from __future__ import annotations

import time
from collections.abc import Callable

SHAPES = ((512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (4704, 128, 512), (4704, 512, 128))


def best(product: Callable[[int, int, int], Callable[[], object]], seconds: float) -> float:
    """Operations a second of the best call over all shapes.

    Args:
        product: for (m, k, n), a function that multiplies (m, k) by (k, n) and waits for the result.
        seconds: time for each shape.
    """
    return max(_best_of_shape(product(*shape), 2 * shape[0] * shape[1] * shape[2], seconds) for shape in SHAPES)


def _best_of_shape(multiply: Callable[[], object], operations: int, seconds: float) -> float:
    multiply()
    fastest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        multiply()
        fastest = min(fastest, time.perf_counter() - began)
    return operations / fastest


class JaxProduct:
    """The peak as JAX reaches it."""

    def peak(self, seconds: float) -> float:
        """Operations a second."""
        import jax
        import jax.numpy as jnp

        def product(m: int, k: int, n: int) -> Callable[[], object]:
            a, b = jnp.ones((m, k)), jnp.ones((k, n))
            multiply = jax.jit(jnp.matmul)
            return lambda: multiply(a, b).block_until_ready()

        return best(product, seconds)


class TorchProduct:
    """The peak as PyTorch reaches it."""

    def peak(self, seconds: float) -> float:
        """Operations a second."""
        import torch

        def product(m: int, k: int, n: int) -> Callable[[], object]:
            a, b = torch.ones(m, k), torch.ones(k, n)
            return lambda: torch.mm(a, b)

        return best(product, seconds)
