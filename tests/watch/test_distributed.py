"""Two processes see together what one sees, write it once, and neither waits for one that fails."""

import os
import warnings
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

import afterfit as af

CLASSES, SIZE, RANKS, STEPS, EVERY = 3, 6, 2, 8, 3
# The first of the two processes has one example more than the second.
draw = torch.Generator().manual_seed(0)
LABELS = torch.arange(61) % CLASSES
INPUTS = torch.eye(CLASSES, SIZE)[LABELS] + torch.randn(61, SIZE, generator=draw)
TRAIN, TEST = (INPUTS[:41], LABELS[:41]), (INPUTS[41:], LABELS[41:])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(SIZE, 8), nn.ReLU(), nn.Linear(8, CLASSES))


def train(model, watch, steps, rank=0, ranks=1) -> None:
    """Steps on 40 examples, each rank with its half of them: together the same gradient as one process."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    mine = slice(20 * rank * (ranks - 1), 40 if ranks == 1 else 20 * (rank + 1))
    for step in steps:
        watch(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(TRAIN[0][mine]), TRAIN[1][mine]).backward()
        optimizer.step()


def work(rank: int, folder: Path) -> None:
    """One rank's whole life: a watched training, the same resumed, and one in which the second rank fails."""
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=RANKS)
    try:
        model = DistributedDataParallel(network())
        options = {"train": TRAIN, "test": TEST, "every": EVERY, "out": folder / "run", "layers": ["0"]}
        with af.Watch(model, **options) as watch:
            train(model, watch, range(STEPS), rank, RANKS)
        with af.Watch(model, **options) as again:  # no state was kept: the folder says where it stands
            train(model, again, range(STEPS, STEPS + 3), rank, RANKS)
        options["out"] = folder / "back"
        with af.Watch(model, **options) as watch:
            train(model, watch, range(STEPS), rank, RANKS)
        with af.Watch(model, **options) as again:  # begins anew without a word: ranks must not wait for one another
            train(model, again, range(4), rank, RANKS)
        fail(model, rank, folder)
    finally:
        distributed.destroy_process_group()


def fail(model: nn.Module, rank: int, folder: Path) -> None:
    """Observe with a forward that raises on the second rank, on the second observation only."""
    calls = []

    def forward(model, batch):
        calls.append(1)
        if rank == 1 and len(calls) == 3:  # the first is the search for the head
            raise RuntimeError("out of memory")
        return model(batch[0])

    watch = af.Watch(model, train=TRAIN, every=1, measures=["rnc1"], forward=forward)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in range(3):
            watch(step)
    said = "\n".join([str(watch.recorder.steps), *(str(each.message) for each in caught)])
    (folder / f"rank{rank}.txt").write_text(said)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes left behind."""
    path = tmp_path_factory.mktemp("ranks")
    before = os.environ.get("GLOO_SOCKET_IFNAME")
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"  # machines without a name that resolves
    try:
        multiprocessing.spawn(work, args=(path,), nprocs=RANKS)
    finally:
        os.environ.pop("GLOO_SOCKET_IFNAME")
        if before is not None:
            os.environ["GLOO_SOCKET_IFNAME"] = before
    return path


def test_two_processes_give_the_rows_of_one_written_once(folder, tmp_path):
    model = network()
    with af.Watch(model, train=TRAIN, test=TEST, every=EVERY, out=tmp_path / "one", layers=["0"]) as watch:
        train(model, watch, range(STEPS + 3))
    one, two = af.open(tmp_path / "one").observations, af.open(folder / "run").observations
    assert two["step"].values.tolist() == one["step"].values.tolist() == [0, 3, 6, 9]
    assert set(two.data_vars) == set(one.data_vars)
    for name in one.data_vars:
        assert two[name].values == pytest.approx(one[name].values, rel=1e-4, abs=1e-6), name


def test_processes_that_begin_anew_without_a_word_observe_at_the_same_steps(folder):
    assert af.open(folder / "back").observations["step"].values.tolist() == [0, 3]


def test_a_rank_that_fails_is_told_by_all_and_the_others_do_not_wait_for_it(folder):
    first, second = ((folder / f"rank{rank}.txt").read_text() for rank in range(RANKS))
    assert first.startswith("[0, 2]\n")
    assert "the observation at step 1 failed (RuntimeError: 1 of 2 ranks could not observe)" in first
    assert "the observation at step 1 failed (RuntimeError: out of memory)" in second
