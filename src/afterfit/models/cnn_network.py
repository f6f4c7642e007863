"""The Equinox module that a `CNN` builds."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import equinox as eqx
import jax

from afterfit.models.convolution import Convolution, max_pool
from afterfit.models.layers import Change, Linear, activate, unchanged

if TYPE_CHECKING:
    from afterfit.models.cnn import CNN


class CNNNetwork(eqx.Module):
    """Convolutions, a max-pooling, hidden linear layers, and the head."""

    convolutions: tuple[Convolution, ...]
    hidden: tuple[Linear, ...]
    head: Linear
    activation: str = eqx.field(static=True)

    @classmethod
    def start(cls, spec: CNN, key: jax.Array, shape: tuple[int, ...], num_classes: int) -> CNNNetwork:
        """Initial parameters for images of a shape (H, W, C); those of linear layers times the init scale."""
        height, width = ((side + 2 * (spec.padding - 1) * len(spec.channels)) // 2 for side in shape[:2])
        channels = (shape[2], *spec.channels)
        sizes = (height * width * channels[-1], *spec.widths, num_classes)
        keys = iter(jax.random.split(key, len(channels) + len(sizes) - 2))
        convolutions = [Convolution.uniform(next(keys), a, b, padding=spec.padding) for a, b in pairwise(channels)]
        linear = [Linear.uniform(next(keys), a, b) for a, b in pairwise(sizes)]
        *hidden, head = jax.tree.map(lambda x: spec.init_scale * x, linear)
        return cls(tuple(convolutions), tuple(hidden), head, spec.activation)

    def layers(self, inputs: jax.Array, change: Change = unchanged) -> dict[str, jax.Array]:
        """What each layer gives after its activation, and after a change of it, for images (N, H, W, C).

        "convolution0", … before the pooling, shapes (N, H', W', channels); "hidden0", …, shapes (N, width).
        """
        x, outputs = inputs, {}
        for index, convolution in enumerate(self.convolutions):
            name = f"convolution{index}"
            x = outputs[name] = change(name, activate(convolution(x), self.activation))
        x = max_pool(x).reshape(len(x), -1)
        for index, layer in enumerate(self.hidden):
            x = outputs[f"hidden{index}"] = change(f"hidden{index}", activate(layer(x), self.activation))
        return outputs

    def features(self, inputs: jax.Array, change: Change = unchanged) -> jax.Array:
        """What the head reads: shape (N, width of the last hidden layer)."""
        return self.layers(inputs, change)[f"hidden{len(self.hidden) - 1}"]
