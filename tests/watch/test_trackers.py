"""Trackers are told of every observation, many at a time, nothing leaves the machine, and none ends a training.

Each is tried for real; how often and with what the others than TensorBoard are called is looked at in functions with
the signatures of wandb 0.31, mlflow-skinny 3.17 and trackio 0.43.
"""

import json
import os
import sqlite3
import subprocess
import sys
import types
from unittest.mock import create_autospec

import pytest
import torch

import afterfit as af
from afterfit.parts import SpecError
from afterfit.watch import trackers

DATA = torch.randn(32, 4, generator=torch.Generator().manual_seed(0)), torch.arange(32) % 2


def watched(*told, steps=5, **options):
    """A watch of a small model, observed at so many steps, and closed."""
    model = torch.nn.Linear(4, 2)
    watch = af.Watch(model, train=DATA, every=1, measures=["loss", "accuracy"], trackers=told, **options)
    for step in range(steps):
        watch(step)
    watch.close()
    return watch


class Kept:
    """A tracker of one's own."""

    def __init__(self):
        self.points, self.closed = [], 0

    def log(self, values, step):
        self.points.append((step, dict(values)))

    def close(self):
        self.closed += 1


def test_a_tracker_of_ones_own_hears_what_is_kept():
    kept = Kept()
    watch = watched(kept)
    assert isinstance(kept, trackers.Tracker)
    assert kept.points == list(zip(watch.recorder.steps, watch.recorder.values, strict=True))
    assert kept.closed == 1


def test_tensorboard_shows_every_point(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    watch = watched(trackers.TensorBoard(tmp_path, every=2))
    seen = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert set(seen.Tags()["scalars"]) == {"train/loss", "train/accuracy"}
    points = seen.Scalars("train/loss")
    assert [point.step for point in points] == watch.recorder.steps
    assert [point.value for point in points] == pytest.approx(watch.recorder.history.column("train/loss"))


@pytest.mark.parametrize(("every", "calls"), [(1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (20, [5])])
def test_points_are_handed_over_many_at_a_time_and_none_is_lost(every, calls):
    came = []

    class Batched(trackers._Batched):
        def _hand_over(self, points):
            came.append(points)

    watched(Batched(every))
    assert [len(points) for points in came] == calls
    assert [step for points in came for step, _ in points] == [0, 1, 2, 3, 4]


class Broken(Kept):
    """Fails whenever it is told anything."""

    def log(self, values, step):
        raise ConnectionError(f"no network at step {step}")

    def close(self):
        raise ConnectionError("still none")


def test_a_tracker_that_fails_is_reported_once_and_nothing_else_suffers(tmp_path):
    kept = Kept()
    with pytest.warns(UserWarning, match="the tracker Broken could not be told") as caught:
        watch = watched(Broken(), kept, out=tmp_path / "run")
    assert len(caught) == 1
    assert [step for step, _ in kept.points] == [0, 1, 2, 3, 4]
    assert kept.closed == 1
    assert af.open(tmp_path / "run").observations["step"].values.tolist() == [0, 1, 2, 3, 4]
    assert "The tracker Broken could not be told (ConnectionError: no network at step 0)." in str(watch.status())
    with pytest.raises(ConnectionError):
        watched(Broken(), strict=True)


@pytest.mark.parametrize(
    ("make", "package"),
    [
        (lambda folder: trackers.TensorBoard(folder), "torch.utils.tensorboard"),
        (lambda _: trackers.WeightsAndBiases(), "wandb"),
        (lambda _: trackers.MLflow(), "mlflow"),
        (lambda _: trackers.Trackio(), "trackio"),
    ],
)
def test_a_library_that_is_not_there_is_said_in_one_line(make, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SpecError, match=r"^trackers = .*is not installed: pip install 'afterfit\["):
        make(tmp_path)


# Stand-ins with the real signatures


class Run:
    """wandb.Run, as far as it is called."""

    def define_metric(self, name, step_metric=None, step_sync=None): ...
    def log(self, data, step=None, commit=None): ...
    def finish(self, exit_code=None): ...


def wandb_init(entity=None, project=None, dir=None, id=None, name=None, mode=None, config=None): ...


def test_weights_and_biases_is_offline_unless_asked_and_finished_only_if_it_is_ours(monkeypatch):
    run, init = create_autospec(Run, instance=True), create_autospec(wandb_init)
    init.return_value = run
    monkeypatch.setitem(sys.modules, "wandb", types.SimpleNamespace(init=init))
    watch = watched(trackers.WeightsAndBiases("mine", name="first"))
    init.assert_called_once_with(project="mine", mode="offline", name="first")
    assert [call.kwargs["step"] for call in run.log.call_args_list] == [0, 1, 2, 3, 4]
    assert run.log.call_args_list[0].args == (watch.recorder.values[0],)
    run.finish.assert_called_once_with()
    theirs = create_autospec(Run, instance=True)
    watched(trackers.WeightsAndBiases(run=theirs))
    theirs.define_metric.assert_called_once_with("afterfit/*", step_metric="afterfit/step")
    assert [call.args[0]["afterfit/step"] for call in theirs.log.call_args_list] == [0, 1, 2, 3, 4]
    theirs.finish.assert_not_called()


class MlflowClient:
    """mlflow.MlflowClient, as far as it is called."""

    def __init__(self, tracking_uri=None, registry_uri=None): ...
    def get_experiment_by_name(self, name): ...
    def create_experiment(self, name, artifact_location=None, tags=None, trace_location=None): ...
    def create_run(self, experiment_id, start_time=None, tags=None, run_name=None): ...
    def log_batch(self, run_id, metrics=(), params=(), tags=(), synchronous=None): ...
    def set_terminated(self, run_id, status=None, end_time=None): ...


def metric(key, value, timestamp, step):
    return {"key": key, "value": value, "step": step}


def test_mlflow_takes_many_points_in_one_call_under_names_that_it_allows(monkeypatch):
    client = create_autospec(MlflowClient, instance=True)
    client.get_experiment_by_name.return_value = None
    client.create_experiment.return_value = "7"
    client.create_run.return_value.info.run_id = "r1"
    made = create_autospec(MlflowClient, return_value=client)
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(MlflowClient=made))
    monkeypatch.setitem(sys.modules, "mlflow.entities", types.SimpleNamespace(Metric=metric))
    tracker = trackers.MLflow()
    made.assert_called_once_with(tracking_uri="sqlite:///mlflow.db")
    for step in range(5):
        tracker.log({"train/rnc1@0": 1.0 + step}, step)
    tracker.close()
    client.create_run.assert_called_once_with("7")
    assert client.log_batch.call_count == 1
    sent = client.log_batch.call_args.kwargs["metrics"]
    assert sent == [{"key": "train/rnc1_0", "value": 1.0 + step, "step": step} for step in range(5)]
    client.set_terminated.assert_called_once_with("r1")


def trackio_init(project, name=None, group=None, space_id=None, server_url=None, dataset_id=None, config=None): ...
def trackio_log(metrics, step=None): ...
def trackio_finish(): ...


def test_trackio_stays_on_this_machine(monkeypatch):
    init, log, finish = map(create_autospec, (trackio_init, trackio_log, trackio_finish))
    monkeypatch.setitem(sys.modules, "trackio", types.SimpleNamespace(init=init, log=log, finish=finish))
    watched(trackers.Trackio("mine"))
    init.assert_called_once_with(project="mine")
    assert [call.kwargs["step"] for call in log.call_args_list] == [0, 1, 2, 3, 4]
    finish.assert_called_once_with()


# The real ones


def test_weights_and_biases_itself_keeps_every_value_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    theirs = wandb.init(project="mine", mode="offline", dir=tmp_path)
    tracker = trackers.WeightsAndBiases(run=theirs)
    theirs.log({"train/loss": 7.0}, step=100)  # ahead of the points that come now
    watch = watched(tracker)
    last = {"step": watch.recorder.steps[-1], **watch.recorder.values[-1]}
    assert {name: theirs.summary[f"afterfit/{name}"] for name in last} == pytest.approx(last)
    assert theirs.summary["train/loss"] == 7
    theirs.finish()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


@pytest.mark.filterwarnings("ignore:.*``noload``")  # MLflow's, with SQLAlchemy 2.1
def test_mlflow_itself_gives_back_every_point(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    watch = watched(trackers.MLflow("mine", uri=uri))
    client = mlflow.MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert run.info.status == "FINISHED"
    points = client.get_metric_history(run.info.run_id, "train/loss")
    assert {point.step: point.value for point in points} == {
        step: values["train/loss"] for step, values in zip(watch.recorder.steps, watch.recorder.values, strict=True)
    }
    theirs = client.create_run(run.info.experiment_id).info.run_id
    watched(trackers.MLflow(uri=uri, run=theirs))
    assert client.get_run(theirs).info.status == "RUNNING"
    assert len(client.get_metric_history(theirs, "train/loss")) == 5


def test_trackio_itself_gives_back_every_point(tmp_path):
    """In a process of its own: trackio reads where it keeps projects when it is imported."""
    pytest.importorskip("trackio")
    found = subprocess.run(
        [sys.executable, "-c", TOLD_TRACKIO], env=os.environ | {"TRACKIO_DIR": str(tmp_path)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    expected = json.loads(found.stdout.splitlines()[-1])
    with sqlite3.connect(tmp_path / "mine.db") as kept:
        rows = dict(kept.execute("select step, metrics from metrics"))
    assert {step: json.loads(row)["train/loss"] for step, row in rows.items()} == dict(enumerate(expected))


TOLD_TRACKIO = """
import json
import torch
import afterfit as af
from afterfit.watch import trackers

torch.manual_seed(0)
data = torch.randn(30, 4), torch.arange(30) % 3
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
told = [trackers.Trackio("mine")]
with af.Watch(model, train=data, every=1, measures=["loss"], trackers=told, strict=True) as watch:
    for step in range(3):
        watch(step)
print(json.dumps([values["train/loss"] for values in watch.recorder.values]))
"""
