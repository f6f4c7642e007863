"""Members train as they would alone and as a plain loop would train them, whoever trains beside them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from afterfit.engine.members import Batch
from afterfit.engine.pytree import stack
from afterfit.spec import Adam, CrossEntropy, Every, Minibatch, SquaredError

DIFFERENT = (
    {"optimizer.learning_rate": 0.01},
    {"optimizer.learning_rate": 0.003, "optimizer.weight_decay": 0.0},
    {"optimizer.learning_rate": 0.02, "model.init_scale": 2.0},
)


def test_a_member_alone_is_what_it_is_beside_others(train, members, tmp_path):
    together = train(members(*DIFFERENT))
    for member in members(*DIFFERENT):
        alone = train([member], folder=tmp_path / str(member.number))
        for measure in ("train/loss", "test/loss", "weight_norm"):
            np.testing.assert_allclose(
                alone.curve(member.number, measure), together.curve(member.number, measure), rtol=2e-4
            )
    curves = [together.curve(number, "weight_norm") for number in range(3)]
    assert not any(np.allclose(curves[a], curves[b], rtol=0.01) for a, b in ((0, 1), (0, 2), (1, 2)))


def test_observations_begin_at_step_0_and_end_with_the_last_step(train, members, with_fields):
    sink = train(members({}, {}, experiment=with_fields(steps=23, schedule=Every(steps=10))))
    assert sorted(sink.rows) == [(member, step) for member in (0, 1) for step in (0, 10, 20, 23)]
    assert sink.ends == {0: ("finished", 23), 1: ("finished", 23)}
    names = {f"{split}/{name}" for split in ("train", "test") for name in ("loss", "accuracy")} | {"weight_norm"}
    assert all(set(values) == names for values in sink.rows.values())


@pytest.mark.parametrize("minibatch", [Minibatch(size=8), Minibatch(size=8, order="replacement"), Minibatch(size=None)],
                         ids=["shuffled", "replacement", "full"])  # fmt: skip
def test_one_program_takes_any_number_of_steps_and_where_they_are_cut_changes_nothing(
    trainers, members, with_fields, minibatch, same
):
    two = members({}, {"optimizer.learning_rate": 0.02}, experiment=with_fields(minibatch=minibatch))
    trainer = trainers.of(Batch(0, tuple(two)))
    experiments, seeds = stack([m.experiment for m in two]), jnp.asarray([m.seed for m in two], jnp.uint32)
    rows = trainer.rows([m.experiment for m in two], [m.seed for m in two])

    already_compiled = trainer.advance._cache_size()

    def after(*cuts: int):
        state = trainer.start(experiments, seeds)
        for start, stop in zip((0, *cuts), cuts, strict=False):
            state = trainer.advance(experiments, seeds, rows, state, start, stop, trainer.inputs, trainer.labels)
        return state

    whole = after(30)
    for cuts in ((1, 2, 30), (7, 8, 19, 30), tuple(range(1, 31))):
        same(after(*cuts), whole)
    assert trainer.advance._cache_size() <= already_compiled + 1


def test_measures_of_a_task_are_told_its_facts(train, members, with_fields):
    measures = ("loss", "accuracy", "fourier_alignment")
    sink = train(members({}, experiment=with_fields(steps=10, measures=measures)))
    assert all(0 <= value <= 1 for value in sink.curve(0, "train/fourier_alignment"))


def torch_loop(trainer, member, steps: int):
    """A plain full-batch loop, from the same start on the same examples: losses by step."""
    start = trainer.start(stack([member.experiment]), jnp.asarray([member.seed], jnp.uint32)).params
    weights = [torch.tensor(np.asarray(leaf[0]), requires_grad=True) for leaf in jax.tree.leaves(start)]
    named = dict(zip(trainer.names, weights, strict=True))
    train, test = member.experiment.task.split(trainer.table, member.seed)
    labels = torch.tensor(trainer.table.labels, dtype=torch.int64)
    inputs = torch.nn.functional.one_hot(torch.tensor(trainer.table.inputs, dtype=torch.int64), 7).flatten(1).float()
    spec = member.experiment.optimizer
    kind = torch.optim.Adam if isinstance(spec, Adam) else torch.optim.AdamW
    optimizer = kind(weights, lr=spec.learning_rate, betas=(spec.b1, spec.b2), weight_decay=spec.weight_decay)

    def logits(rows):
        hidden = torch.relu(inputs[rows] @ named["hidden.0.weight"].T + named["hidden.0.bias"])
        return hidden @ named["head.weight"].T + named["head.bias"]

    def loss(rows, mean: bool):
        if isinstance(member.experiment.loss, CrossEntropy):
            return torch.nn.functional.cross_entropy(logits(rows), labels[rows])
        errors = ((logits(rows) - torch.nn.functional.one_hot(labels[rows], 7)) ** 2).sum(1)
        return errors.mean() if mean else errors.sum()

    found = {}
    for step in range(steps + 1):
        if step % 10 == 0:
            hits = (logits(test).argmax(1) == labels[test]).float().mean()
            found[step] = [loss(train, True).item(), loss(test, True).item(), hits.item()]
        optimizer.zero_grad()
        loss(train, False).backward()
        optimizer.step()
    return np.array(list(found.values()))


@pytest.mark.parametrize("fields", [
    {},
    {"loss": SquaredError(reduction="sum"), "optimizer": Adam(learning_rate=0.003, weight_decay=0.1)},
], ids=["cross-entropy", "squared-error"])  # fmt: skip
def test_a_member_is_what_a_plain_pytorch_loop_gives(train, members, trainers, with_fields, fields):
    (member,) = members({}, seeds=[5], experiment=with_fields(minibatch=Minibatch(size=None), **fields))
    sink = train([member])
    measures = ("train/loss", "test/loss", "test/accuracy")
    ours = np.stack([sink.curve(0, measure) for measure in measures], axis=1)
    theirs = torch_loop(trainers.of(Batch(0, (member,))), member, 50)
    np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-5)


def test_a_member_that_diverges_is_said_to_and_its_neighbours_go_on(train, members, tmp_path):
    calm = train(members(*[{}] * 3), folder=tmp_path / "calm")
    wild = train(members({}, {"optimizer.learning_rate": 1e30}, {}), folder=tmp_path / "wild")
    assert wild.ends == {0: ("finished", 50), 1: ("diverged", 10), 2: ("finished", 50)}
    assert not np.isfinite(wild.rows[1, 10]["weight_norm"])
    for neighbour in (0, 2):
        np.testing.assert_allclose(wild.curve(neighbour), calm.curve(neighbour), rtol=1e-5)
    assert (1, 20) not in wild.rows


def test_members_stop_after_their_patience_and_those_that_stay_are_the_right_ones(four, train, parameters, tmp_path):
    bounded, free = four
    sink = train(bounded, folder=tmp_path / "bounded")
    # An event at step s lets a member go at the first observation that is `patience` steps later or more.
    assert sink.ends == {0: ("stopped", 30), 1: ("stopped", 20), 2: ("stopped", 40), 3: ("finished", 50)}
    in_training = {step: sizes for step, sizes in sink.stacks if step % 10 == 0}
    assert in_training == {10: (0, 1, 2, 3), 20: (0, 1, 2, 3), 30: (0, 2, 3), 40: (2, 3), 50: (3,)}
    for member in range(4):
        curve = sink.curve(member)
        assert len(curve) == sink.ends[member][1] // 10 + 1
        np.testing.assert_allclose(curve, free.curve(member)[: len(curve)], rtol=1e-4)
        arrays = parameters(member, tmp_path / "bounded").values()
        norm = np.sqrt(sum((array.astype(np.float64) ** 2).sum() for array in arrays))
        assert norm == pytest.approx(sink.rows[member, sink.ends[member][1]]["weight_norm"], rel=1e-5)


def test_the_stack_shrinks_to_powers_of_two(four, trainers, train, tmp_path, monkeypatch):
    sizes = []
    trainer = trainers.of(Batch(0, tuple(four[0])))
    advance = trainer.advance
    monkeypatch.setattr(trainer, "advance", lambda *a: sizes.append(a[1].shape[0]) or advance(*a))
    train(four[0], folder=tmp_path / "bounded")
    assert list(dict.fromkeys(sizes)) == [4, 2, 1]


def test_the_kept_parameters_give_the_last_observation(train, members, trainers, parameters):
    two = members({}, {"optimizer.weight_decay": 2.0})
    sink, trainer = train(two), trainers.of(Batch(0, tuple(two)))
    for member in two:
        network = trainer.with_parameters(parameters(member.number))
        for split, rows in zip(
            ("train", "test"), member.experiment.task.split(trainer.table, member.seed), strict=True
        ):
            logits = np.asarray(network.head(network.features(trainer.inputs[rows])))
            hits = (logits.argmax(axis=1) == trainer.table.labels[rows]).mean()
            assert hits == pytest.approx(sink.rows[member.number, 50][f"{split}/accuracy"], abs=1e-6)


SHARDED = """
import json, sys
import jax
sys.path.insert(0, sys.argv[1])
from conftest import Remembering, _members
from pathlib import Path
from afterfit.engine.batch import BatchRun
from afterfit.engine.members import Batch
from afterfit.engine.worker import Trainers

batch, sink = Batch(0, tuple(_members({}, {}, {}, {}))), Remembering()
run = BatchRun(batch, Trainers().of(batch), Path(sys.argv[2]), sink)
run.run({})
spread = {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(run.state)}
rows = [[*key, values["train/loss"]] for key, values in sorted(sink.rows.items())]
print(json.dumps({"devices": len(jax.devices()), "spread": sorted(spread), "rows": rows}))
"""


def test_members_spread_over_two_devices_give_the_same(train, members, tmp_path):
    here = train(members(*[{}] * 4))
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", SHARDED, Path(__file__).parent, tmp_path / "two"],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    there = json.loads(done.stdout)
    assert there["devices"] == 2
    assert there["spread"] == [2]
    expected = [[*key, values["train/loss"]] for key, values in sorted(here.rows.items())]
    np.testing.assert_allclose(there["rows"], expected, rtol=1e-5)


THREADED = """
import faulthandler, sys
faulthandler.dump_traceback_later(100, exit=True)
import afterfit as af
from afterfit.engine.machine import xla_threads
from afterfit.models import MLP
from afterfit.spec import AdamW, Every, Experiment, Minibatch
from afterfit.tasks import ModularArithmetic

assert xla_threads() == 2
experiment = Experiment(
    task=ModularArithmetic(p=23, train_fraction=0.5, sequence="pair"), model=MLP(widths=(128,)), optimizer=AdamW(),
    minibatch=Minibatch(size=32), steps=2, schedule=Every(steps=1),
    measures=("loss", "accuracy", "nc1", "spectral_entropy", "spectral_entropy[center=false]"),
)
runs = af.run(experiment, seeds=(0, 1), out=sys.argv[1], workers=0)
print(runs.observations["train/spectral_entropy"].values.tolist())
"""


def test_members_are_observed_together_where_xla_has_several_threads(tmp_path):
    """Decompositions of stacks of matrices wait for each other there, for ever, if two are computed at once."""
    flags = os.environ["XLA_FLAGS"].replace("--xla_cpu_multi_thread_eigen=false", "")
    environment = {**os.environ, "XLA_FLAGS": flags, "NPROC": "2", "PJRT_NPROC": "2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", THREADED, tmp_path / "two"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert np.shape(json.loads(done.stdout)) == (2, 3)
