"""Convolution and pooling by shifted views are PyTorch's, in values and derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from afterfit.models import convolution
from afterfit.models.convolution import Convolution, by_library, by_patches, images_together, max_pool

# size, stride, padding, images
SHAPES = [
    (3, 1, 0, (5, 9, 8, 3)),
    (3, 1, 1, (4, 6, 7, 2)),
    (3, 2, 1, (3, 8, 9, 2)),
    (7, 2, 3, (2, 12, 11, 3)),
    (1, 2, 0, (4, 7, 8, 5)),
]


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def channels_first(images) -> torch.Tensor:
    return torch.tensor(np.asarray(images)).permute(0, 3, 1, 2)


def kernels(weight, size: int) -> torch.Tensor:
    """Our matrix as PyTorch's kernels."""
    matrix = torch.tensor(np.asarray(weight))
    return matrix.reshape(len(matrix), size, size, -1).permute(0, 3, 1, 2)


@pytest.mark.parametrize("block", [1, 2**17], ids=["an image at a time", "all images at once"])
@pytest.mark.parametrize(("size", "stride", "padding", "shape"), SHAPES)
def test_a_convolution_and_its_derivatives_are_pytorchs(size, stride, padding, shape, block, monkeypatch):
    monkeypatch.setattr(convolution, "BLOCK", block)
    monkeypatch.setattr(convolution, "LEAST_ROWS", block)
    x, weight = drawn(*shape), drawn(4, size * size * shape[3], seed=1)
    assert (images_together(shape, weight.shape[1], stride) == 1) == (block == 1)

    theirs_x = channels_first(x).requires_grad_()
    theirs_weight = kernels(weight, size).requires_grad_()
    expected = torch.nn.functional.conv2d(theirs_x, theirs_weight, stride=stride, padding=padding)
    (expected**2).sum().backward()

    options = {"size": size, "stride": stride, "padding": padding}

    @partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
    def total(x, weight):
        y = by_patches(x, weight, **options)
        return (y**2).sum(), y

    (_, ours), (for_x, for_weight) = jax.jit(total)(x, weight)
    np.testing.assert_allclose(ours, expected.detach().permute(0, 2, 3, 1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(for_x, theirs_x.grad.permute(0, 2, 3, 1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(kernels(for_weight, size), theirs_weight.grad, rtol=1e-4, atol=3e-4)


@pytest.mark.parametrize(("size", "stride", "padding", "shape"), SHAPES)
def test_patches_and_the_librarys_convolution_agree_to_rounding_for_every_member(size, stride, padding, shape):
    x, weight = drawn(2, *shape), drawn(2, 4, size * size * shape[3], seed=1)
    options = {"size": size, "stride": stride, "padding": padding}

    def value_and_gradients(convolve):
        total = lambda x, weight: (convolve(x, weight, **options) ** 2).sum()  # noqa: E731
        return jax.jit(jax.vmap(jax.value_and_grad(total, (0, 1))))(x, weight)

    ours, theirs = map(jax.tree.leaves, map(value_and_gradients, (by_patches, by_library)))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.abs(b).max())


def test_a_bias_is_added_to_every_channel():
    layer = Convolution(drawn(3, 18), jnp.array([1.0, -2.0, 5.0]), padding=1)
    plain = Convolution(layer.weight, None, padding=1)
    x = drawn(2, 4, 4, 2)
    np.testing.assert_allclose(layer(x) - plain(x), np.broadcast_to(layer.bias, (2, 4, 4, 3)), atol=1e-5)


def test_derivatives_of_every_order_go_through_blocks(monkeypatch):
    monkeypatch.setattr(convolution, "BLOCK", 1)
    x, weight = drawn(2, 6, 6, 2), jnp.asarray(drawn(3, 18, seed=1))
    loss = lambda convolve: lambda w: (jnp.tanh(convolve(x, w, size=3, stride=1, padding=1)) ** 2).sum()  # noqa: E731
    curvature = lambda f: jax.jit(lambda w: jax.jvp(jax.grad(f), (w,), (jnp.ones_like(w),))[1])(weight)  # noqa: E731
    np.testing.assert_allclose(curvature(loss(by_patches)), curvature(loss(by_library)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("size", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1)])
def test_max_pooling_is_pytorchs(size, stride, padding):
    x = drawn(3, 7, 8, 2)
    theirs = channels_first(x).requires_grad_()
    expected = torch.nn.functional.max_pool2d(theirs, size, stride, padding)
    (expected**2).sum().backward()
    options = {"size": size, "stride": stride, "padding": padding}
    np.testing.assert_array_equal(max_pool(x, **options), expected.detach().permute(0, 2, 3, 1))
    gradient = jax.jit(jax.grad(lambda x: (max_pool(x, **options) ** 2).sum()))(x)
    np.testing.assert_allclose(gradient, theirs.grad.permute(0, 2, 3, 1), rtol=1e-5)


@pytest.mark.parametrize("images", [1, 7, 64, 100])
def test_blocks_are_equal_parts_of_the_images(images):
    for side, channels in ((28, 1), (28, 16), (4, 512)):
        together = images_together((images, side, side, channels), 9 * channels, 1)
        assert images % together == 0
