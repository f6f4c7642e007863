"""Fully connected networks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from afterfit.parts import part, require

if TYPE_CHECKING:
    import jax

    from afterfit.models.mlp_network import MLPNetwork


@part
class MLP:
    """A multilayer perceptron: linear layers with an activation after each but the last, which is the head.

    The features are what the last hidden layer gives after its activation. Inputs are flattened; tokens are one-hot.

    Attributes:
        widths: units of each hidden layer.
        activation: after each hidden layer.
        bias: whether the linear layers have one.
        init_scale: all initial parameters, biases too, are multiplied by it (Liu et al. 2022, Sakamoto & Sato 2025: 8).
        linear: so many of the last hidden layers have no activation after them; none for an activation after each. With
            one, the network ends in two linear layers, as the theory behind Sakamoto & Sato 2025, theorem 4.3, asks.
    """

    widths: tuple[int, ...] = (200, 200, 200)
    activation: Literal["relu", "gelu", "smooth_leaky_relu"] = "relu"
    bias: bool = True
    init_scale: float = 1.0
    linear: int | None = None  # not 0: runs from before this field say nothing of it, and are to be gone on with

    def check(self) -> None:
        """Refuse layers without units and scales that are not positive."""
        require(bool(self.widths), "widths", self.widths, "needs one hidden layer at least")
        require(all(width >= 1 for width in self.widths), "widths", self.widths, "must all be 1 or more")
        require(0 < self.init_scale < float("inf"), "init_scale", self.init_scale, "must be a finite number above 0")
        most = len(self.widths)
        right = f"must lie between 0 and {most}, the hidden layers there are"
        require(self.linear is None or 0 <= self.linear <= most, "linear", self.linear, right)

    def build(self, key: jax.Array, inputs: np.ndarray, num_classes: int, vocabulary: int | None) -> MLPNetwork:
        """The network at its start, for inputs like these: tokens (N, positions) or numbers (N, …)."""
        from afterfit.models.mlp_network import MLPNetwork

        fan_in = math.prod(inputs.shape[1:]) * (vocabulary or 1)
        return MLPNetwork.start(self, key, fan_in, num_classes, vocabulary)
