"""Every block of docs/watch.md runs as it stands, on small models and data of one's own."""

import os
import re
import socket
from pathlib import Path

import equinox as eqx
import jax
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import afterfit as af

PAGE = (Path(__file__).parents[2] / "docs/watch.md").read_text()
SECTIONS = re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", PAGE, flags=re.M | re.S)
BLOCKS = {title: block for title, text in SECTIONS for block in re.findall(r"```python\n(.*?)```", text, flags=re.S)}
SIZE, CLASSES, WORDS = 6, 3, 11


def loader(n: int, seed: int) -> DataLoader:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % CLASSES
    return DataLoader(TensorDataset(torch.randn(n, SIZE, generator=draw), labels), batch_size=16)


def plain() -> dict:
    """What the page calls yours."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(SIZE, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    return {
        "model": model, "optimizer": optimizer, "loss_function": nn.functional.cross_entropy,
        "train_loader": loader(64, 0), "test_loader": loader(32, 1),
    }  # fmt: skip


def run(title: str, **yours) -> dict:
    """A block of the page, in a namespace of its own."""
    names = {**plain(), **yours}
    exec(compile(BLOCKS[title], f"docs/watch.md: {title}", "exec"), names)
    return names


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Blocks write into the current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_has_a_test():
    source = Path(__file__).read_text()
    assert [title for title in BLOCKS if f'run("{title}"' not in source] == []
    assert len(BLOCKS) == PAGE.count("```python")


def test_the_plain_loop_leaves_a_finished_run(capsys):
    run("Plain PyTorch")
    assert "Step 0" in capsys.readouterr().out
    assert str(af.open("runs/mine").observations["status"].values[0]) == "finished"


def test_the_budget_is_reported(capsys):
    run("What it costs")
    assert "(budget 3 %)" in capsys.readouterr().out


def test_the_resumed_watch_stands_where_it_was():
    assert run("Resume")["watch"].recorder.steps == [0]


def test_the_parallel_loop_runs_as_the_only_rank(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    run("DistributedDataParallel")
    assert af.open("runs/parallel").observations["step"].values.tolist() == [0]


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*is less than the logging", "ignore:.*LeafSpec"
)
def test_the_lightning_module_is_watched(capsys):
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = plain()["model"]

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch, index):
            self(batch[0])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    run("Lightning", lightning_module=Module())
    assert "Step 0" in capsys.readouterr().out
    assert "test/accuracy" in af.open("runs/lightning").observations


@pytest.mark.filterwarnings("ignore:.*pin_memory")
def test_the_language_model_is_watched():
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    tokens = torch.randint(1, WORDS, (24, 5), generator=torch.Generator().manual_seed(0))
    texts = [{"input_ids": row, "attention_mask": torch.ones_like(row), "labels": row} for row in tokens]
    config = transformers.GPT2Config(
        vocab_size=WORDS, n_positions=5, n_embd=8, n_layer=1, n_head=2, bos_token_id=1, eos_token_id=1
    )
    model = transformers.GPT2LMHeadModel(config)
    run("Hugging Face Trainer", language_model=model, train_texts=texts[:16], test_texts=texts[16:])
    assert {"test/loss", "train/rnc1"} <= set(af.open("runs/language-model").observations)


class Network(eqx.Module):
    """Somebody's own, in Equinox."""

    body: eqx.nn.Linear
    head: eqx.nn.Linear

    def features(self, x):
        return jax.nn.relu(self.body(x))


def test_the_jax_loop_is_watched(capsys):
    keys = jax.random.split(jax.random.key(0), 3)
    network = Network(eqx.nn.Linear(SIZE, 8, key=keys[0]), eqx.nn.Linear(8, CLASSES, key=keys[1]))
    data = jax.random.normal(keys[2], (30, SIZE)), jax.numpy.arange(30) % CLASSES
    run("JAX, Equinox", network=network, jax_step=lambda net, _: net, jax_train=data, jax_test=data)
    runs = af.open("runs/jax")
    assert runs.observations["step"].values.tolist() == [0, 200, 400, 600, 800]
    leaves = jax.tree.leaves(eqx.filter(network, eqx.is_array))
    norm = float(sum((leaf**2).sum() for leaf in leaves) ** 0.5)
    assert float(runs.observations["weight_norm"][0, 0]) == pytest.approx(norm, rel=1e-5)


def test_the_flax_loop_is_watched():
    nnx = pytest.importorskip("flax.nnx")

    class FlaxNetwork(nnx.Module):
        """Somebody's own, in Flax."""

        def __init__(self, rngs):
            self.body = nnx.Linear(SIZE, 8, rngs=rngs)
            self.head = nnx.Linear(8, CLASSES, rngs=rngs)

        def features(self, x):
            return nnx.relu(self.body(x))

        def __call__(self, x):
            return self.head(self.features(x))

    model = FlaxNetwork(nnx.Rngs(0))
    data = jax.random.normal(jax.random.key(1), (30, SIZE)), jax.numpy.arange(30) % CLASSES
    run("Flax", model=model, flax_step=lambda model, step: None, flax_train=data, flax_test=data)
    observed = af.open("runs/flax").observations.isel(member=0)
    assert observed["step"].values.tolist() == [0, 200, 400, 600, 800]
    right = float((model(data[0]).argmax(axis=1) == data[1]).mean())
    assert float(observed["train/accuracy"][0]) == pytest.approx(right)
    norm = float(sum((leaf**2).sum() for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))) ** 0.5)
    assert float(observed["weight_norm"][0]) == pytest.approx(norm, rel=1e-5)


@pytest.mark.filterwarnings("ignore:.*``noload``")  # MLflow's, with SQLAlchemy 2.1
def test_the_trackers_are_told(monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    for package in ("tensorboard", "wandb", "mlflow", "trackio"):
        pytest.importorskip(package)
    run("Trackers")
    assert list(Path().glob("tensorboard/events.*"))
    assert Path("mlflow.db").exists()
    assert list(Path(os.environ["WANDB_DIR"]).glob("wandb/offline-run-*/*.wandb"))
    assert (Path(os.environ["TRACKIO_DIR"]) / "grokking.db").exists()


def test_the_interventions_train():
    names = run("Interventions in your own loop")
    assert names["loss"].requires_grad
    assert float(names["head"].weight.detach().norm()) <= 50
