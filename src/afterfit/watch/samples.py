"""The examples that a watch looks at: a fixed few of a split, taken once and without a trace on its order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from afterfit.parts import SpecError, require

IGNORED = -100  # the label of places that are not to count, as in PyTorch's cross-entropy
LABEL_KEYS = ("labels", "label", "y", "target", "targets")


@dataclass(frozen=True)
class Samples:
    """Batches as the user's model takes them, and the labels of each.

    Attributes:
        batches: whatever the model is called with.
        labels: integer tensors, one a batch; −100 for places that are not to count.
    """

    batches: list[Any]
    labels: list[Any]

    @cached_property
    def count(self) -> int:
        """Places that count: examples, or tokens where every token has a label."""
        return sum(int((each != IGNORED).sum()) for each in self.labels)

    def first(self, count: int) -> Samples:
        """The first batches that hold so many places, and the labels of no more."""
        if count >= self.count:
            return self
        batches, labels, left = [], [], count
        for batch, label in zip(self.batches, self.labels, strict=True):
            if left <= 0:
                break
            batches.append(batch)
            labels.append(_at_most(left, label))
            left -= int((label != IGNORED).sum())
        return Samples(batches, labels)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Python's, NumPy's and PyTorch's random numbers go on as if nothing had been drawn inside."""
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def samples_of(
    name: str, data: Any, count: int, *, seed: int, labels: Callable[[Any], Any] | None, share: tuple[int, int]
) -> Samples:
    """At most `count` places of what the user gave, the same ones whenever it is asked with the same seed.

    A place is an example; or a token where every token has a label, so that a few texts hold them all.

    Args:
        name: "train" or "test", for messages.
        data: a pair of tensors (inputs, labels); a DataLoader, of whose dataset a random part is taken; a dataset with
            a length; or anything that gives batches each time it is walked.
        count: places, of all ranks together.
        seed: of the random part.
        labels: takes the labels out of a batch; by default the last entry of a tuple, or "labels" of a mapping.
        share: (rank, ranks): which part of the examples this process is to look at.

    Raises:
        SpecError: an iterator that can be walked only once, no examples, or batches in which no labels are found.
    """
    import torch

    right = "can be walked only once, and that would take batches from your training: give the DataLoader, the dataset "
    right += "or a pair of tensors"
    require(not (isinstance(data, Iterator)), name, type(data).__name__, right)
    rank, ranks = share
    with random_state_kept():
        if _is_pair(data):
            pairs = torch.utils.data.TensorDataset(*map(torch.as_tensor, data))
            batches = _of_dataset(pairs, count, seed, None, 256, share)
        elif isinstance(data, torch.utils.data.DataLoader) and hasattr(data.dataset, "__getitem__"):
            size = data.batch_size or 256
            batches = _of_dataset(data.dataset, count, seed, data.collate_fn, size, share)
        elif isinstance(data, torch.utils.data.Dataset) and hasattr(data, "__getitem__"):
            batches = _of_dataset(data, count, seed, None, 256, share)
        elif isinstance(data, Iterable) and not isinstance(data, str | Mapping):
            batches = list(_of_batches(data, count, labels))[rank::ranks]
        else:
            right = "must be a DataLoader, a dataset, a pair of tensors (inputs, labels), or batches to be walked"
            raise SpecError(name, type(data).__name__, right)
        found = [_labels_of(name, batch, labels) for batch in batches]
    right = "has no examples" if ranks == 1 else f"has no examples for rank {rank} of {ranks}: give more"
    require(bool(batches), name, type(data).__name__, right)
    return Samples(batches, found).first(-(-count // ranks))


def _is_pair(data: Any) -> bool:
    """Whether it is (inputs, labels) of all examples, and not two batches."""
    if not (isinstance(data, tuple) and len(data) == 2 and all(hasattr(each, "shape") for each in data)):
        return False
    return len(data[0]) == len(data[1])


def _of_dataset(
    dataset: Any, count: int, seed: int, collate: Callable[[list[Any]], Any] | None, size: int, share: tuple[int, int]
) -> list[Any]:
    """A random part of a dataset, in batches; each rank takes every so-manieth example of it."""
    from torch.utils.data import default_collate

    rank, ranks = share
    order = np.random.default_rng(seed).permutation(len(dataset))[:count][rank::ranks].tolist()
    together = collate or default_collate
    return [together([dataset[i] for i in order[at : at + size]]) for at in range(0, len(order), size)]


def _of_batches(batches: Iterable[Any], count: int, labels: Callable[[Any], Any] | None) -> Iterator[Any]:
    """The first batches that hold so many examples."""
    seen = 0
    for batch in batches:
        yield batch
        seen += int((_labels_of("train", batch, labels) != IGNORED).sum())
        if seen >= count:
            return


def _labels_of(name: str, batch: Any, labels: Callable[[Any], Any] | None) -> Any:
    """The labels of a batch as a tensor of integers."""
    if labels is not None:
        found = labels(batch)
    elif isinstance(batch, Mapping):
        keys = [key for key in LABEL_KEYS if key in batch]
        right = (
            f"has none of {', '.join(LABEL_KEYS)} in its batches ({', '.join(map(str, batch))}): give labels=function"
        )
        require(bool(keys), name, type(batch).__name__, right)
        found = batch[keys[0]]
    elif isinstance(batch, Sequence) and len(batch) >= 2:
        found = batch[-1]
    else:
        right = "gives batches in which no labels are found: give (inputs, labels), or labels=function"
        raise SpecError(name, type(batch).__name__, right)
    return _as_classes(name, found)


def next_token_labels(batch: Mapping[str, Any]) -> Any:
    """Labels of a causal language model: at each place the token that comes next; −100 at the end and before padding.

    For `Watch(labels=next_token_labels)`. The tokens are the batch's "labels", where −100 stays as it is, or else its
    "input_ids"; places are padding where "attention_mask" is 0.

    >>> import torch
    >>> next_token_labels({"input_ids": torch.tensor([[5, 6, 7]]), "attention_mask": torch.tensor([[1, 1, 0]])})
    tensor([[   6, -100, -100]])
    """
    import torch

    tokens = torch.as_tensor(batch["labels"] if batch.get("labels") is not None else batch["input_ids"])
    if batch.get("attention_mask") is not None:
        tokens = torch.where(torch.as_tensor(batch["attention_mask"]).bool(), tokens, IGNORED)
    return torch.cat([tokens[:, 1:], torch.full_like(tokens[:, :1], IGNORED)], dim=1)


def _at_most(count: int, labels: Any) -> Any:
    """The labels with all places but the first so many that count set to −100."""
    import torch

    counted = labels != IGNORED
    if int(counted.sum()) <= count:
        return labels
    order = counted.reshape(-1).cumsum(0).reshape(labels.shape)
    return torch.where(order <= count, labels, IGNORED)


def _as_classes(name: str, found: Any) -> Any:
    """Labels as a tensor of integers."""
    import torch

    found = torch.as_tensor(found)
    right = "labels must be classes as integers: give labels=function that makes them so"
    require(not (found.is_floating_point() or found.is_complex()), name, str(found.dtype), right)
    return found.detach()
