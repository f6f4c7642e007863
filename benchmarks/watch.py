"""`python -m benchmarks.watch [--write]`: what watching costs a PyTorch loop on the CPU, in time and memory.

One core, processor time. An observation is set against the steps between two of them at the default cadence; both are
medians of interleaved rounds. `--write` puts the tables into docs/performance.md.
"""

from __future__ import annotations

import argparse
import inspect
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from benchmarks.processes import cores, environment
from benchmarks.tables import Table, digits

PAGE = Path(__file__).parents[1] / "docs/performance.md"
BEGIN, END = "<!-- watch: written by benchmarks/watch.py -->", "<!-- end of watch -->"
WANTED, MANY, PROBES = 3.0, 10_000, (256, 512, 2_048)


@dataclass(frozen=True)
class Case:
    """A loop to be watched: a model, all its data, and how many examples a step sees."""

    model: Any
    inputs: Any
    labels: Any
    minibatch: int


def mlp() -> Case:
    """784-200-200-200-10, minibatch 100: Sakamoto & Sato's."""
    import torch

    from afterfit.models import MLP
    from benchmarks.torch_twin import TorchMLP

    return Case(TorchMLP(MLP(), 784, 10), torch.randn(4_096, 784), torch.arange(4_096) % 10, 100)


def transformer() -> Case:
    """One layer of width 128 on pairs mod 97, minibatch 512."""
    import torch

    from afterfit.models import Transformer
    from benchmarks.torch_twin import TorchTransformer

    model = TorchTransformer(Transformer(layers=1, width=128, heads=4, mlp_width=512), 2, 97, 97)
    model.load_state_dict({name: 0.1 * torch.randn_like(p) for name, p in model.state_dict().items()})
    return Case(model, torch.randint(97, (4_096, 2)), torch.arange(4_096) % 97, 512)


def resnet() -> Case:
    """ResNet-18 of a quarter of the width (16 to 128 channels) on 32 × 32 images, minibatch 128."""
    import torch
    from torch import nn

    from examples.resnet_layers import Block

    blocks, below = [], 16
    for channels, stride in ((16, 1), (32, 2), (64, 2), (128, 2)):
        blocks += [Block(below, channels, stride), Block(channels, channels, 1)]
        below = channels
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))
    return Case(model, torch.randn(1_024, 3, 32, 32), torch.arange(1_024) % 10, 128)


CASES: dict[str, tuple[Callable[[], Case], int]] = {
    "MLP 784-200-200-200-10, minibatch 100": (mlp, 40),
    "1-layer transformer, (a, b) mod 97, minibatch 512": (transformer, 10),
    "ResNet-18 of a quarter of the width, 32 × 32, minibatch 128": (resnet, 3),
}


def resident() -> int:
    """Bytes of memory that this process holds."""
    import psutil

    return psutil.Process().memory_info().rss


def stepper(case: Case) -> Callable[[], None]:
    """Takes a step with AdamW."""
    import torch

    optimizer = torch.optim.AdamW(case.model.parameters(), lr=1e-3)

    def step() -> None:
        rows = torch.randint(len(case.labels), (case.minibatch,))
        loss = torch.nn.functional.cross_entropy(case.model(case.inputs[rows]), case.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measured(case: Case, steps: int, rounds: int, probe: int, folder: Path) -> tuple[float, float, float]:
    """Seconds of a step, seconds of an observation, and bytes that the watch added."""
    import afterfit as af

    step, data = stepper(case), (case.inputs, case.labels)
    for _ in range(3):
        step()
    before = resident()
    watch = af.Watch(case.model, train=data, test=data, every=1, out=folder, probe=probe)
    for at in range(2):
        watch(at)
    added, stepped, observed = resident() - before, [], []
    for round_ in range(rounds):
        began = time.process_time()
        for _ in range(steps):
            step()
        between = time.process_time()
        watch(2 + round_)
        stepped.append((between - began) / steps)
        observed.append(time.process_time() - between)
    watch.close()
    return median(stepped), median(observed), added


def overheads(rounds: int) -> list[Table]:
    """Time at the default cadence, and how it depends on the probe."""
    import afterfit as af

    options = inspect.signature(af.Watch).parameters
    every, default = options["every"].default, options["probe"].default
    title = f"Overhead of watching, every {every} steps, ten measures of {default} training and {default} test examples"
    table = Table(title, ("loop", "ms a step", "ms an observation", "% of the time", "MB added"))
    probes = Table("The same by examples a split, % of the time", ("loop", *map(str, PROBES)))
    for name, (make, steps) in CASES.items():
        found = {}
        for probe in sorted({*PROBES, default}, key=lambda probe: probe != default):  # memory of the default, first
            with tempfile.TemporaryDirectory() as folder:
                found[probe] = measured(make(), steps, rounds, probe, Path(folder) / "run")
        share = {probe: 100 * o / (every * s + o) for probe, (s, o, _) in found.items()}
        step, observation, added = found[default]
        row = [digits(1e3 * step), digits(1e3 * observation), f"{share[default]:.1f}", f"{added / 1e6:.0f}"]
        table.rows.append((name, *row))
        probes.rows.append((name, *(f"{share[probe]:.1f}" for probe in PROBES)))
    most = max(float(row[3]) for row in table.rows)
    table.notes.append(
        f"Wanted: under {WANTED:.0f} %; the most is {most:.1f} %: {'met' if most < WANTED else 'missed'}."
    )
    return [table, probes]


def growth(observations: int) -> Table:
    """Memory over many observations of one small model, kept in a folder."""
    import torch

    import afterfit as af

    model, data = torch.nn.Linear(8, 4), (torch.randn(64, 8), torch.arange(64) % 4)
    table = Table(
        f"Memory over {observations:,} observations", ("observations", "MB held", "MB of it more than at 1/10")
    )
    with tempfile.TemporaryDirectory() as folder:
        watch = af.Watch(model, train=data, every=1, out=Path(folder) / "run", measures=["loss", "accuracy", "rnc1"])
        held = {}
        for step in range(observations + 1):
            watch(step)
            if step in (observations // 10, observations // 2, observations):
                held[step] = resident() / 1e6
        watch.close()
    first = held[observations // 10]
    table.rows += [(f"{step:,}", f"{mb:.1f}", f"{mb - first:+.1f}") for step, mb in held.items()]
    each = 1e6 * (held[observations] - first) / (0.9 * observations)
    table.notes.append(
        f"{each:,.0f} bytes an observation more; the watch keeps eight bytes a number for its status, and nothing else."
    )
    return table


def main() -> None:
    """Measure, print, and write if asked."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.watch", description=__doc__)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--observations", type=int, default=MANY)
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    os.environ |= environment()
    os.sched_setaffinity(0, {cores()[-1]})
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    tables = [*overheads(chosen.rounds), growth(chosen.observations)]
    for table in tables:
        table.show(Console(width=120))
    if chosen.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        lines = [BEGIN, "", "\n".join(table.markdown() for table in tables), END + rest.split(END)[1]]
        PAGE.write_text(before + "\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
