"""The views of a PyTorch model that a watch takes, on one rank or on many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, distributed, nn

from afterfit.parts import require
from afterfit.views import View
from afterfit.watch.overhead import Overhead
from afterfit.watch.samples import IGNORED, Samples, samples_of
from afterfit.watch.torch_model import TorchModel, quiet


class TorchSource:
    """What a watch needs of a PyTorch model: its head, and a view of each split when it asks.

    Args:
        model: the module.
        head: its last linear layer by name, or None.
        layers: modules by name.
        forward: calls the model on a batch, or None.
        labels: takes them out of a batch, or None.
        data: what the user gave, by split; None for a split that there is not.
        probe: examples of a split at most.
        seed: of their choice.
    """

    def __init__(
        self, model: nn.Module, head: str | None, layers: Sequence[str], forward: Callable[[Any, Any], Any] | None,
        labels: Callable[[Any], Any] | None, data: Mapping[str, Any], probe: int, seed: int,
    ):  # fmt: skip
        right = "must be a torch.nn.Module; for other frameworks leave it out and call observe(step, train=view)"
        require(isinstance(model, nn.Module), "model", type(model).__name__, right)
        require(data["train"] is not None, "train", None, "is needed: a DataLoader, a dataset or a pair of tensors")
        spread = distributed.is_available() and distributed.is_initialized()
        self.rank, self.ranks = (distributed.get_rank(), distributed.get_world_size()) if spread else (0, 1)
        self.model = TorchModel(model, head, layers, forward)
        self.samples = {
            split: samples_of(split, given, probe, seed=seed, labels=labels, share=(self.rank, self.ranks))
            for split, given in data.items()
            if given is not None
        }
        self.head = self.model.find_head(self.samples["train"])
        for split, samples in self.samples.items():
            _require_classes(split, samples, self.model.num_classes)
        self.largest = min(probe, max(samples.count * self.ranks for samples in self.samples.values()))

    def views(self, probe: int) -> dict[str, View]:
        """Each split's view of the first so many of its examples, of all ranks, on every rank; within `quiet`."""
        shown, parameters = {}, self.model.parameters()
        for split, samples in self.samples.items():
            features, labels, layers = self._seen(samples.first(-(-probe // self.ranks)))
            if self.ranks > 1:
                features, labels = gathered(features), gathered(labels)
                layers = {name: gathered(output) for name, output in layers.items()}
            shown[split] = self.model.view(features, labels, layers, parameters)
        return shown

    def quiet(self) -> AbstractContextManager[None]:
        """In which measures are taken: no gradients, no autocast, random numbers as before."""
        return quiet(self.model.device)

    def _seen(self, samples: Samples) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """What this rank sees; where one rank fails, all do, so that none waits for it."""
        if self.ranks == 1:
            return self.model.see(samples)
        found, failed = None, None
        try:
            found = self.model.see(samples)
        except Exception as error:  # noqa: BLE001 - told to the other ranks, then raised
            failed = error
        failures = torch.tensor([failed is not None], dtype=torch.int32, device=self.model.device)
        distributed.all_reduce(failures)
        if failed is not None:
            raise failed
        if found is None or failures.item():
            raise RuntimeError(f"{int(failures.item())} of {self.ranks} ranks could not observe")
        return found

    def told(self, number: int) -> int:
        """Rank 0's number, on every rank."""
        if self.ranks == 1:
            return number
        told = torch.tensor([number], device=self.model.device)
        distributed.broadcast(told, 0)
        return int(told.item())

    def agreed(self, overhead: Overhead) -> Overhead:
        """Rank 0's clock, so that all ranks observe at the same steps."""
        if self.ranks == 1:
            return overhead
        numbers = [overhead.training, overhead.watching, overhead.cost, overhead.step_seconds]
        told = torch.tensor(numbers, dtype=torch.float64, device=self.model.device)
        distributed.broadcast(told, 0)
        training, watching, cost, step_seconds = told.tolist()
        return replace(overhead, training=training, watching=watching, cost=cost, step_seconds=step_seconds)


def gathered(rows: Tensor) -> Tensor:
    """The rows of all ranks, rank after rank; ranks may hold different numbers of them."""
    counts = [torch.zeros(1, dtype=torch.long, device=rows.device) for _ in range(distributed.get_world_size())]
    distributed.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    longest = int(max(count.item() for count in counts))
    padded = torch.zeros(longest, *rows.shape[1:], dtype=rows.dtype, device=rows.device)
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in counts]
    distributed.all_gather(parts, padded)
    return torch.cat([part[: int(count.item())] for part, count in zip(parts, counts, strict=True)])


def _require_classes(split: str, samples: Samples, num_classes: int) -> None:
    for labels in samples.labels:
        counted = labels[labels != IGNORED]
        if counted.numel():
            low, high = int(counted.min()), int(counted.max())
            right = f"labels must lie in 0 to {num_classes - 1}, one for each row of the head's weight"
            require(low >= 0 and high < num_classes, split, f"labels {low} to {high}", right)
