"""Transformers over short sequences of tokens, read out at one position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from afterfit.parts import part, require

if TYPE_CHECKING:
    import jax

    from afterfit.models.transformer_network import TransformerNetwork


@part
class Transformer:
    """Attention and MLP blocks over token and position embeddings; one position is read out and classified.

    The features are the state at the readout position after the last block (and after the final norm, if there is one).

    Attributes:
        layers: number of blocks.
        width: size of a state d.
        heads: attention heads; they divide the width.
        mlp_width: hidden units of each block's MLP.
        activation: of the MLP.
        norm: where layer normalisation stands: nowhere, before each sub-block, or after each residual sum.
        final_norm: one more layer normalisation before the head.
        positions: learned position embeddings, or fixed sines and cosines (Vaswani et al. 2017).
        causal: whether a position sees only itself and earlier ones.
        readout: index of the position that is read out; -1 is the last.
        bias: which linear layers have a bias: none, the MLP's only (Nanda et al. 2023), or all, head and attention too.
        init: "normal": matrices and embeddings N(0, 1/width), head N(0, 1/classes), biases zero (Nanda et al. 2023);
            "torch": as PyTorch's TransformerEncoderLayer, Embedding and Linear start.
        init_scale: all initial matrices and embeddings are multiplied by it (norms are not).
    """

    layers: int = 1
    width: int = 128
    heads: int = 4
    mlp_width: int = 512
    activation: Literal["relu", "gelu", "smooth_leaky_relu"] = "relu"
    norm: Literal["none", "pre", "post"] = "none"
    final_norm: bool = False
    positions: Literal["learned", "sinusoidal"] = "learned"
    causal: bool = True
    readout: int = -1
    bias: Literal["none", "mlp", "all"] = "mlp"
    init: Literal["normal", "torch"] = "normal"
    init_scale: float = 1.0

    def check(self) -> None:
        """Refuse sizes that do not fit together."""
        for field in ("layers", "width", "heads", "mlp_width"):
            require(getattr(self, field) >= 1, field, getattr(self, field), "must be 1 or more")
        fitting = [heads for heads in range(1, self.width + 1) if self.width % heads == 0]
        right = f"must divide width = {self.width}: one of {', '.join(map(str, fitting))}"
        require(self.width % self.heads == 0, "heads", self.heads, right)
        require(0 < self.init_scale < float("inf"), "init_scale", self.init_scale, "must be a finite number above 0")

    def build(self, key: jax.Array, inputs: np.ndarray, num_classes: int, vocabulary: int | None) -> TransformerNetwork:
        """The network at its start, for tokens like these (N, positions); what recurs is read off them."""
        from afterfit.models.transformer_start import start

        require(vocabulary is not None, "model", "Transformer", "needs a task whose inputs are tokens")
        positions = inputs.shape[1]
        right = f"must lie in {-positions} … {positions - 1}: the task has {positions} positions"
        require(-positions <= self.readout < positions, "readout", self.readout, right)
        return start(self, key, inputs, num_classes, vocabulary or 0)
