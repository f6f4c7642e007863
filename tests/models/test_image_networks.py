"""The networks for images are PyTorch's with the same weights: outputs, gradients, and what is carried along."""

import sys
from functools import cache
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from afterfit.models import CNN, ResNet18, VisionTransformer
from afterfit.parts import SpecError
from afterfit.tasks import ModularArithmetic

sys.path.insert(0, str(Path(__file__).parent))
from torch_images import TorchCNN, TorchResNet, TorchViT, images_of, twin

CASES = {
    "cnn": (TorchCNN, CNN(channels=(3, 5), widths=(7,), init_scale=2.0), (8, 10, 1)),
    "cnn-no-padding": (TorchCNN, CNN(channels=(3, 5), widths=(7, 6), padding=0, activation="gelu"), (9, 9, 2)),
    "vit": (TorchViT, VisionTransformer(width=12, heads=3, mlp_width=10, patch=4, init_scale=2.0), (8, 12, 1)),
    "vit-pre-2": (TorchViT, VisionTransformer(layers=2, width=8, heads=2, mlp_width=6, patch=2, norm="pre",
                                              activation="gelu"), (4, 6, 3)),
    "resnet-3x3": (TorchResNet, ResNet18(widths=(4, 5, 6, 7)), (16, 16, 3)),
    "resnet-7x7": (TorchResNet, ResNet18(widths=(4, 4, 6, 8), stem="7x7", init="torchvision"), (32, 32, 3)),
}  # fmt: skip


def inputs_of(shape, n: int = 9) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)


@cache
def build(spec, shape):
    """A network of the spec's shapes, every array drawn near where it starts; nothing is compiled for it."""
    whole = eqx.filter_eval_shape(lambda key: spec.build(key, inputs_of(shape), 4, None), jax.random.key(0))
    draw = np.random.default_rng(1)

    def drawn(path, leaf):
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        about = 1.0 if leaf.ndim == 1 and path[-1].name in ("weight", "variance") else 0.0
        spread = 0.1 if leaf.ndim == 1 else leaf.shape[-1] ** -0.5
        return jnp.asarray(about + spread * draw.normal(size=leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(drawn, whole)


@pytest.fixture(params=CASES)
def case(request):
    kind, spec, shape = CASES[request.param]
    network = build(spec, shape)
    module = twin(kind, network, spec, shape)
    if isinstance(module, TorchResNet):
        module.take_running(network)
    return network, module.eval() if isinstance(module, TorchResNet) else module, inputs_of(shape)


def assert_close(ours, theirs):
    """Equal to 1e-5 of the largest element."""
    theirs = np.asarray(theirs.detach() if isinstance(theirs, torch.Tensor) else theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(theirs).max()))


def assert_gradients_close(module, gradient):
    for theirs, ours in module.pairs(gradient):
        assert_close(ours, theirs.grad)


def test_outputs_and_gradients_are_those_of_the_same_network_in_torch(case):
    network, module, inputs = case
    expected = module(images_of(inputs))
    assert_close(jax.jit(lambda n, x: n.head(n.features(x)))(network, inputs), expected)
    torch.nn.functional.cross_entropy(expected, torch.arange(len(inputs)) % 4).backward()

    def loss(network):
        return -jax.nn.log_softmax(network.head(network.features(inputs)))[np.arange(9), np.arange(9) % 4].mean()

    assert_gradients_close(module, eqx.filter_jit(eqx.filter_grad(loss))(network))


def test_there_are_as_many_parameters_as_in_torch(case):
    network, module, _ = case
    trained = eqx.filter(network, eqx.is_array)
    carried = sum(x.size for x in jax.tree.leaves(getattr(network, "running", ())))
    ours = sum(x.size for x in jax.tree.leaves(trained)) - carried
    assert ours == sum(p.numel() for p in module.parameters())
    assert carried == sum(b.numel() for name, b in module.named_buffers() if "num_batches" not in name)


@pytest.mark.parametrize(("spec", "shape", "parameters"), [
    (CNN(), (28, 28, 1), 809_034), (ResNet18(), (32, 32, 3), 11_173_962),
    (ResNet18(stem="7x7"), (32, 32, 3), 11_181_642), (VisionTransformer(), (28, 28, 1), 142_474),
])  # fmt: skip
def test_full_sizes_have_the_published_number_of_parameters(spec, shape, parameters):
    """Of a 3 × 3 ResNet-18 11,173,962 (kuangliu/pytorch-cifar), of torchvision's with 10 classes 11,181,642."""
    key = jax.random.key(0)
    network = eqx.filter_eval_shape(lambda key: spec.build(key, inputs_of(shape, 1), 10, None), key)
    carried = jax.tree.leaves(getattr(network, "running", ()))
    count = lambda leaves: sum(x.size for x in leaves if hasattr(x, "shape"))  # noqa: E731
    assert count(jax.tree.leaves(network)) - count(carried) == parameters


@pytest.mark.parametrize("name", ["resnet-3x3", "resnet-7x7"])
def test_in_training_the_minibatch_normalises_and_the_running_averages_follow_as_in_torch(name):
    kind, spec, shape = CASES[name]
    network, inputs = build(spec, shape), inputs_of(shape)
    module = twin(kind, network, spec, shape)
    module.take_running(network)
    expected = module.train()(images_of(inputs))
    torch.nn.functional.cross_entropy(expected, torch.arange(len(inputs)) % 4).backward()

    def loss(network):
        features, running = network.training_features(inputs)
        logits = network.head(features)
        return -jax.nn.log_softmax(logits)[np.arange(9), np.arange(9) % 4].mean(), (logits, running)

    (_, (logits, running)), gradient = eqx.filter_jit(eqx.filter_value_and_grad(loss, has_aux=True))(network)
    assert_close(logits, expected)
    assert_gradients_close(module, gradient)
    assert running.keys() == module.norms(network).keys()
    for norm_name, (_, norm, _) in module.norms(network).items():
        assert_close(running[norm_name].mean, norm.running_mean)
        assert_close(running[norm_name].variance, norm.running_var)


@pytest.mark.parametrize("name", ["cnn", "vit-pre-2", "resnet-3x3"])
def test_a_change_of_any_layer_reaches_the_features(name):
    _, spec, shape = CASES[name]
    network, inputs = build(spec, shape), inputs_of(shape)
    names = [name for name, _ in eqx.filter_eval_shape(lambda n: tuple(n.layers(inputs).items()), network)]
    offered = []

    @jax.jit
    def features(factors):
        return network.features(inputs, lambda layer, x: offered.append(layer) or factors[layer] * x)

    same = dict.fromkeys(names, 1.0)
    whole = features(same)
    assert set(offered) <= set(names)
    assert offered[-1] == names[-1]
    for layer in offered[::3] + offered[-1:]:
        assert not np.allclose(features(same | {layer: 0.0}), whole)


@pytest.mark.parametrize("name", ["cnn", "vit"])
def test_the_last_layer_is_what_the_head_reads(name):
    _, spec, shape = CASES[name]
    network, inputs = build(spec, shape), inputs_of(shape)
    last, features = jax.jit(lambda n: (list(n.layers(inputs).values())[-1], n.features(inputs)))(network)
    np.testing.assert_array_equal(last, features)


def test_layer_names_and_shapes():
    found = {}
    for name, (_, spec, shape) in CASES.items():
        pairs = eqx.filter_eval_shape(lambda n, x: tuple(n.layers(x).items()), build(spec, shape), inputs_of(shape))
        found[name] = {layer: x.shape[1:] for layer, x in pairs}
    assert found["cnn"] == {"convolution0": (8, 10, 3), "convolution1": (8, 10, 5), "hidden0": (7,)}
    assert found["cnn-no-padding"]["convolution1"] == (5, 5, 5)
    assert found["vit-pre-2"] == {"block0": (8,), "block1": (8,)}
    assert list(found["resnet-3x3"]) == ["stem", *(f"block{i}" for i in range(8)), "average"]
    assert [found["resnet-3x3"][f"block{i}"] for i in (0, 2, 4, 6)] == [(16, 16, 4), (8, 8, 5), (4, 4, 6), (2, 2, 7)]
    assert found["resnet-7x7"]["stem"] == (8, 8, 4)
    assert found["resnet-7x7"]["average"] == (8,)


TOKENS = ModularArithmetic(p=5).table()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: CNN(channels=()), "channels = (): needs one convolution at least"),
    (lambda: CNN(widths=(0,)), "widths = (0,): must all be 1 or more"),
    (lambda: CNN(padding=-1), "padding = -1: must be 0 or more"),
    (lambda: CNN(init_scale=0.0), "init_scale = 0.0: must be a finite number above 0"),
    (lambda: ResNet18(widths=(4, 4, 4)), "widths = (4, 4, 4): must be four, the channels of each stage"),
    (lambda: VisionTransformer(heads=3, width=8), "heads = 3: must divide width = 8: one of 1, 2, 4, 8"),
    (lambda: VisionTransformer(patch=0), "patch = 0: must be 1 or more"),
    (lambda: VisionTransformer(patch=5).build(None, inputs_of((8, 8, 1)), 2, None),
     "patch = 5: must divide height and width of the images, 8 × 8"),
    (lambda: CNN(padding=0).build(None, inputs_of((5, 5, 1)), 2, None),
     "padding = 0: leaves nothing of images of 5 × 5 pixels before the pooling"),
    *((lambda kind=kind: kind().build(None, TOKENS.inputs, 5, TOKENS.vocabulary),
       f"model = '{kind.__name__}': needs a task whose inputs are images (N, H, W, C); these are int32 of shape "
       f"{TOKENS.inputs.shape}") for kind in (CNN, ResNet18, VisionTransformer)),
])  # fmt: skip
def test_what_does_not_fit_is_refused_in_a_line(make, message):
    with pytest.raises(SpecError) as caught:
        make()
    assert str(caught.value) == message
