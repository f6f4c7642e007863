"""The Equinox module that a `Transformer` builds. See README.md in this folder for the factored first block."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from afterfit.models.layers import LayerNorm, Linear, activate

if TYPE_CHECKING:
    from afterfit.models.transformer import Transformer


class Occurrence(NamedTuple):
    """Which tokens occur at which position: the rows of the first block's tables.

    Attributes:
        tokens: for each position, the tokens that occur there, rising.
        starts: for each position, the row of its first token.
    """

    tokens: tuple[tuple[int, ...], ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, inputs: np.ndarray) -> Occurrence:
        """Read it off the table's tokens, shape (N, positions)."""
        tokens = tuple(tuple(map(int, np.unique(column))) for column in inputs.T)
        return cls(tokens, tuple(int(n) for n in np.cumsum([0, *map(len, tokens[:-1])])))


class Block(eqx.Module):
    """Attention and MLP, each added to the state that it read."""

    query: Linear
    key: Linear
    value: Linear
    output: Linear
    mlp_in: Linear
    mlp_out: Linear
    attention_norm: LayerNorm | None
    mlp_norm: LayerNorm | None
    heads: int = eqx.field(static=True)
    pre_norm: bool = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def read(self, x: jax.Array) -> jax.Array:
        """What the attention reads of a state."""
        return self.attention_norm(x) if self.pre_norm and self.attention_norm else x

    def split(self, x: jax.Array) -> jax.Array:
        """(…, d) to (…, heads, d / heads)."""
        return x.reshape(*x.shape[:-1], self.heads, -1)

    def attend(self, states: jax.Array, queries: slice, causal: bool) -> jax.Array:
        """Attention output at some positions, for states (N, S, d): shape (N, queried, d)."""
        z = self.read(states)
        q, k, v = self.split(self.query(z[:, queries])), self.split(self.key(z)), self.split(self.value(z))
        scores = jnp.einsum("nqhd,nshd->nhqs", q, k) / math.sqrt(q.shape[-1])
        if causal:
            position = np.arange(states.shape[1])
            scores = jnp.where(position[None, :] <= position[queries, None], scores, -jnp.inf)
        mixed = jnp.einsum("nhqs,nshd->nqhd", jax.nn.softmax(scores, axis=-1), v)
        return self.output(mixed.reshape(*mixed.shape[:2], -1))

    def finish(self, state: jax.Array, attended: jax.Array) -> jax.Array:
        """The state after both residual sums."""
        state = state + attended
        if self.attention_norm and not self.pre_norm:
            state = self.attention_norm(state)
        z = self.mlp_norm(state) if self.mlp_norm and self.pre_norm else state
        state = state + self.mlp_out(activate(self.mlp_in(z), self.activation))
        return self.mlp_norm(state) if self.mlp_norm and not self.pre_norm else state


class TransformerNetwork(eqx.Module):
    """Embeddings, blocks, the final norm and the head."""

    embedding: jax.Array
    position: jax.Array | None
    blocks: tuple[Block, ...]
    final_norm: LayerNorm | None
    head: Linear
    occurrence: Occurrence = eqx.field(static=True)
    causal: bool = eqx.field(static=True)
    readout: int = eqx.field(static=True)

    def features(self, inputs: jax.Array) -> jax.Array:
        """The state that the head reads, for tokens (N, S): shape (N, d)."""
        return list(self.layers(inputs).values())[-1]

    def layers(self, inputs: jax.Array) -> dict[str, jax.Array]:
        """The state at the readout position after each block, and after the final norm: shapes (N, d)."""
        only_readout = slice(self.readout, self.readout + 1)
        everywhere = slice(0, inputs.shape[1])
        outputs, states = {}, jnp.empty(0)
        for index, block in enumerate(self.blocks):
            queries = only_readout if index == len(self.blocks) - 1 else everywhere
            if index == 0:
                states = self.first_block(inputs, queries)
            else:
                states = block.finish(states[:, queries], block.attend(states, queries, self.causal))
            outputs[f"block{index}"] = states[:, 0 if queries is only_readout else self.readout]
        if self.final_norm:
            outputs["final_norm"] = self.final_norm(outputs[f"block{len(self.blocks) - 1}"])
        return outputs

    def plain_layers(self, inputs: jax.Array) -> dict[str, jax.Array]:
        """The same by the textbook: every position of every sequence through every block. For tests and reading."""
        states, everywhere, outputs = self.embed(inputs), slice(0, inputs.shape[1]), {}
        for index, block in enumerate(self.blocks):
            states = block.finish(states, block.attend(states, everywhere, self.causal))
            outputs[f"block{index}"] = states[:, self.readout]
        if self.final_norm:
            outputs["final_norm"] = self.final_norm(states[:, self.readout])
        return outputs

    def embed(self, inputs: jax.Array) -> jax.Array:
        """Token plus position embedding: (N, S) to (N, S, d)."""
        return self.embedding[inputs] + self.positions(inputs.shape[1])

    def positions(self, length: int) -> jax.Array:
        """Position embeddings, learned or fixed: shape (S, d)."""
        return sinusoids(length, self.embedding.shape[1]) if self.position is None else self.position

    def first_block(self, inputs: jax.Array, queries: slice) -> jax.Array:
        """The first block with queries, keys, values and scores computed once a (token, position), then gathered."""
        block, tokens = self.blocks[0], self.occurrence.tokens
        positions = self.positions(inputs.shape[1])
        rows = [self.embedding[np.array(t)] + positions[s] for s, t in enumerate(tokens)]
        read = [block.read(x) for x in rows]
        where = [self.rows_of(inputs[:, s], s) for s in range(len(tokens))]
        keys = [block.split(block.key(x)) for x in read]
        values = [block.value(x) for x in read]
        states = []
        for s in range(*queries.indices(len(tokens))):
            query = block.split(block.query(read[s])) / math.sqrt(keys[0].shape[-1])
            seen = range(s + 1) if self.causal else range(len(tokens))
            scores = [self.gather_scores(query, keys[t], where[s], where[t]) for t in seen]
            attended = block.output(mix(scores, [values[t] for t in seen], [where[t] for t in seen]))
            states.append(block.finish(take_rows(rows[s], where[s]), attended))
        return jnp.stack(states, axis=1)

    def rows_of(self, tokens: jax.Array, position: int) -> jax.Array:
        """The index of each token among those that occur at its position: (N,) to (N,)."""
        occurring = np.array(self.occurrence.tokens[position])
        if np.array_equal(occurring, np.arange(len(occurring))):
            return tokens
        lookup = np.zeros(self.embedding.shape[0], np.int32)
        lookup[occurring] = np.arange(len(occurring))
        return jnp.asarray(lookup)[tokens]

    @staticmethod
    def gather_scores(query: jax.Array, key: jax.Array, query_row: jax.Array, key_row: jax.Array) -> jax.Array:
        """Scores of every query row with every key row, then those of the samples: shape (heads, N)."""
        table = jnp.einsum("qhd,khd->hqk", query, key)
        if table.shape[1] == 1:
            return take_columns(table[:, 0], key_row)
        return take_columns(table.reshape(table.shape[0], -1), query_row * table.shape[2] + key_row)


def take_rows(table: jax.Array, rows: jax.Array) -> jax.Array:
    """table[rows], without a gather when there is one row only: (R, d) to (N, d)."""
    return jnp.broadcast_to(table, (len(rows), table.shape[1])) if len(table) == 1 else table[rows]


def take_columns(table: jax.Array, columns: jax.Array) -> jax.Array:
    """table[:, columns]: (heads, R) to (heads, N)."""
    return jnp.broadcast_to(table, (len(table), len(columns))) if table.shape[1] == 1 else table[:, columns]


def mix(scores: list[jax.Array], values: list[jax.Array], rows: list[jax.Array]) -> jax.Array:
    """Softmax over the positions, then the weighted sum of their values: shape (N, d)."""
    weights = jax.nn.softmax(jnp.stack(scores), axis=0)
    heads, width = weights.shape[1], values[0].shape[1]
    by_unit = [jnp.repeat(w.T, width // heads, axis=1) for w in weights]
    return sum((w * take_rows(v, r) for w, v, r in zip(by_unit, values, rows, strict=True)), start=jnp.zeros(()))


def sinusoids(length: int, width: int) -> jax.Array:
    """sin(s / 10000^(2i/d)) and cos of the same, side by side (Vaswani et al. 2017): shape (S, d)."""
    angles = np.arange(length)[:, None] / 10_000 ** (np.arange(0, width, 2) / width)
    return jnp.asarray(np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(length, -1)[:, :width], jnp.float32)


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
        Occurrence.of(inputs),
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
