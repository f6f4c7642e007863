"""How a transformer starts: its initial parameters."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from afterfit.models.layers import LayerNorm, Linear
from afterfit.models.prefixes import Recurring
from afterfit.models.transformer_network import Block, TransformerNetwork

if TYPE_CHECKING:
    from afterfit.models.transformer import Transformer


def start(
    spec: Transformer, key: jax.Array, inputs: np.ndarray, num_classes: int, vocabulary: int
) -> TransformerNetwork:
    """Initial parameters, by the spec's `init`; matrices and embeddings multiplied by its `init_scale`."""
    embedding_key, position_key, head_key, *block_keys = jax.random.split(key, 3 + spec.layers)
    embedding_std = 1.0 if spec.init == "torch" else spec.width**-0.5
    embedding = embedding_std * jax.random.normal(embedding_key, (vocabulary, spec.width))
    position = embedding_std * jax.random.normal(position_key, (inputs.shape[1], spec.width))
    head_bias = spec.bias == "all"
    if spec.init == "torch":
        head = Linear.uniform(head_key, spec.width, num_classes, bias=head_bias)
    else:
        head = Linear.normal(head_key, spec.width, num_classes, std=num_classes**-0.5, bias=head_bias)
    blocks = tuple(start_block(spec, k) for k in block_keys)
    learned = position if spec.positions == "learned" else None
    embedding, learned, blocks, head = scale_linear((embedding, learned, blocks, head), spec.init_scale)
    return TransformerNetwork(
        embedding,
        learned,
        blocks,
        LayerNorm.start(spec.width, bias=spec.bias != "none") if spec.final_norm else None,
        head,
        Recurring.of(inputs, vocabulary),
        spec.causal,
        spec.readout % inputs.shape[1],
    )


def start_block(spec: Transformer, key: jax.Array) -> Block:
    """One block's initial parameters."""
    keys = jax.random.split(key, 6)
    d, bias_all, bias_mlp = spec.width, spec.bias == "all", spec.bias != "none"
    sizes = [(d, d), (d, d), (d, d), (d, d), (d, spec.mlp_width), (spec.mlp_width, d)]
    biases = [bias_all] * 4 + [bias_mlp] * 2
    make = start_torch if spec.init == "torch" else start_normal
    linear = [make(k, i, *size, bias=b) for i, (k, size, b) in enumerate(zip(keys, sizes, biases, strict=True))]
    query, key_, value, output, mlp_in, mlp_out = linear
    attention_norm, mlp_norm = (LayerNorm.start(d, bias=bias_mlp) if spec.norm != "none" else None for _ in range(2))
    return Block(
        query, key_, value, output, mlp_in.stored(input_first=True), mlp_out, attention_norm, mlp_norm,
        spec.heads, spec.norm == "pre", spec.activation,
    )  # fmt: skip


def start_normal(key: jax.Array, index: int, fan_in: int, fan_out: int, *, bias: bool) -> Linear:
    """N(0, 1/width) where the width is the smaller side, as Nanda et al. 2023 start all matrices of a block."""
    return Linear.normal(key, fan_in, fan_out, std=min(fan_in, fan_out) ** -0.5, bias=bias)


def start_torch(key: jax.Array, index: int, fan_in: int, fan_out: int, *, bias: bool) -> Linear:
    """As torch.nn.TransformerEncoderLayer: Glorot for the packed q, k, v; zero attention biases; else U(±1/√fan_in)."""
    layer = Linear.uniform(key, fan_in, fan_out, bias=bias)
    if index < 3:
        bound = math.sqrt(6 / (fan_in + 3 * fan_out))
        layer = Linear(jax.random.uniform(key, (fan_out, fan_in), minval=-bound, maxval=bound), layer.bias)
    if index < 4 and layer.bias is not None:
        layer = Linear(layer.weight, jnp.zeros_like(layer.bias))
    return layer


def scale_linear(tree: tuple, scale: float) -> tuple:
    """Multiply all but the layer norms."""
    is_norm = lambda node: isinstance(node, LayerNorm)  # noqa: E731
    return jax.tree.map(lambda node: node if is_norm(node) else scale * node, tree, is_leaf=is_norm)
