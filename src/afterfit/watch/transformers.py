"""A watch as a callback of the Hugging Face Trainer.

trainer = Trainer(model, args, train_dataset=…, callbacks=[WatchCallback(test=test_set, every=200, out="runs/mine")])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from afterfit.watch.samples import next_token_labels
from afterfit.watch.watch import Watch

if TYPE_CHECKING:
    Callback: type = object
else:
    from transformers import TrainerCallback as Callback

__all__ = ["WatchCallback", "next_token_labels"]


class WatchCallback(Callback):
    """Watches the model that `Trainer.train` trains, at optimiser steps (`state.global_step`).

    Batches are made by the trainer's own data collator. For causal language models give `labels=next_token_labels`, and
    measures that suit a vocabulary (see docs/watch.md). A training that goes on from a checkpoint goes on in the same
    folder, and what was observed after the checkpoint's step is dropped. The trainer tells nobody when it fails: the
    run is then left as "running", for the next training to go on with.

    Attributes:
        watch: the `Watch`, once training has begun.

    Args:
        train: what to look at of the training data, likewise; by default the trainer's training set.
        test: of held-out data: a dataset as the trainer takes, a DataLoader, or a pair of tensors.
        options: all others of `Watch`: every, out, measures, probe, budget, labels, …
    """

    def __init__(self, *, train: Any = None, test: Any = None, **options: Any):
        super().__init__()
        self.watch: Watch | None = None
        self._data, self._options = {"train": train, "test": test}, options

    def on_train_begin(
        self, args: Any, state: Any, control: Any, *, model: Any, train_dataloader: Any, **_: Any
    ) -> None:
        """Begin, or go on from the checkpoint's step, and observe."""
        if self.watch:
            self.watch.close("stopped")
        data = {split: _batched(given, train_dataloader) for split, given in self._data.items()}
        data["train"] = train_dataloader if data["train"] is None else data["train"]
        self.watch = Watch(model, **data, **self._options)
        self.watch.resume(state.global_step)
        self.watch(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Observe when due."""
        assert self.watch
        self.watch(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The training has ended."""
        assert self.watch
        self.watch.close("finished")


def _batched(data: Any, loader: Any) -> Any:
    """A dataset as batches of the trainer's own collator; all else as it is."""
    from torch.utils.data import DataLoader

    if isinstance(data, DataLoader | tuple) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        return data
    return DataLoader(data, batch_size=loader.batch_size or 32, collate_fn=loader.collate_fn)
