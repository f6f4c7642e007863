"""Transformers that read images as sequences of patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from afterfit.models.model import require_images
from afterfit.parts import part, require

if TYPE_CHECKING:
    import jax

    from afterfit.models.vision_transformer_network import VisionTransformerNetwork


@part
class VisionTransformer:
    """A class token and the patches of an image through encoder layers; the class token is read out and classified.

    Patches are embedded by one linear layer, and positions by learned vectors. Encoder layers are PyTorch's, without
    dropout and with biases. The features are the class token's state after the last layer.

    Attributes:
        layers: number of encoder layers.
        width: size of a state d.
        heads: attention heads; they divide the width.
        mlp_width: hidden units of each layer's feed-forward part.
        patch: pixels on each side of a patch; it divides height and width.
        activation: of the feed-forward part.
        norm: layer normalisation after each residual sum (PyTorch's default, and the released code's) or before each
            sub-block.
        init_scale: the initial weights and biases of the feed-forward parts and of the head are multiplied by it, all
            others are not. These start as PyTorch's layers; the class token N(0, 1) and positions zero, as in the
            released code (the paper does not say).

    Source: Sakamoto & Sato 2025, figure 9, with init_scale = 8.
    """

    layers: int = 1
    width: int = 128
    heads: int = 4
    mlp_width: int = 256
    patch: int = 4
    activation: Literal["relu", "gelu"] = "relu"
    norm: Literal["post", "pre"] = "post"
    init_scale: float = 1.0

    def check(self) -> None:
        """Refuse sizes that do not fit together."""
        for field in ("layers", "width", "heads", "mlp_width", "patch"):
            require(getattr(self, field) >= 1, field, getattr(self, field), "must be 1 or more")
        fitting = [heads for heads in range(1, self.width + 1) if self.width % heads == 0]
        right = f"must divide width = {self.width}: one of {', '.join(map(str, fitting))}"
        require(self.width % self.heads == 0, "heads", self.heads, right)
        require(0 < self.init_scale < float("inf"), "init_scale", self.init_scale, "must be a finite number above 0")

    def build(
        self, key: jax.Array, inputs: np.ndarray, num_classes: int, vocabulary: int | None
    ) -> VisionTransformerNetwork:
        """The network at its start, for images like these (N, H, W, C)."""
        from afterfit.models.vision_transformer_network import VisionTransformerNetwork

        require_images("VisionTransformer", inputs, vocabulary)
        height, width = inputs.shape[1:3]
        right = f"must divide height and width of the images, {height} × {width}"
        require(height % self.patch == 0 == width % self.patch, "patch", self.patch, right)
        return VisionTransformerNetwork.start(self, key, inputs.shape[1:], num_classes)
