"""A watch as a callback of Lightning, `lightning.pytorch` and `pytorch_lightning` alike.

    trainer = Trainer(callbacks=[WatchCallback(test=test_loader, every=200, out="runs/mine")])

The base class is that of whichever of the two is loaded when this module is imported; a trainer asks for no more than
its hooks, so one callback serves both.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from afterfit.parts import SpecError
from afterfit.watch.watch import Watch

NAMES = ("lightning.pytorch", "pytorch_lightning")


def _callback() -> type:
    """The base class of callbacks, of the Lightning that is loaded or else of the first that is installed."""
    for name in sorted(NAMES, key=lambda name: name not in sys.modules):
        try:
            return import_module(name).Callback
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
    raise SpecError("callbacks", "Lightning", "is not installed: pip install 'afterfit[lightning]'")


if TYPE_CHECKING:
    Callback = object
else:
    Callback = _callback()


class WatchCallback(Callback):
    """Watches a LightningModule while `Trainer.fit` trains it, at optimiser steps (`trainer.global_step`).

    The module is called as `module(*batch[:-1])`; one without a `forward` of its own needs
    `forward=lambda module, batch: module.net(batch[0])`. Its state travels in Lightning's checkpoints, so a resumed
    training goes on in the same folder and drops what comes again. When the training ends, is stopped by a callback or
    fails, the watch is closed.

    Attributes:
        watch: the `Watch`, once training has begun.

    Args:
        train: what to look at of the training data, as for `Watch`; by default the trainer's training loader.
        test: of held-out data; by default the trainer's validation loader, if there is one.
        options: all others of `Watch`: every, out, measures, probe, budget, head, …
    """

    def __init__(self, *, train: Any = None, test: Any = None, **options: Any):
        super().__init__()
        self.watch: Watch | None = None
        self._data, self._options = {"train": train, "test": test}, options
        self._state: dict[str, Any] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin, or go on where the checkpoint stands, and observe."""
        if self.watch:
            self.watch.close("stopped")
        loaders = {"train": trainer.train_dataloader, "test": trainer.val_dataloaders}
        given = {split: loaders[split] if data is None else data for split, data in self._data.items()}
        self.watch = Watch(pl_module, **given, **self._options)
        if self._state:
            self.watch.load_state_dict(self._state)
        self.watch(trainer.global_step)

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Observe when due."""
        assert self.watch
        self.watch(trainer.global_step)

    def on_train_end(self, *_: Any) -> None:
        """The training has ended."""
        self._close("finished")

    def on_exception(self, *_: Any) -> None:
        """The training has failed, or somebody has interrupted it."""
        self._close("stopped")

    def state_dict(self) -> dict[str, Any]:
        """Goes into Lightning's checkpoint."""
        return self.watch.state_dict() if self.watch else dict(self._state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Out of Lightning's checkpoint, before the training begins."""
        self._state = dict(state_dict)

    def _close(self, status: str) -> None:
        self._state = {}
        if self.watch:
            self.watch.close(status)
