"""The Equinox module that an `MLP` builds."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import equinox as eqx
import jax

from afterfit.models.layers import Change, Linear, activate, unchanged

if TYPE_CHECKING:
    from afterfit.models.mlp import MLP


class MLPNetwork(eqx.Module):
    """Hidden linear layers, an activation after each but the last `linear` of them, and the head."""

    hidden: tuple[Linear, ...]
    head: Linear
    activation: str = eqx.field(static=True)
    vocabulary: int | None = eqx.field(static=True)
    linear: int = eqx.field(static=True, default=0)

    @classmethod
    def start(cls, spec: MLP, key: jax.Array, fan_in: int, num_classes: int, vocabulary: int | None) -> MLPNetwork:
        """Initial parameters, all multiplied by the init scale."""
        sizes = (fan_in, *spec.widths, num_classes)
        keys = jax.random.split(key, len(sizes) - 1)
        layers = [Linear.uniform(k, a, b, bias=spec.bias) for k, (a, b) in zip(keys, pairwise(sizes), strict=True)]
        *hidden, head = jax.tree.map(lambda x: spec.init_scale * x, layers)
        return cls(tuple(hidden), head, spec.activation, vocabulary, spec.linear or 0)

    def layers(self, inputs: jax.Array, change: Change = unchanged) -> dict[str, jax.Array]:
        """What each hidden layer gives after its activation, and after a change of it: shapes (N, width)."""
        if self.vocabulary is not None:
            inputs = jax.nn.one_hot(inputs, self.vocabulary, dtype=self.head.weight.dtype)
        x = inputs.reshape(inputs.shape[0], -1)
        outputs = {}
        for index, layer in enumerate(self.hidden):
            bent = index < len(self.hidden) - self.linear
            x = outputs[f"hidden{index}"] = change(
                f"hidden{index}", activate(layer(x), self.activation) if bent else layer(x)
            )
        return outputs

    def features(self, inputs: jax.Array, change: Change = unchanged) -> jax.Array:
        """What the head reads: shape (N, width of the last hidden layer)."""
        return self.layers(inputs, change)[f"hidden{len(self.hidden) - 1}"]
