"""A multilayer perceptron is PyTorch's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from afterfit.models import MLP
from afterfit.models.layers import Linear
from afterfit.parts import SpecError
from afterfit.tasks import ModularArithmetic


def twin(network, activation: str) -> torch.nn.Sequential:
    """The same layers with the same weights."""
    stack = []
    for ours in (*network.hidden, network.head):
        layer = torch.nn.Linear(ours.weight.shape[1], ours.weight.shape[0], bias=ours.bias is not None)
        layer.weight = torch.nn.Parameter(torch.tensor(np.asarray(ours.weight)))
        if ours.bias is not None:
            layer.bias = torch.nn.Parameter(torch.tensor(np.asarray(ours.bias)))
        stack += [layer, torch.nn.GELU() if activation == "gelu" else torch.nn.ReLU()]
    return torch.nn.Sequential(*stack[:-1])


@pytest.mark.parametrize(("activation", "bias"), [("relu", True), ("gelu", False)])
def test_logits_and_gradients_are_those_of_the_same_network_in_torch(activation, bias):
    inputs = np.random.default_rng(0).normal(size=(9, 4, 3, 1)).astype(np.float32)
    network = MLP(widths=(7, 5), activation=activation, bias=bias, init_scale=2.0).build(
        jax.random.key(0, impl="unsafe_rbg"), inputs, 4, None
    )
    other = twin(network, activation)
    expected = other(torch.tensor(inputs).flatten(1))
    np.testing.assert_allclose(network.head(network.features(inputs)), expected.detach(), rtol=1e-5, atol=1e-5)

    (expected**2).sum().backward()
    gradient = jax.grad(lambda n: (n.head(n.features(inputs)) ** 2).sum())(network)
    layers = [layer for layer in other if isinstance(layer, torch.nn.Linear)]
    for ours, theirs in zip((*gradient.hidden, gradient.head), layers, strict=True):
        np.testing.assert_allclose(ours.weight, theirs.weight.grad, rtol=1e-4, atol=1e-4)


def test_the_last_hidden_layers_are_linear_where_asked():
    inputs = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
    key = jax.random.key(0, impl="unsafe_rbg")
    bent, straight = (MLP(widths=(7, 5, 4), linear=n).build(key, inputs, 3, None) for n in (None, 1))
    np.testing.assert_array_equal(bent.layers(inputs)["hidden1"], straight.layers(inputs)["hidden1"])
    last = bent.layers(inputs)["hidden1"] @ bent.hidden[2].weight.T + bent.hidden[2].bias
    np.testing.assert_allclose(straight.features(inputs), last, rtol=1e-5, atol=1e-6)
    assert np.any(np.asarray(straight.features(inputs)) < 0)
    whole = MLP(widths=(7, 5), bias=False, linear=2).build(key, inputs, 3, None)  # a linear map of the inputs
    np.testing.assert_allclose(whole.features(2 * inputs), 2 * whole.features(inputs), rtol=1e-5, atol=1e-6)
    with pytest.raises(SpecError, match=r"^linear = 3: must lie between 0 and 2"):
        MLP(widths=(7, 5), linear=3)


def test_tokens_are_one_hot():
    table = ModularArithmetic(p=5, sequence="pair").table()
    network = MLP(widths=(6,)).build(
        jax.random.key(0, impl="unsafe_rbg"), table.inputs, table.num_classes, table.vocabulary
    )
    one_hot = np.eye(5, dtype=np.float32)[table.inputs].reshape(25, 10)
    expected = np.maximum(one_hot @ np.asarray(network.hidden[0].weight).T + np.asarray(network.hidden[0].bias), 0)
    np.testing.assert_allclose(network.features(jnp.asarray(table.inputs)), expected, rtol=1e-5, atol=1e-6)


def test_every_hidden_layer_is_shown_and_the_last_are_the_features():
    inputs = np.ones((3, 4), np.float32)
    network = MLP(widths=(7, 5)).build(jax.random.key(0, impl="unsafe_rbg"), inputs, 2, None)
    layers = network.layers(inputs)
    assert {name: x.shape for name, x in layers.items()} == {"hidden0": (3, 7), "hidden1": (3, 5)}
    np.testing.assert_array_equal(layers["hidden1"], network.features(inputs))


def test_a_layer_says_the_same_however_it_is_stored():
    layer = Linear(jnp.arange(6.0).reshape(2, 3), jnp.array([1.0, -1.0]))
    turned = layer.stored(input_first=True)
    x = jnp.array([[1.0, 2.0, 3.0]])
    assert turned.weight.shape == (3, 2)
    np.testing.assert_array_equal(layer(x), turned(x))
    np.testing.assert_array_equal(layer(x), [[9.0, 25.0]])
    assert turned.stored(input_first=False).weight.shape == (2, 3)
