"""Residual networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from afterfit.models.model import require_images
from afterfit.parts import part, require

if TYPE_CHECKING:
    import jax

    from afterfit.models.resnet_network import ResNetNetwork


@part
class ResNet18:
    """A residual network of 18 layers with batch normalisation (He et al. 2016): a stem, four stages of two blocks.

    From the second stage on, the first block of a stage halves height and width. The features are the mean over all
    places of what the last block gives. In training, batch normalisation uses mean and variance of the minibatch; in
    observations, the running averages of both, which are carried along and are no parameters: weight decay, norms
    and interventions leave them alone.

    Attributes:
        widths: channels of each stage.
        stem: "3x3": one convolution that keeps the size, for small images (Sakamoto & Sato 2025, on CIFAR-10);
            "7x7": one of stride 2, and a max-pooling of stride 2, as for ImageNet (Han et al. 2025).
        init: "torch": PyTorch's default for each layer; "torchvision": the same, but the convolutions start from
            N(0, 2/fan_out), fan_out = size·size·(channels out), as torchvision's resnet18 does.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    stem: Literal["3x3", "7x7"] = "3x3"
    init: Literal["torch", "torchvision"] = "torch"

    def check(self) -> None:
        """Refuse other than four stages, and stages without channels."""
        require(len(self.widths) == 4, "widths", self.widths, "must be four, the channels of each stage")
        require(all(width >= 1 for width in self.widths), "widths", self.widths, "must all be 1 or more")

    def build(self, key: jax.Array, inputs: np.ndarray, num_classes: int, vocabulary: int | None) -> ResNetNetwork:
        """The network at its start, for images like these (N, H, W, C)."""
        from afterfit.models.resnet_network import ResNetNetwork

        require_images("ResNet18", inputs, vocabulary)
        return ResNetNetwork.start(self, key, inputs.shape[3], num_classes)
