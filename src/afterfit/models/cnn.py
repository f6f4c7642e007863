"""Convolutional networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from afterfit.models.model import require_images
from afterfit.parts import part, require

if TYPE_CHECKING:
    import jax

    from afterfit.models.cnn_network import CNNNetwork


@part
class CNN:
    """A convolutional network: 3 × 3 convolutions, one 2 × 2 max-pooling, linear layers, and the head.

    An activation follows each convolution and each linear layer but the head. The features are what the last hidden
    layer gives after its activation.

    Attributes:
        channels: of each convolution. The released code has twice as many, (32, 64), for images with colours.
        widths: units of each hidden linear layer.
        padding: rows and columns of zeros around what each convolution reads; 1 keeps the size, as the released code
            does (the paper does not say).
        activation: after each convolution and each hidden layer.
        init_scale: the initial weights and biases of the linear layers, head too, are multiplied by it, those of the
            convolutions are not.

    Source: Sakamoto & Sato 2025, figure 7, with init_scale = 8.
    """

    channels: tuple[int, ...] = (16, 32)
    widths: tuple[int, ...] = (128,)
    padding: int = 1
    activation: Literal["relu", "gelu"] = "relu"
    init_scale: float = 1.0

    def check(self) -> None:
        """Refuse layers without units, negative padding, and scales that are not positive."""
        for field, what in (("channels", "convolution"), ("widths", "hidden layer")):
            sizes = getattr(self, field)
            require(bool(sizes), field, sizes, f"needs one {what} at least")
            require(all(size >= 1 for size in sizes), field, sizes, "must all be 1 or more")
        require(self.padding >= 0, "padding", self.padding, "must be 0 or more")
        require(0 < self.init_scale < float("inf"), "init_scale", self.init_scale, "must be a finite number above 0")

    def build(self, key: jax.Array, inputs: np.ndarray, num_classes: int, vocabulary: int | None) -> CNNNetwork:
        """The network at its start, for images like these (N, H, W, C)."""
        from afterfit.models.cnn_network import CNNNetwork

        require_images("CNN", inputs, vocabulary)
        side = min(inputs.shape[1:3]) + 2 * (self.padding - 1) * len(self.channels)
        right = f"leaves nothing of images of {inputs.shape[1]} × {inputs.shape[2]} pixels before the pooling"
        require(side >= 2, "padding", self.padding, right)
        return CNNNetwork.start(self, key, inputs.shape[1:], num_classes)
