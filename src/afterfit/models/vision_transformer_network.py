"""The Equinox module that a `VisionTransformer` builds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp

from afterfit.models.layers import Change, Linear, unchanged
from afterfit.models.transformer import Transformer
from afterfit.models.transformer_network import Block
from afterfit.models.transformer_start import start_block

if TYPE_CHECKING:
    from afterfit.models.vision_transformer import VisionTransformer

CLASS_TOKEN = slice(0, 1)  # the position that is read out


class VisionTransformerNetwork(eqx.Module):
    """The embedding of patches, the class token, positions, encoder layers and the head."""

    embedding: Linear
    class_token: jax.Array
    position: jax.Array
    blocks: tuple[Block, ...]
    head: Linear
    patch: int = eqx.field(static=True)

    @classmethod
    def start(
        cls, spec: VisionTransformer, key: jax.Array, shape: tuple[int, ...], num_classes: int
    ) -> VisionTransformerNetwork:
        """Initial parameters for images of a shape (H, W, C); feed-forward parts and head times the init scale."""
        embedding_key, token_key, head_key, *block_keys = jax.random.split(key, 3 + spec.layers)
        tokens = (shape[0] // spec.patch) * (shape[1] // spec.patch)
        encoder = Transformer(
            width=spec.width, heads=spec.heads, mlp_width=spec.mlp_width, activation=spec.activation, norm=spec.norm,
            bias="all", init="torch",
        )  # fmt: skip
        return cls(
            Linear.uniform(embedding_key, spec.patch**2 * shape[2], spec.width),
            jax.random.normal(token_key, (spec.width,)),
            jnp.zeros((1 + tokens, spec.width)),
            tuple(_scaled_block(start_block(encoder, k), spec.init_scale) for k in block_keys),
            _scaled(Linear.uniform(head_key, spec.width, num_classes), spec.init_scale),
            spec.patch,
        )

    def embed(self, images: jax.Array) -> jax.Array:
        """Class token and patches, row by row, plus positions: (N, H, W, C) to (N, 1 + patches, d)."""
        n, height, width, channels = images.shape
        p = self.patch
        split = images.reshape(n, height // p, p, width // p, p, channels).swapaxes(2, 3)
        patches = self.embedding(split.reshape(n, -1, p * p * channels))
        token = jnp.broadcast_to(self.class_token, (n, 1, len(self.class_token)))
        return jnp.concatenate([token, patches], axis=1) + self.position

    def layers(self, inputs: jax.Array, change: Change = unchanged) -> dict[str, jax.Array]:
        """The class token's state after each encoder layer: shapes (N, d). That of the last one can be changed.

        The last encoder layer computes that state only.
        """
        states, outputs = self.embed(inputs), {}
        for depth, block in enumerate(self.blocks):
            is_last = depth == len(self.blocks) - 1
            queries = CLASS_TOKEN if is_last else slice(0, states.shape[1])
            states = block.finish(states[:, queries], block.attend(states, queries, causal=False))
            outputs[f"block{depth}"] = change(f"block{depth}", states[:, 0]) if is_last else states[:, 0]
        return outputs

    def features(self, inputs: jax.Array, change: Change = unchanged) -> jax.Array:
        """What the head reads, for images (N, H, W, C): shape (N, d)."""
        return self.layers(inputs, change)[f"block{len(self.blocks) - 1}"]


def _scaled(layer: Linear, scale: float) -> Linear:
    return jax.tree.map(lambda x: scale * x, layer)


def _scaled_block(block: Block, scale: float) -> Block:
    return replace(block, mlp_in=_scaled(block.mlp_in, scale), mlp_out=_scaled(block.mlp_out, scale))
