"""What a network carries along, running averages, goes with its parameters everywhere, and is none of them."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afterfit.engine.checkpoints import Parameters
from afterfit.engine.members import Batch
from afterfit.engine.pytree import stack
from afterfit.interventions import LearningRate
from afterfit.lab.runs import Runs
from afterfit.models import ResNet18
from afterfit.spec import SGD, Every, Experiment, Minibatch, SquaredError
from afterfit.tasks import Images

SMALL = Experiment(
    task=Images(dataset="digits", train_size=60, test_size=40),
    model=ResNet18(widths=(2, 2, 2, 3)),
    optimizer=SGD(learning_rate=0.05, momentum=0.9, weight_decay=0.1),
    minibatch=Minibatch(size=12),
    steps=6,
    schedule=Every(steps=3),
    measures=("loss", "accuracy", "weight_norm"),
)


@pytest.fixture(scope="module")
def trained(members, once, tmp_path_factory):
    """Two members in one batch, and their folder."""
    folder = tmp_path_factory.mktemp("resnet")
    return once(members({}, {"optimizer.weight_decay": 0.0}, experiment=SMALL), folder), folder


def test_a_member_begun_again_from_its_checkpoint_ends_the_same_to_the_last_bit(
    trained, members, train, remembering, tmp_path
):
    whole, folder = trained
    two = members({}, {"optimizer.weight_decay": 0.0}, experiment=SMALL)
    sink = train(two, folder=tmp_path / "cut", sink=remembering(stop_after=4))
    assert not sink.ends
    again = train(two, folder=tmp_path / "cut", stored=sink.stored())
    assert [kind for kind, _ in again.notes] == ["resumed"]
    assert sink.rows | again.rows == whole.rows
    kept = [{p.name: p.read_bytes() for p in (f / "parameters").iterdir()} for f in (folder, tmp_path / "cut")]
    assert kept[0] == kept[1]


def test_the_kept_network_observes_with_its_running_averages(trained, members, trainers, parameters):
    """Its outputs are those of the last observation, which those with other averages are not."""
    whole, folder = trained
    member = members({}, experiment=SMALL)[0]
    trainer, arrays = trainers.of(Batch(0, (member,))), parameters(0, folder)
    network = trainer.with_parameters(arrays)
    _, test = SMALL.task.split(trainer.table, 0)
    images, labels = jnp.asarray(trainer.table.inputs[test]), trainer.table.labels[test]

    @jax.jit
    def loss(network):
        logits = network.head(network.features(images))
        return -jax.nn.log_softmax(logits)[np.arange(len(test)), labels].mean()

    assert loss(network) == pytest.approx(whole.rows[0, 6]["test/loss"], rel=1e-5)
    fresh = {name: np.ones_like(x) if name.startswith("running.") else x for name, x in arrays.items()}
    difference = abs(loss(trainer.with_parameters(fresh)) - whole.rows[0, 6]["test/loss"])
    assert difference > 100 * 1e-5 * whole.rows[0, 6]["test/loss"]  # a hundred times what is granted above


def test_norms_are_of_the_parameters_only(trained, parameters):
    whole, folder = trained
    arrays = parameters(0, folder)
    squares = {name: float((x.astype(np.float64) ** 2).sum()) for name, x in arrays.items()}
    trained_only = sum(value for name, value in squares.items() if not name.startswith("running."))
    assert whole.rows[0, 6]["weight_norm"] == pytest.approx(trained_only**0.5, rel=1e-5)
    assert sum(name.startswith("running.") for name in squares) == 2 * 20
    assert trained_only < 0.9 * sum(squares.values())


def test_the_parameters_of_a_run_are_without_averages(tmp_path):
    arrays = {"head.weight": np.ones((2, 3)), "running.stem.mean": np.ones(2)}
    Parameters(tmp_path).save(0, arrays, {})
    runs = Runs(SimpleNamespace(folder=tmp_path))  # type: ignore[arg-type]
    assert list(runs.parameters(0)) == ["head.weight"]


def test_an_average_is_what_its_minibatches_say_and_no_decay_touches_it(members, trainers):
    """With a rate of almost nothing the network stays, and only the averages move: towards the moments of its images.

    The first convolution's are those of all images after many minibatches, up to the spread of the last few.
    """
    still = replace(SMALL, optimizer=SGD(learning_rate=1e-30, weight_decay=5.0), minibatch=Minibatch(size=None))
    (member,) = members({}, experiment=still)
    trainer = trainers.of(Batch(0, (member,)))
    experiments, seeds = stack([still]), jnp.zeros(1, jnp.uint32)
    rows, state = trainer.rows([still], [0]), trainer.start(experiments, seeds)
    before = trainer.all_named(jax.tree.map(lambda x: np.asarray(x[0]), state.arrays))
    state = trainer.advance(experiments, seeds, rows, state, 0, 20, trainer.inputs, trainer.labels)
    after = trainer.all_named(jax.tree.map(lambda x: np.asarray(x[0]), state.arrays))
    for name in trainer.names:
        np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-24)  # zeros move by the rate
    network = trainer.with_parameters(after)
    images = jnp.asarray(trainer.table.inputs[np.asarray(rows.train[0])])
    first = np.asarray(network.stem.convolution(images), np.float64)
    kept = 0.9**20
    unbiased = first.var(axis=(0, 1, 2), ddof=1)
    np.testing.assert_allclose(after["running.stem.mean"], (1 - kept) * first.mean(axis=(0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(after["running.stem.variance"], kept + (1 - kept) * unbiased, rtol=1e-4)


def test_a_control_that_follows_its_baseline_carries_averages_of_both(members, trainers):
    """Equal to the baseline's where the treatment changes nothing."""
    idle = replace(SMALL, interventions=(LearningRate(value=0.05),), matched="norm", loss=SquaredError())
    (member,) = members({}, experiment=idle)
    trainer = trainers.of(Batch(0, (member,)))
    experiments, seeds = stack([idle]), jnp.zeros(1, jnp.uint32)
    rows, state = trainer.rows([idle], [0]), trainer.start(experiments, seeds)
    state = trainer.advance(experiments, seeds, rows, state, 0, 2, trainer.inputs, trainer.labels)
    assert state.baseline is not None
    own, other = jax.tree.leaves(state.running), jax.tree.leaves(state.baseline.running)
    assert len(own) == len(other) == 40
    for a, b in zip(own, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
