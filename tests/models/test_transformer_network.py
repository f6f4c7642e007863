"""A transformer with its first block factored is the textbook's transformer, and PyTorch's."""

from itertools import cycle, product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from afterfit.models import Transformer
from afterfit.models.transformer_network import sinusoids
from afterfit.parts import SpecError
from afterfit.tasks import ModularArithmetic, PermutationComposition

WIDTH, HEADS, MLP_WIDTH, P = 12, 3, 20, 5
FULL = {"norm": ["none", "pre", "post"], "causal": [True, False], "layers": [1, 2]}
BESIDE = {"sequence": ["pair", "equals", "full"], "positions": ["learned", "sinusoidal"], "readout": [-1, 0],
          "bias": ["none", "mlp", "all"], "activation": ["relu", "gelu"], "final_norm": [True, False]}  # fmt: skip


def every(options: dict) -> list[dict]:
    return [dict(zip(options, values, strict=True)) for values in product(*options.values())]


def pairs(fields: dict) -> set:
    return {pair for pair in product(fields.items(), fields.items()) if pair[0] != pair[1]}


def combinations() -> list[dict]:
    """Every way through the blocks, each with options beside it so that all pairs of options occur."""
    unseen, chosen = set().union(*map(pairs, every(FULL | BESIDE))), []
    for way in cycle(every(FULL)):
        if len(chosen) >= len(every(FULL)) and not unseen:
            return chosen
        chosen.append(max((way | beside for beside in every(BESIDE)), key=lambda fields: len(pairs(fields) & unseen)))
        unseen -= pairs(chosen[-1])
    raise AssertionError


def build(task, **fields):
    """A network with drawn parameters, and its inputs."""
    table = task.table()
    spec = Transformer(width=WIDTH, heads=HEADS, mlp_width=MLP_WIDTH, **fields)
    network = eqx.filter_eval_shape(
        lambda key: spec.build(key, table.inputs, table.num_classes, table.vocabulary), jax.random.key(0)
    )
    return drawn_like(network, seed=1), table.inputs


def drawn_like(network, seed: int):
    """A network of the same shapes with every parameter drawn, norms and biases too."""
    draw = np.random.default_rng(seed)

    def drawn(leaf):
        return jnp.asarray((leaf.ndim == 1) + draw.normal(scale=0.3, size=leaf.shape), jnp.float32)

    return jax.tree.map(lambda leaf: drawn(leaf) if hasattr(leaf, "shape") else leaf, network)


def assert_close(ours, theirs):
    """Equal to float32 rounding, on the scale of the largest element."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * max(1, float(np.abs(b).max())))


@pytest.mark.parametrize("fields", combinations(), ids=lambda fields: "-".join(f"{value}" for value in fields.values()))
def test_the_factored_pass_is_the_textbook_pass(fields):
    """In values, and in the derivatives of all of them in a direction that moves every parameter."""
    sequence = fields.pop("sequence")
    network, inputs = build(ModularArithmetic(p=P, sequence=sequence), **fields)
    inputs, towards = jnp.asarray(inputs), drawn_like(network, seed=2)
    ours, our_derivative = jax.jvp(lambda n: n.layers(inputs), (network,), (towards,))
    theirs, their_derivative = jax.jvp(lambda n: n.plain_layers(inputs), (network,), (towards,))
    assert list(ours) == list(theirs)
    assert_close(ours, theirs)
    assert_close(our_derivative, their_derivative)


def test_the_features_are_the_last_of_the_layers():
    network, inputs = build(ModularArithmetic(p=P), layers=2, final_norm=True)
    layers = network.layers(inputs)
    assert list(layers) == ["block0", "block1", "final_norm"]
    np.testing.assert_array_equal(network.features(inputs), layers["final_norm"])


def test_a_part_of_the_inputs_gives_the_same_part_of_the_features():
    network, inputs = build(PermutationComposition(n=3))
    chosen = np.array([5, 0, 5, 17])
    np.testing.assert_allclose(network.features(inputs[chosen]), network.features(inputs)[chosen], rtol=1e-5, atol=1e-6)


def in_torch(network, fields) -> torch.nn.TransformerEncoder:
    """PyTorch's encoder with the same weights."""
    norm_first = fields["norm"] == "pre"
    layer = torch.nn.TransformerEncoderLayer(
        WIDTH, HEADS, MLP_WIDTH, dropout=0, activation=fields["activation"], batch_first=True, norm_first=norm_first
    )
    encoder = torch.nn.TransformerEncoder(layer, len(network.blocks), enable_nested_tensor=False)
    for theirs, ours in zip(encoder.layers, network.blocks, strict=True):
        projections = (ours.query, ours.key, ours.value)
        attention = theirs.self_attn
        copied = {
            attention.in_proj_weight: np.concatenate([linear.weight for linear in projections]),
            attention.in_proj_bias: np.concatenate([linear.bias for linear in projections]),
            attention.out_proj.weight: ours.output.weight,
            attention.out_proj.bias: ours.output.bias,
            theirs.linear1.weight: ours.mlp_in.stored(input_first=False).weight,
            theirs.linear1.bias: ours.mlp_in.bias,
            theirs.linear2.weight: ours.mlp_out.weight,
            theirs.linear2.bias: ours.mlp_out.bias,
            theirs.norm1.weight: ours.attention_norm.weight,
            theirs.norm1.bias: ours.attention_norm.bias,
            theirs.norm2.weight: ours.mlp_norm.weight,
            theirs.norm2.bias: ours.mlp_norm.bias,
        }
        with torch.no_grad():
            for parameter, value in copied.items():
                parameter.copy_(torch.tensor(np.asarray(value)))
    return encoder


@pytest.mark.parametrize("fields", [
    {"norm": "post", "activation": "gelu", "causal": False, "layers": 1},
    {"norm": "post", "activation": "gelu", "causal": False, "layers": 2},
    {"norm": "pre", "activation": "relu", "causal": True, "layers": 2},
], ids=["post-norm", "post-norm-2", "causal-pre-norm-2"])  # fmt: skip
def test_the_blocks_are_pytorchs_encoder_layers(fields):
    network, inputs = build(ModularArithmetic(p=P, sequence="pair"), bias="all", init="torch", **fields)
    encoder, length = in_torch(network, fields).train(), inputs.shape[1]  # in evaluation it has another, fused, path
    embedded = torch.tensor(np.asarray(network.embed(inputs)))
    mask = torch.nn.Transformer.generate_square_subsequent_mask(length) if fields["causal"] else None
    expected = encoder(embedded, mask=mask).detach().numpy()[:, -1]
    np.testing.assert_allclose(network.features(inputs), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", [6, 7])
def test_sinusoids_are_those_of_vaswani(width):
    def entry(s, i):
        angle = s / 10_000 ** (2 * (i // 2) / width)
        return np.cos(angle) if i % 2 else np.sin(angle)

    table = [[entry(s, i) for i in range(width)] for s in range(4)]
    np.testing.assert_allclose(sinusoids(4, width), table, atol=1e-6)


@pytest.mark.parametrize(("readout", "refused"), [(-4, True), (-3, False), (2, False), (3, True)])
def test_a_readout_beyond_the_sequence_is_refused(readout, refused):
    task = ModularArithmetic(p=P, sequence="equals")
    if not refused:
        assert build(task, readout=readout)[0].readout == readout % 3
        return
    with pytest.raises(SpecError) as caught:
        build(task, readout=readout)
    assert str(caught.value) == f"readout = {readout}: must lie in -3 … 2: the task has 3 positions"


def test_numbers_are_no_tokens():
    with pytest.raises(SpecError, match=r"^model = 'Transformer': needs a task whose inputs are tokens$"):
        Transformer().build(jax.random.key(0), np.zeros((3, 4), np.float32), 2, None)
