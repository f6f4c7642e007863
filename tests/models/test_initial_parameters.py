"""Networks start where the papers and PyTorch start them."""

from dataclasses import replace

import equinox as eqx
import jax
import numpy as np
import pytest
import torch

from afterfit.engine.pytree import path_name
from afterfit.models import CNN, MLP, ResNet18, Transformer, VisionTransformer
from afterfit.models.layers import LayerNorm

TOKENS = np.stack([np.arange(60) % 30, np.arange(60) % 7, np.full(60, 31)], axis=1).astype(np.int32)
NUMBERS = np.zeros((5, 8, 8, 1), np.float32)


def start(spec, inputs=TOKENS, seed: int = 0, classes: int = 50):
    """The network of a spec, with a generator that compiles in no time: what is asked here holds for any."""
    vocabulary = 32 if inputs is TOKENS else None
    key = jax.random.key(seed, impl="unsafe_rbg")
    return eqx.filter_jit(lambda key: spec.build(key, inputs, classes, vocabulary))(key)


def assert_uniform(values, bound: float):
    values = np.asarray(values)
    assert np.abs(values).max() <= bound
    assert np.abs(values).max() > 0.97 * bound
    assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
    assert abs(values.mean()) < 0.05 * bound


def assert_normal(values, std: float):
    values = np.asarray(values)
    assert values.std() == pytest.approx(std, rel=0.05)
    assert abs(values.mean()) < 0.1 * std
    assert (np.abs(values) < std).mean() == pytest.approx(0.683, abs=0.03)


def test_an_mlp_starts_as_pytorchs_linear_layers():
    network = start(MLP(widths=(300, 200)), NUMBERS)
    for layer, fan_in in zip((*network.hidden, network.head), (64, 300, 200), strict=True):
        bound = 1 / np.sqrt(fan_in)
        assert_uniform(layer.weight, bound)
        assert np.abs(np.asarray(layer.bias)).max() <= bound
        assert np.abs(np.asarray(layer.bias)).max() > 0.9 * bound
    assert [layer.weight.shape for layer in network.hidden] == [(300, 64), (200, 300)]
    assert network.head.weight.shape == (50, 200)


def test_without_bias_there_is_none():
    network = start(MLP(widths=(10,), bias=False), NUMBERS)
    assert [layer.bias for layer in (*network.hidden, network.head)] == [None, None]


def test_the_init_scale_multiplies_all_of_an_mlp():
    plain, scaled = start(MLP(widths=(20, 10)), NUMBERS), start(MLP(widths=(20, 10), init_scale=8.0), NUMBERS)
    for one, eight in zip(jax.tree.leaves(plain), jax.tree.leaves(scaled), strict=True):
        np.testing.assert_allclose(eight, 8 * np.asarray(one), rtol=1e-6)


def test_a_transformer_starts_as_nandas():
    network = start(Transformer(layers=2, width=128, heads=4, mlp_width=256, bias="all"))
    for block in network.blocks:
        for layer in (block.query, block.key, block.value, block.output, block.mlp_in, block.mlp_out):
            assert_normal(layer.weight, 128**-0.5)
            assert not np.asarray(layer.bias).any()
    assert_normal(network.embedding, 128**-0.5)
    assert np.asarray(network.position).std() == pytest.approx(128**-0.5, rel=0.15)
    assert_normal(network.head.weight, 50**-0.5)
    assert not np.asarray(network.head.bias).any()


def test_a_transformer_starts_as_pytorchs():
    network = start(Transformer(width=128, heads=4, mlp_width=256, bias="all", norm="post", init="torch"))
    torch.manual_seed(0)
    theirs, (ours,) = torch.nn.TransformerEncoderLayer(128, 4, 256), network.blocks
    packed = np.concatenate([linear.weight for linear in (ours.query, ours.key, ours.value)])
    compared = [
        (packed, theirs.self_attn.in_proj_weight),
        (ours.output.weight, theirs.self_attn.out_proj.weight),
        (ours.mlp_in.weight, theirs.linear1.weight),
        (ours.mlp_out.weight, theirs.linear2.weight),
        (network.head.weight, torch.nn.Linear(128, 50).weight),
        (network.embedding, torch.nn.Embedding(32, 128).weight),
    ]
    for mine, other in compared:
        other = other.detach().numpy()
        assert np.asarray(mine).std() == pytest.approx(other.std(), rel=0.05)
        if mine is not network.embedding:  # normal; the others are uniform
            assert np.abs(mine).max() == pytest.approx(np.abs(other).max(), rel=0.02)
    for bias in (ours.query.bias, ours.key.bias, ours.value.bias, ours.output.bias):
        assert not np.asarray(bias).any()
    for norm in (ours.attention_norm, ours.mlp_norm):
        assert (np.asarray(norm.weight) == 1).all()
        assert not np.asarray(norm.bias).any()


def test_the_init_scale_multiplies_all_of_a_transformer_but_the_norms():
    fields = {
        "width": 16,
        "heads": 2,
        "mlp_width": 24,
        "norm": "pre",
        "final_norm": True,
        "init": "torch",
        "bias": "all",
    }
    is_norm = lambda node: isinstance(node, LayerNorm)  # noqa: E731
    plain, scaled = (
        jax.tree.leaves(start(Transformer(**fields, init_scale=scale)), is_leaf=is_norm) for scale in (1.0, 3.0)
    )
    assert sum(map(is_norm, plain)) == 3
    for one, three in zip(plain, scaled, strict=True):
        factor = 1 if is_norm(one) else 3
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(three), strict=True):
            np.testing.assert_allclose(b, factor * np.asarray(a), rtol=1e-6)


@pytest.mark.parametrize(("bias", "there"), [("none", 0), ("mlp", 2), ("all", 7)])
def test_biases_are_where_they_are_said_to_be(bias, there):
    network = start(Transformer(width=8, heads=2, mlp_width=8, bias=bias, norm="none"))
    (block,) = network.blocks
    layers = (block.query, block.key, block.value, block.output, block.mlp_in, block.mlp_out, network.head)
    assert sum(layer.bias is not None for layer in layers) == there


@pytest.mark.parametrize(
    "spec", [MLP(widths=(8, 8)), Transformer(layers=2, width=8, heads=2)], ids=["mlp", "transformer"]
)
def test_no_two_matrices_start_alike_and_another_seed_gives_others(spec):
    first, again, other = start(spec), start(spec), start(spec, seed=1)
    matrices = [np.asarray(leaf) for leaf in jax.tree.leaves(first) if leaf.ndim == 2]
    assert len({matrix.tobytes() for matrix in matrices}) == len(matrices)
    for a, b, c in zip(*map(jax.tree.leaves, (first, again, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        if np.asarray(a).any() and a.ndim == 2:
            assert not np.array_equal(a, c)


def test_a_cnn_starts_as_pytorchs_layers():
    network = start(CNN(channels=(40, 50), widths=(60,)), NUMBERS)
    fans = (9, 9 * 40, 4 * 4 * 50, 60)
    for layer, fan_in in zip((*network.convolutions, *network.hidden, network.head), fans, strict=True):
        assert_uniform(layer.weight, 1 / np.sqrt(fan_in))
        assert np.abs(np.asarray(layer.bias)).max() <= 1 / np.sqrt(fan_in)
        assert np.asarray(layer.bias).std() == pytest.approx(1 / np.sqrt(3 * fan_in), rel=0.25)


def scaled_by(spec, scale: float, inputs=NUMBERS) -> dict[str, float]:
    """By how much the init scale multiplies each array, by name."""
    networks = [start(replace(spec, init_scale=factor), inputs) for factor in (1.0, scale)]
    pairs = zip(*(jax.tree_util.tree_leaves_with_path(eqx.filter(n, eqx.is_array)) for n in networks), strict=True)
    factors = {}
    for (path, one), (_, other) in pairs:
        one, other = np.asarray(one), np.asarray(other)
        factor = float(np.linalg.norm(other) / np.linalg.norm(one)) if one.any() else 1.0
        np.testing.assert_allclose(other, factor * one, rtol=1e-5)
        factors[path_name(path)] = round(factor, 4)
    return factors


def test_the_init_scale_multiplies_the_linear_layers_of_a_cnn_only():
    factors = scaled_by(CNN(channels=(3, 4), widths=(5,)), 8.0)
    assert {name for name, factor in factors.items() if factor == 8.0} == {
        "hidden.0.weight", "hidden.0.bias", "head.weight", "head.bias"
    }  # fmt: skip
    assert set(factors.values()) == {1.0, 8.0}


def test_the_init_scale_multiplies_feed_forward_and_head_of_a_vision_transformer_only():
    factors = scaled_by(VisionTransformer(width=8, heads=2, mlp_width=6), 8.0)
    layers = ("blocks.0.mlp_in", "blocks.0.mlp_out", "head")
    wanted = {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    assert {name for name, factor in factors.items() if factor == 8.0} == wanted
    assert set(factors.values()) == {1.0, 8.0}


def test_a_vision_transformer_starts_as_pytorchs_encoder():
    network = start(VisionTransformer(width=64, heads=4, mlp_width=128), NUMBERS)
    (block,) = network.blocks
    for layer in (block.query, block.key, block.value):  # Glorot, of the packed (192, 64)
        assert_uniform(layer.weight, np.sqrt(6 / (64 + 192)))
    for layer, fan_in in ((network.embedding, 16), (block.mlp_out, 128), (block.output, 64), (network.head, 64)):
        assert_uniform(layer.weight, 1 / np.sqrt(fan_in))
    assert not np.asarray(network.position).any()
    assert np.asarray(network.class_token).std() == pytest.approx(1, rel=0.3)


def test_a_resnet_starts_as_pytorchs_layers_or_as_torchvisions():
    kinds = [ResNet18(widths=(32, 32, 40, 48), init=init) for init in ("torch", "torchvision")]
    plain, torchvision = (start(kind, NUMBERS) for kind in kinds)
    for block in plain.blocks:
        weight = block.second.convolution.weight
        assert_uniform(weight, weight.shape[1] ** -0.5)
    for block in torchvision.blocks:
        weight = block.second.convolution.weight
        assert_normal(weight, np.sqrt(2 / (9 * weight.shape[0])))
    for network in (plain, torchvision):
        assert_uniform(network.head.weight, 48**-0.5)
        assert set(np.asarray(network.blocks[0].first.norm.weight)) == {1.0}
        assert not np.asarray(network.running["stem"].mean).any()
        assert set(np.asarray(network.running["stem"].variance)) == {1.0}
