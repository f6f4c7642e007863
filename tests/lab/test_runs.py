"""`run` and what it leaves: the same results however they were come by."""

import gc
import os
import signal
import sqlite3
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

import afterfit as af
from afterfit.engine.crew import WorkerFailed
from afterfit.interventions import LabelNoise
from afterfit.lab.keeper import Keeper
from afterfit.lab.progress import Silent
from afterfit.lab.run import Interrupted
from afterfit.lab.run import _events as events_of
from afterfit.parts import SpecError
from afterfit.store import DamageWarning, FolderInUse, FolderMismatch, RunStore, StoreError, StoreFull, read


@pytest.fixture(autouse=True)
def hearing_ctrl_c():
    """Where the tests run in the background it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Told(Silent):
    """Remembers what it is told, and does something at the n-th observation."""

    def __init__(self, at: int = 10**9, then=lambda: None):
        self.at, self.then = at, then
        self.rows, self.notes, self.kinds, self.asked_to_stop = 0, [], [], False

    @contextmanager
    def over(self, members, batches, folder, past):
        self.members, self.batches, self.past = list(members), list(batches), list(past)
        yield

    def message(self, message):
        self.kinds.append(message["kind"])
        if message["kind"] == "note":
            self.notes.append((message["about"], message["text"]))
        if message["kind"] == "rows":
            self.rows += len(message["rows"])
            if self.rows >= self.at:
                self.at = 10**9
                self.then()

    def stopping(self):
        self.asked_to_stop = True


@pytest.fixture(scope="module")
def whole(tiny_toml, tmp_path_factory) -> Path:
    """The folder of a run without a break, trained here."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    af.run(tiny_toml, out=folder, workers=0)
    return folder


@pytest.fixture
def stopped(tiny_toml, tmp_path) -> Path:
    """The folder of a run that was asked to stop half-way."""
    folder = tmp_path / "stopped"
    told = Told(at=8, then=lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted, match=f"^stopped; everything is kept in {folder}$"):
        af.run(tiny_toml, out=folder, workers=0, checkpoint_seconds=0, progress=told)
    assert told.asked_to_stop
    return folder


def test_a_run_gives_labelled_observations_and_events(whole):
    runs = af.open(whole)
    assert dict(runs.observations.sizes) == {"member": 2, "step": 9}
    assert runs.observations["step"].values.tolist() == list(range(0, 401, 50))
    assert runs.observations["seed"].values.tolist() == [0, 1]
    assert runs.observations["status"].values.tolist() == ["finished", "finished"]
    assert set(runs.observations.data_vars) == {
        "train/loss", "test/loss", "train/accuracy", "test/accuracy", "weight_norm"
    }  # fmt: skip
    events = runs.events()
    assert not events["memorised_censored"].any()
    assert events["generalised_censored"].all()
    assert runs.experiment.task.p == 7


def test_events_can_be_read_by_sql_and_are_those_that_the_rules_give(whole):
    with closing(sqlite3.connect(whole / "runs.sqlite")) as connection:
        rows = connection.execute("SELECT member, event, step, after, censored FROM events").fetchall()
    events = af.open(whole).events()
    step, after = events["memorised"].tolist(), events["memorised_after"].tolist()
    wanted = [(member, "memorised", step[member], after[member], 0) for member in (0, 1)]
    assert sorted(rows) == sorted([*wanted, *((member, "generalised", None, 400, 1) for member in (0, 1))])


def test_the_kept_network_is_the_one_that_was_observed(whole):
    runs = af.open(whole)
    table = runs.experiment.task.table()
    for member, seed in enumerate(runs.observations["seed"].values.tolist()):
        network = runs.network(member)
        _, test = runs.experiment.task.split(table, seed)
        hits = np.asarray(network.head(network.features(table.inputs[test]))).argmax(axis=1) == table.labels[test]
        assert hits.mean() == pytest.approx(float(runs.observations["test/accuracy"][member, -1]), abs=1e-6)
    with pytest.raises(SpecError, match=r"^member = 7: has no final parameters"):
        runs.parameters(7)


def test_the_labels_that_were_taught_are_those_that_the_network_learnt(whole, tmp_path):
    runs = af.open(whole)
    np.testing.assert_array_equal(runs.taught_labels(1), runs.view(1, "train").labels)  # nothing draws others
    drawn = af.run(
        replace(runs.experiment, interventions=(LabelNoise(strength=1.0, num_classes=7),)),
        seeds=1, out=tmp_path / "drawn", workers=0, progress=Silent(),
    )  # fmt: skip
    view, taught = drawn.view(0, "train"), drawn.taught_labels(0)
    assert np.mean(view.logits.argmax(axis=1) == taught) > 0.8
    assert np.mean(view.labels == taught) < 0.5


def test_a_run_that_was_stopped_before_its_first_observation_has_no_events_yet(whole, tmp_path):
    runs = af.open(whole)
    RunStore.create(
        tmp_path / "run", meta=runs.meta, members=[replace(r, status="waiting") for r in runs.members]
    ).close()
    assert list(events_of(af.open(tmp_path / "run"))) == []
    assert len(list(events_of(runs))) == 4


def test_the_same_call_again_finds_nothing_to_do(whole, tiny_toml, contents):
    before, told = contents(whole), Told()
    af.run(tiny_toml, out=whole, workers=0, progress=told)
    assert told.batches == []
    assert contents(whole) == before


def children() -> set[int]:
    """Processes that this one has started; of the libraries that tests before have used, some keep theirs."""
    return {child.pid for child in psutil.Process().children()}


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_give_what_is_trained_here(whole, tiny_toml, tmp_path, workers, contents):
    descriptors, threads, others = open_files(), threading.active_count(), children()
    runs = af.run(tiny_toml, out=tmp_path / "run", workers=workers)
    if workers == 1:
        assert contents(tmp_path / "run") == contents(whole)
    for name, values in af.open(whole).observations.data_vars.items():
        np.testing.assert_allclose(runs.observations[name], values, rtol=1e-4, atol=1e-6)
    gc.collect()
    assert open_files() == descriptors
    assert threading.active_count() == threads
    assert children() == others  # nobody is left, not even unburied


def test_workers_that_cannot_even_begin_are_not_started_again_and_again(tiny_toml, tmp_path, monkeypatch):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "jax.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(broken)
    with pytest.raises(WorkerFailed, match=r"^the worker of batch 0 ended with exit code 3$"):
        af.run(tiny_toml, seeds=6, out=tmp_path / "run", workers=1, batch_size=1)


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(stopped, whole, tiny_toml, contents):
    kept = read(stopped)
    assert {record.status for record in kept.members} == {"waiting"}
    assert {record.step for record in kept.members} == {kept.table.step.max()}
    assert [entry.kind for entry in kept.log] == ["interrupted"]
    told = Told()
    af.run(tiny_toml, out=stopped, workers=0, progress=told)
    assert [kind for kind, _ in told.notes] == ["resumed"]
    assert len(told.past) == len(kept.table)
    assert contents(stopped) == contents(whole)
    assert [entry.kind for entry in read(stopped).log] == ["interrupted", "resumed"]


def test_ctrl_c_is_what_it_was_again_after_the_run(stopped):
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_ctrl_c_with_the_last_row_is_not_forgotten(whole, tiny_toml, tmp_path, contents):
    everything = len(read(whole).table)
    told = Told(at=everything, then=lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted):
        af.run(tiny_toml, out=tmp_path / "run", workers=0, progress=told)
    af.run(tiny_toml, out=tmp_path / "run", workers=0)
    assert contents(tmp_path / "run") == contents(whole)


def test_nobody_is_said_to_run_after_a_kill_and_a_stop(stopped, tiny_toml):
    with RunStore.resume(stopped) as store:  # as a kill leaves it
        for record in store.members:
            store.set_status(record.member, "running", record.step)
        with Keeper(store, Told()):
            pass
        assert {record.status for record in store.members} == {"waiting"}
        assert {record.step for record in store.members} == {read(stopped).table.step.max()}


def test_ctrl_c_that_is_ignored_stays_so(tiny_toml, tmp_path):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = Told(at=4, then=lambda: signal.raise_signal(signal.SIGINT))
    af.run(tiny_toml, out=tmp_path / "run", workers=0, progress=told)
    assert not told.asked_to_stop
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_run_in_another_thread_leaves_signals_alone(tiny_toml, tmp_path, whole, contents):
    thread = threading.Thread(target=lambda: af.run(tiny_toml, out=tmp_path / "run", workers=0))
    thread.start()
    thread.join()
    assert contents(tmp_path / "run") == contents(whole)


def test_the_ends_that_a_kill_swallowed_are_made_good(tiny_toml, tmp_path, whole, contents):
    af.run(tiny_toml, out=tmp_path / "run", workers=0)
    with RunStore.resume(tmp_path / "run") as store:  # as if it had died between the last checkpoint and their word
        store.set_status(0, "running", 50)
        store.set_status(1, "running", 0)
    told = Told()
    af.run(tiny_toml, out=tmp_path / "run", workers=0, progress=told)
    assert told.rows == 0
    assert contents(tmp_path / "run") == contents(whole)


def flip(path: Path, share: float = 0.5) -> None:
    """Flip a bit of one of the bytes that say something."""
    content = bytearray(path.read_bytes())
    saying = [place for place, byte in enumerate(content) if byte]
    content[saying[int(len(saying) * share)]] ^= 0x10
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_told_and_the_end_is_the_same(stopped, whole, tiny_toml, contents):
    newest = max((stopped / "checkpoints").rglob("*.safetensors"))
    flip(newest)
    told = Told()
    af.run(tiny_toml, out=stopped, workers=0, progress=told)
    assert [kind for kind, _ in told.notes] == ["damaged", "resumed"]
    assert told.notes[0][1].startswith(f"{newest} is damaged")
    assert contents(stopped) == contents(whole)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_a_damaged_database_is_repaired_told_and_what_is_lost_is_trained_again(
    stopped, whole, tiny_toml, contents, share
):
    flip(stopped / "runs.sqlite", share)
    with pytest.raises(StoreError, match="is damaged") as caught:
        af.open(stopped)
    assert "\n" not in str(caught.value)
    with pytest.warns(DamageWarning):
        read(stopped, damaged="warn")
    told = Told()
    af.run(tiny_toml, out=stopped, workers=0, progress=told)
    assert told.notes[0][0] == "repaired"
    assert "rows are good" in told.notes[0][1]
    assert contents(stopped) == contents(whole)


def test_damaged_final_parameters_are_trained_again(tiny_toml, tmp_path, whole, contents):
    af.run(tiny_toml, out=tmp_path / "run", workers=0)
    flip(max((tmp_path / "run" / "parameters").iterdir()))
    told = Told()
    af.run(tiny_toml, out=tmp_path / "run", workers=0, progress=told)
    assert [kind for kind, _ in told.notes] == ["recomputed"]
    assert told.notes[0][1].endswith("the parameters of member 1 are missing or damaged")
    assert contents(tmp_path / "run") == contents(whole)


def test_more_seeds_train_only_what_is_new(tiny_toml, tmp_path, whole):
    af.run(tiny_toml, out=tmp_path / "run", seeds=1, workers=0)
    told = Told()
    runs = af.run(tiny_toml, out=tmp_path / "run", seeds=2, workers=0, progress=told)
    assert told.rows == 9
    assert [m.seed for batch in told.batches for m in batch.members] == [1]
    assert [entry.kind for entry in read(tmp_path / "run").log] == ["extended"]
    for name, values in af.open(whole).observations.data_vars.items():
        np.testing.assert_allclose(runs.observations[name], values, rtol=1e-4, atol=1e-6)


def test_more_values_train_only_what_is_new_and_lists_are_values_too(tiny_toml, tmp_path):
    first = {"model.widths": [(16,)], "optimizer.weight_decay": [0.5]}
    af.run(tiny_toml, out=tmp_path / "run", seeds=1, workers=0, vary=first)
    told = Told()
    more = {"model.widths": [[16]], "optimizer.weight_decay": ["0.5", 2.0]}
    runs = af.run(tiny_toml, out=tmp_path / "run", seeds=1, workers=0, vary=more, progress=told)
    assert told.rows == 9
    assert runs.observations["optimizer.weight_decay"].values.tolist() == [0.5, 2.0]
    af.run(tiny_toml, out=tmp_path / "run", seeds=1, workers=0, vary=more, progress=(told := Told()))
    assert told.batches == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 500}, "experiment.steps is 400 there, 500 was asked for; choose another folder"),
        (
            {"changes": {"optimizer.weight_decay": 1}},
            "experiment.optimizer.weight_decay is 0.5 there, 1.0 was asked",
        ),
        ({"seeds": [0, 5]}, "seeds is [0, 1] there, [0, 5] was asked for; choose another folder"),
        ({"seeds": 1}, "seeds is [0, 1] there, [0] was asked for; choose another folder"),
        ({"vary": {"steps": [400]}}, "vary.steps is None there, [400] was asked for; choose another folder"),
    ],
)
def test_a_folder_of_another_run_is_refused_and_named(whole, tiny_toml, options, message):
    before = sorted(path.name for path in whole.rglob("*"))
    with pytest.raises(FolderMismatch) as caught:
        af.run(tiny_toml, out=whole, workers=0, **options)
    assert str(caught.value).startswith(f"{whole} holds another run: {message}")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in whole.rglob("*")) == before


def test_a_folder_that_is_being_written_is_refused_with_the_process_that_writes_it(whole, tiny_toml):
    with RunStore.resume(whole), pytest.raises(FolderInUse, match=rf"is being written by process {os.getpid()} on "):
        af.run(tiny_toml, out=whole, workers=0)


def test_a_folder_can_be_read_while_it_is_written(tiny_toml, tmp_path):
    seen = []
    told = Told(at=6, then=lambda: seen.append(af.open(tmp_path / "run").observations))
    af.run(tiny_toml, out=tmp_path / "run", workers=0, progress=told)
    assert seen[0].sizes["step"] == 3
    assert seen[0]["status"].values.tolist() == ["running", "running"]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"workers": -1}, SpecError, "workers = -1: must be a whole number, 0 or more"),
        ({"workers": 1.5}, SpecError, "workers = 1.5: must be a whole number, 0 or more"),
        ({"batch_size": 0}, SpecError, "batch_size = 0: must be a whole number, 1 or more"),
        ({"checkpoint_seconds": float("nan")}, SpecError, "checkpoint_seconds = nan: must be 0 or more"),
        ({"seeds": 0}, SpecError, "seeds = 0: must be a count"),
        ({"steps": 0}, SpecError, "steps = 0: must be 1 or more"),
        ({"changes": {"model.widhts": [3]}}, SpecError, "model.widhts = [3]: no such field; did you mean 'widths'?"),
        ({"changes": {"minibatch.size": 1000}}, SpecError, "minibatch.size = 1000: must be at most the 29"),
        ({"changes": {"model": "Transformer", "model.readout": 5}}, SpecError, "readout = 5: must lie in -2 … 1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_made(tiny_toml, tmp_path, options, kind, message):
    with pytest.raises(kind) as caught:
        af.run(tiny_toml, **({"out": tmp_path / "run", "workers": 1} | options))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("out", ["/dev/null/run", "/proc/run"])
def test_a_folder_that_cannot_be_written_is_refused(tiny_toml, out):
    with pytest.raises(StoreError, match=rf"^{out} cannot be used: ") as caught:
        af.run(tiny_toml, out=out, workers=1)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_told_in_a_line_and_after_it_the_same_call_ends_the_same(
    tiny_toml, tmp_path, whole, contents, small_disk
):
    with small_disk(tmp_path / "disk", "600k") as disk:
        ballast = disk / "ballast"
        told = Told(at=6, then=lambda: ballast.write_bytes(bytes(free_bytes(disk))))
        with pytest.raises(StoreFull, match="free some space and start the same run again") as caught:
            af.run(tiny_toml, out=disk / "run", workers=0, checkpoint_seconds=0, progress=told)
        assert "\n" not in str(caught.value)
        ballast.unlink()
        af.run(tiny_toml, out=disk / "run", workers=0)
        assert contents(disk / "run") == contents(whole)


def free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
