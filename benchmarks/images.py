"""`python -m benchmarks.images`: what a step of the networks for images costs, beside PyTorch and XLA's convolution.

One core, presets of Sakamoto & Sato with random images (minibatch 100), interleaved rounds of processor time. A ratio
is the median over rounds of a version's time over PyTorch's in the same round. `--markdown FILE` writes the table.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks.cases import table_of
from benchmarks.processes import cores, environment
from benchmarks.tables import Table

PRESETS = {"CNN": "sakamoto-2025-cnn", "vision transformer": "sakamoto-2025-transformer"}
Take = Callable[[], float]


def ours(name: str, members: int, steps: int, *, library: bool = False) -> Take:
    """A function that takes so many steps, compiled, and gives the seconds a member and step.

    Args:
        name: of the preset.
        members: trained together.
        steps: taken at a time.
        library: with XLA's convolution in the place of patches.
    """
    import jax
    import jax.numpy as jnp

    from afterfit.engine.pytree import stack
    from afterfit.engine.trainer import Trainer
    from afterfit.models import convolution
    from afterfit.spec.presets import preset

    experiment = preset(name).experiment
    trainer, seeds = Trainer(experiment, table_of(experiment)), list(range(members))
    experiments, keys = stack([experiment] * members), jnp.arange(members, dtype=jnp.uint32)
    rows, held = trainer.rows([experiment] * members, seeds), [trainer.start(experiments, keys)]

    def take() -> float:
        began = time.process_time()
        state = trainer.advance(experiments, keys, rows, held[0], 0, steps, trainer.inputs, trainer.labels)
        held[0] = jax.block_until_ready(state)
        return (time.process_time() - began) / steps / members

    by_patches = convolution.by_patches
    try:
        convolution.by_patches = convolution.by_library if library else by_patches
        take()  # traced, and compiled, here
    finally:
        convolution.by_patches = by_patches
    return take


def theirs(name: str, steps: int) -> Take:
    """The same in PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(1)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.projection = nn.Conv2d(1, 128, 4, 4)
            self.token, self.position = nn.Parameter(torch.randn(128)), nn.Parameter(torch.zeros(50, 128))
            self.layer = nn.TransformerEncoderLayer(128, 4, 256, dropout=0.0, batch_first=True)
            self.head = nn.Linear(128, 10)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.projection(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(len(x), 1, -1), x], dim=1) + self.position
            return self.head(self.layer(x)[:, 0])

    convolutions = (nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU())
    linear = (nn.Flatten(), nn.Linear(6272, 128), nn.ReLU(), nn.Linear(128, 10))
    network = nn.Sequential(*convolutions, nn.MaxPool2d(2), *linear) if name.endswith("cnn") else Encoder()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.01)
    images, wanted = torch.randn(100, 1, 28, 28), nn.functional.one_hot(torch.arange(100) % 10).float()

    def take() -> float:
        began = time.process_time()
        for _ in range(steps):
            optimizer.zero_grad()
            ((network(images) - wanted) ** 2).sum().backward()
            optimizer.step()
        return (time.process_time() - began) / steps

    take()
    return take


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.images", description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--steps", type=int, default=4)
    options.add_argument("--library", action="store_true", help="XLA's convolution too, one step: it takes seconds")
    options.add_argument("--markdown", type=Path, metavar="FILE")
    chosen = options.parse_args()
    os.environ |= environment()
    os.sched_setaffinity(0, {cores()[-1]})
    table = Table("Networks for images, minibatch 100", ("network", "version", "ms a member-step", "× PyTorch"))
    for network, name in PRESETS.items():
        versions = {"PyTorch": theirs(name, chosen.steps), "ours": ours(name, 1, chosen.steps)}
        versions["ours, ensemble of 4"] = ours(name, 4, chosen.steps)
        if chosen.library and network == "CNN":
            versions["ours with XLA's convolution"] = ours(name, 1, 1, library=True)
        times: dict[str, list[float]] = {version: [] for version in versions}
        for _ in range(chosen.rounds):
            for version, take in versions.items():
                times[version].append(take())
        for version, taken in times.items():
            ratio = median(a / b for a, b in zip(taken, times["PyTorch"], strict=True))
            table.rows.append((network, version, f"{1e3 * median(taken):.1f}", f"{ratio:.2f}"))
    table.show(Console(width=100))
    if chosen.markdown:
        chosen.markdown.write_text(table.markdown())


if __name__ == "__main__":
    main()
