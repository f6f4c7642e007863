"""The callback of Lightning: the same observations as a plain loop's, and a resumed training goes on."""

import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import afterfit as af

lightning = pytest.importorskip("lightning.pytorch", reason="needs Lightning")
from afterfit.watch.lightning import WatchCallback  # noqa: E402

CLASSES, SIZE = 3, 6
QUIET = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "accelerator": "cpu",
    "devices": 1,
    "num_sanity_val_steps": 0,
}
# Lightning's own advice: few workers, and a training loop of a few batches.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),
]


def loader(n: int, seed: int) -> DataLoader:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % CLASSES
    inputs = torch.eye(CLASSES, SIZE)[labels] * 2 + torch.randn(n, SIZE, generator=draw)
    return DataLoader(TensorDataset(inputs, labels), batch_size=8)


class Module(lightning.LightningModule):
    """Somebody's own."""

    def __init__(self, fail_at: int | None = None):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(SIZE, 8), nn.ReLU(), nn.Linear(8, CLASSES))
        self.fail_at = fail_at

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, index):
        if self.fail_at is not None and self.global_step >= self.fail_at:
            raise RuntimeError("the machine went away")
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(module, callback, steps, **options):
    trainer = lightning.Trainer(max_steps=steps, callbacks=[callback], **QUIET, **options)
    trainer.fit(module, loader(48, 0), loader(24, 1))


def plain(steps: int, every: int) -> list[dict[str, float]]:
    """The same training as a loop of one's own."""
    module = Module()
    watch = af.Watch(module, train=loader(48, 0), test=loader(24, 1), every=every)
    optimizer = module.configure_optimizers()
    batches = [batch for _ in range(3) for batch in loader(48, 0)][:steps]
    watch(0)
    for step, batch in enumerate(batches, 1):
        optimizer.zero_grad()
        module.train()
        module.training_step(batch, 0).backward()
        optimizer.step()
        watch(step)
    return watch.recorder.values


def test_a_callback_sees_what_a_plain_loop_sees(tmp_path):
    callback = WatchCallback(every=4, out=tmp_path / "run")
    fit(Module(), callback, 12, enable_checkpointing=False)
    runs = af.open(tmp_path / "run")
    assert runs.observations["step"].values.tolist() == [0, 4, 8, 12]
    assert str(runs.observations["status"].values[0]) == "finished"
    assert callback.watch.recorder.values == plain(12, 4)
    assert callback.watch.source.head == "net.2"
    assert {"train/rnc1", "test/accuracy"} <= set(runs.observations)


def test_steps_are_those_of_the_optimiser_when_gradients_are_accumulated(tmp_path):
    callback = WatchCallback(every=1)
    fit(Module(), callback, 3, accumulate_grad_batches=2, enable_checkpointing=False)
    assert callback.watch.recorder.steps == [0, 1, 2, 3]


def test_a_training_that_failed_goes_on_from_its_checkpoint_in_the_same_folder(tmp_path):
    keep = lightning.callbacks.ModelCheckpoint(dirpath=tmp_path, every_n_train_steps=5, filename="{step}")
    callback = WatchCallback(every=2, out=tmp_path / "run")
    with pytest.raises(RuntimeError, match="the machine went away"):
        lightning.Trainer(max_steps=12, callbacks=[callback, keep], **QUIET).fit(
            Module(fail_at=9), loader(48, 0), loader(24, 1)
        )
    assert callback.watch.recorder.steps == [0, 2, 4, 6, 8]
    assert str(af.open(tmp_path / "run").observations["status"].values[0]) == "stopped"
    again = WatchCallback(every=2, out=tmp_path / "run")
    trainer = lightning.Trainer(max_steps=12, callbacks=[again], enable_checkpointing=False, **QUIET)
    dropped = []

    class Look(lightning.Callback):
        def on_train_batch_start(self, *_):
            dropped.append(list(again.watch.recorder.steps))

    trainer.callbacks.append(Look())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's, of a checkpoint within an epoch
        trainer.fit(Module(), loader(48, 0), loader(24, 1), ckpt_path=next(tmp_path.glob("*.ckpt")))
    assert dropped[0] == [0, 2, 4]
    assert af.open(tmp_path / "run").observations["step"].values.tolist() == [0, 2, 4, 6, 8, 10, 12]


def test_a_module_without_forward_and_the_older_package_are_watched_too():
    older = pytest.importorskip("pytorch_lightning")

    class Bare(older.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(SIZE, CLASSES)

        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    callback = WatchCallback(every=2, forward=lambda module, batch: module.net(batch[0]))
    trainer = older.Trainer(max_steps=4, callbacks=[callback], enable_checkpointing=False, **QUIET)
    trainer.fit(Bare(), loader(48, 0))
    assert callback.watch.recorder.steps == [0, 2, 4]
