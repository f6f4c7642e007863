"""Convolutions and max-pooling of images (N, H, W, C), written as what a CPU does fast: patches, then a matrix product.

XLA's own convolution inside a loop on a CPU is some 25 times slower than this. See README.md in this folder.
"""

from __future__ import annotations

from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp

from afterfit.models.layers import uniform_fan_in

# Numbers in the patches of the images that go through a product together: half of what a core's cache holds (1 MB). But
# rows enough that adding up the weight's gradient, which each block does once more, costs little beside its product.
BLOCK, LEAST_ROWS = 2**17, 512


class Convolution(eqx.Module):
    """A convolution with square kernels, as PyTorch's Conv2d: images (N, H, W, in) to (N, H', W', out).

    H' = ⌊(H + 2·padding − size)/stride⌋ + 1, and W' likewise; zeros outside. The weight is the matrix of the product,
    shape (out, size·size·in): PyTorch's (out, in, size, size) with the channels moved last and all but the first axis
    made one.
    """

    weight: jax.Array
    bias: jax.Array | None
    size: int = eqx.field(static=True, default=3)
    stride: int = eqx.field(static=True, default=1)
    padding: int = eqx.field(static=True, default=0)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Every patch times the weight, plus the bias."""
        convolved = by_patches if jax.default_backend() == "cpu" else by_library
        y = convolved(x, self.weight, size=self.size, stride=self.stride, padding=self.padding)
        return y if self.bias is None else y + self.bias

    @classmethod
    def uniform(
        cls, key: jax.Array, channels: int, out: int, *, size: int = 3, stride: int = 1, padding: int = 0,
        bias: bool = True,
    ) -> Convolution:  # fmt: skip
        """PyTorch's default initialisation: weights and biases from U(±1/√fan_in), fan_in = size·size·channels."""
        weight_key, bias_key = jax.random.split(key)
        fan_in = size * size * channels
        weight = uniform_fan_in(weight_key, (out, fan_in), fan_in)
        return cls(weight, uniform_fan_in(bias_key, (out,), fan_in) if bias else None, size, stride, padding)


def by_patches(x: jax.Array, weight: jax.Array, *, size: int, stride: int, padding: int) -> jax.Array:
    """The convolution as a matrix product, some images at a time; the derivative makes the patches anew.

    Args:
        x: shape (N, H, W, in).
        weight: shape (out, size·size·in).
        size: of the kernel.
        stride: between patches.
        padding: rows and columns of zeros on each side.
    """

    def product(images: jax.Array) -> jax.Array:
        views = shifted(images, size=size, stride=stride, padding=padding)
        return (views[0] if len(views) == 1 else jnp.concatenate(views, axis=-1)) @ weight.T

    images = images_together(x.shape, weight.shape[1], stride)
    if images == len(x):
        return jax.checkpoint(product)(x)
    blocks = x.reshape(-1, images, *x.shape[1:])
    convolved = jax.lax.map(jax.checkpoint(product), blocks)
    return convolved.reshape(-1, *convolved.shape[2:])


def by_library(x: jax.Array, weight: jax.Array, *, size: int, stride: int, padding: int) -> jax.Array:
    """The same by XLA's convolution, which is right on a GPU."""
    kernel = weight.T.reshape(size, size, x.shape[-1], -1)
    around, order = [(padding, padding)] * 2, ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), around, dimension_numbers=order)


def images_together(shape: tuple[int, ...], fan_in: int, stride: int) -> int:
    """How many images make a block: a divisor of their number, the largest with patches that fit the cache.

    >>> images_together((100, 28, 28, 16), 9 * 16, stride=1), images_together((64, 4, 4, 512), 9 * 512, stride=1)
    (1, 32)
    """
    rows = -(-shape[1] // stride) * -(-shape[2] // stride)
    most = max(BLOCK // (rows * fan_in), LEAST_ROWS // rows, 1)
    return max(count for count in range(1, min(most, shape[0]) + 1) if shape[0] % count == 0)


def max_pool(x: jax.Array, *, size: int = 2, stride: int = 2, padding: int = 0) -> jax.Array:
    """The largest number of each window, as PyTorch's MaxPool2d: (N, H, W, C) to (N, H', W', C).

    Where several numbers of a window are the largest, the derivative goes to them in parts; PyTorch's goes to the
    first. After a ReLU that makes no difference where the largest is 0.
    """
    return reduce(jnp.maximum, shifted(x, size=size, stride=stride, padding=padding, outside=-jnp.inf))


def shifted(x: jax.Array, *, size: int, stride: int, padding: int, outside: float = 0.0) -> list[jax.Array]:
    """The image as each place of a window sees it, row by row: size·size arrays (N, H', W', C)."""
    if padding:
        x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=outside)
    height, width = ((length - size) // stride * stride + 1 for length in x.shape[1:3])
    return [x[:, i : i + height : stride, j : j + width : stride] for i in range(size) for j in range(size)]
