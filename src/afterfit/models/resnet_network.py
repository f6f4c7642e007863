"""The Equinox module that a `ResNet18` builds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from afterfit.models.convolution import Convolution, max_pool
from afterfit.models.layers import Change, Linear, unchanged

if TYPE_CHECKING:
    from afterfit.models.resnet import ResNet18

MOMENTUM, EPSILON = 0.1, 1e-5  # of batch normalisation, as PyTorch's
BLOCKS_PER_STAGE = 2


class Moments(NamedTuple):
    """Mean and variance of each channel, shapes (C,)."""

    mean: jax.Array
    variance: jax.Array


Running = dict[str, Moments]  # by the name of the norm


class Statistics:
    """Which moments the norms use in one forward pass: running averages, or, in training, the minibatch's own.

    Args:
        running: the running averages.
        training: whether the minibatch's own are used, and the averages brought up to date in `after`.
    """

    def __init__(self, running: Running, *, training: bool):
        self.running, self.training = running, training
        self.after = dict(running)

    def moments(self, name: str, x: jax.Array) -> Moments:
        """The moments that a norm uses for x, shape (N, H, W, C).

        In training the average moves by a tenth towards the minibatch's mean and unbiased variance, as PyTorch's does.
        """
        before = self.running[name]
        if not self.training:
            return before
        mean = x.mean(axis=(0, 1, 2))
        variance = jnp.mean((x - mean) ** 2, axis=(0, 1, 2))
        count = math.prod(x.shape[:3])
        unbiased = Moments(mean, variance * (count / max(count - 1, 1)))
        self.after[name] = jax.tree.map(lambda a, b: (1 - MOMENTUM) * a + MOMENTUM * b, before, unbiased)
        return Moments(mean, variance)


class BatchNorm(eqx.Module):
    """Batch normalisation of each channel, with a learned scale and offset."""

    weight: jax.Array
    bias: jax.Array

    def __call__(self, x: jax.Array, moments: Moments) -> jax.Array:
        """(x − mean) / √(variance + 1e-5) · weight + bias."""
        return (x - moments.mean) * (jax.lax.rsqrt(moments.variance + EPSILON) * self.weight) + self.bias

    @classmethod
    def start(cls, channels: int) -> BatchNorm:
        """Scale one, offset zero."""
        return cls(jnp.ones(channels), jnp.zeros(channels))


class Normalised(eqx.Module):
    """A convolution without bias, and the batch normalisation of what it gives."""

    convolution: Convolution
    norm: BatchNorm

    def __call__(self, x: jax.Array, name: str, statistics: Statistics) -> jax.Array:
        """(N, H, W, in) to (N, H', W', out), the norm by its name."""
        y = self.convolution(x)
        return self.norm(y, statistics.moments(name, y))

    @classmethod
    def start(
        cls, spec: ResNet18, key: jax.Array, channels: int, out: int, *, size: int, stride: int = 1
    ) -> Normalised:
        """Initial parameters by the spec's `init`; zeros around keep the size, but for the stride."""
        padding = size // 2
        layer = Convolution.uniform(key, channels, out, size=size, stride=stride, padding=padding, bias=False)
        if spec.init == "torchvision":
            weight = math.sqrt(2 / (size * size * out)) * jax.random.normal(key, layer.weight.shape)
            layer = Convolution(weight, None, size, stride, padding)
        return cls(layer, BatchNorm.start(out))


class ResidualBlock(eqx.Module):
    """Two 3 × 3 convolutions, added to what they read; where the shape changes, a 1 × 1 convolution reads it too."""

    first: Normalised
    second: Normalised
    shortcut: Normalised | None

    def __call__(self, x: jax.Array, name: str, statistics: Statistics) -> jax.Array:
        """ReLU after the first convolution, and after the sum."""
        y = jax.nn.relu(self.first(x, f"{name}_first", statistics))
        y = self.second(y, f"{name}_second", statistics)
        return jax.nn.relu(y + (self.shortcut(x, f"{name}_shortcut", statistics) if self.shortcut else x))

    @classmethod
    def start(cls, spec: ResNet18, key: jax.Array, channels: int, out: int, stride: int) -> ResidualBlock:
        """Initial parameters."""
        first, second, third = jax.random.split(key, 3)
        changes_shape = stride != 1 or channels != out
        return cls(
            Normalised.start(spec, first, channels, out, size=3, stride=stride),
            Normalised.start(spec, second, out, out, size=3),
            Normalised.start(spec, third, channels, out, size=1, stride=stride) if changes_shape else None,
        )


class ResNetNetwork(eqx.Module):
    """The stem, the blocks, the head, and the running averages of the norms, which are not trained."""

    stem: Normalised
    blocks: tuple[ResidualBlock, ...]
    head: Linear
    running: Running
    pooled: bool = eqx.field(static=True)

    @classmethod
    def start(cls, spec: ResNet18, key: jax.Array, channels: int, num_classes: int) -> ResNetNetwork:
        """Initial parameters for images with so many channels; running means zero, variances one."""
        stem_key, head_key, *keys = jax.random.split(key, 2 + BLOCKS_PER_STAGE * len(spec.widths))
        wide = spec.stem == "7x7"
        stem = Normalised.start(
            spec, stem_key, channels, spec.widths[0], size=7 if wide else 3, stride=2 if wide else 1
        )
        blocks, width = [], spec.widths[0]
        for index, block_key in enumerate(keys):
            stage, within = divmod(index, BLOCKS_PER_STAGE)
            stride = 2 if stage > 0 and within == 0 else 1
            blocks.append(ResidualBlock.start(spec, block_key, width, spec.widths[stage], stride))
            width = spec.widths[stage]
        return cls(
            stem, tuple(blocks), Linear.uniform(head_key, width, num_classes), _running(stem, blocks), pooled=wide
        )

    def layers(self, inputs: jax.Array, change: Change = unchanged) -> dict[str, jax.Array]:
        """What stem and blocks give, shapes (N, H', W', channels), and "average", shape (N, d), each after a change."""
        return self._through(inputs, change, Statistics(self.running, training=False))

    def features(self, inputs: jax.Array, change: Change = unchanged) -> jax.Array:
        """What the head reads, with the running averages: shape (N, d)."""
        return self.layers(inputs, change)["average"]

    def training_features(self, inputs: jax.Array, change: Change = unchanged) -> tuple[jax.Array, Running]:
        """What the head reads in training, with the minibatch's moments; and the running averages after it."""
        statistics = Statistics(self.running, training=True)
        return self._through(inputs, change, statistics)["average"], statistics.after

    def _through(self, inputs: jax.Array, change: Change, statistics: Statistics) -> dict[str, jax.Array]:
        x = jax.nn.relu(self.stem(inputs, "stem", statistics))
        x = max_pool(x, size=3, stride=2, padding=1) if self.pooled else x
        outputs = {"stem": change("stem", x)}
        x = outputs["stem"]
        for index, block in enumerate(self.blocks):
            x = outputs[f"block{index}"] = change(f"block{index}", block(x, f"block{index}", statistics))
        outputs["average"] = change("average", x.mean(axis=(1, 2)))
        return outputs


def _running(stem: Normalised, blocks: list[ResidualBlock]) -> Running:
    """The running averages at the start, for every norm."""
    norms = {"stem": stem}
    for index, block in enumerate(blocks):
        named = {"first": block.first, "second": block.second, "shortcut": block.shortcut}
        norms |= {f"block{index}_{name}": each for name, each in named.items() if each}
    sizes = {name: len(each.norm.weight) for name, each in norms.items()}
    return {name: Moments(jnp.zeros(size), jnp.ones(size)) for name, size in sizes.items()}
