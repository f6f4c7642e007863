"""The few layers that the models share. All take batches: (N, in) to (N, out)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

Activation = Literal["relu", "gelu", "smooth_leaky_relu"]
SMOOTH_LEAKY_SLOPE = 0.1
Change = Callable[[str, jax.Array], jax.Array]  # a layer's name and output (N, …), to what takes the output's place


def unchanged(layer: str, output: jax.Array) -> jax.Array:
    """Every layer's output as it is."""
    return output


def activate(x: jax.Array, activation: str) -> jax.Array:
    """ReLU; the exact (error function) GELU; or γx + (1−γ)(log(1 + eˣ) − log 2) with γ = .1.

    The last is 0 at 0, with a slope in [γ, 1] whose derivative is at most (1−γ)/4: what Nguyen & Mondelli 2020, and
    with them Sakamoto & Sato 2025 (Theorem 4.3), assume of an activation.
    """
    if activation == "smooth_leaky_relu":
        slope = SMOOTH_LEAKY_SLOPE
        return slope * x + (1 - slope) * (jax.nn.softplus(x) - math.log(2.0))
    return jax.nn.relu(x) if activation == "relu" else jax.nn.gelu(x, approximate=False)


def uniform_fan_in(key: jax.Array, shape: tuple[int, ...], fan_in: int) -> jax.Array:
    """U(−1/√fan_in, 1/√fan_in): PyTorch's default for the weights and biases of a linear layer."""
    bound = 1 / math.sqrt(fan_in)
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


class Linear(eqx.Module):
    """x Wᵀ + b, with W of shape (out, in); or, stored the other way round, x V + b with V of shape (in, out).

    A weight's gradient is a product over the batch, and on a CPU such a product runs at half speed when its second
    side is the shorter one. So layers that widen are stored as (in, out).
    """

    weight: jax.Array
    bias: jax.Array | None
    input_first: bool = eqx.field(static=True, default=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply to the last axis."""
        y = x @ (self.weight if self.input_first else self.weight.T)
        return y if self.bias is None else y + self.bias

    def stored(self, *, input_first: bool) -> Linear:
        """The same layer, stored in the order that is asked for."""
        return self if self.input_first == input_first else Linear(self.weight.T, self.bias, input_first)

    @classmethod
    def uniform(cls, key: jax.Array, fan_in: int, fan_out: int, *, bias: bool = True) -> Linear:
        """PyTorch's default initialisation: weights and biases from U(±1/√fan_in)."""
        weight_key, bias_key = jax.random.split(key)
        weight = uniform_fan_in(weight_key, (fan_out, fan_in), fan_in)
        return cls(weight, uniform_fan_in(bias_key, (fan_out,), fan_in) if bias else None)

    @classmethod
    def normal(cls, key: jax.Array, fan_in: int, fan_out: int, *, std: float, bias: bool = True) -> Linear:
        """Weights from N(0, std²), biases zero."""
        return cls(std * jax.random.normal(key, (fan_out, fan_in)), jnp.zeros(fan_out) if bias else None)


class LayerNorm(eqx.Module):
    """Layer normalisation of the last axis, with a learned scale and, if wanted, a learned offset."""

    weight: jax.Array
    bias: jax.Array | None

    def __call__(self, x: jax.Array) -> jax.Array:
        """(x − mean) / √(variance + 1e-5) · weight + bias."""
        centred = x - x.mean(axis=-1, keepdims=True)
        y = centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5) * self.weight
        return y if self.bias is None else y + self.bias

    @classmethod
    def start(cls, width: int, *, bias: bool = True) -> LayerNorm:
        """Scale one, offset zero."""
        return cls(jnp.ones(width), jnp.zeros(width) if bias else None)
