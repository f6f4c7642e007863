"""Trackers of experiments, told of every observation: TensorBoard, Weights & Biases, MLflow, trackio.

Each is optional and imports its library when it is made. Points are kept and handed over many at a time, so that a slow
tracker does not slow the training; what is waiting is handed over by `close`, and every `every` observations.
One of your own needs `log(values, step)` and `close()`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from afterfit.parts import SpecError

Point = tuple[int, dict[str, float]]


@runtime_checkable
class Tracker(Protocol):
    """Who is told of observations."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """An observation."""
        ...

    def close(self) -> None:
        """There will be no more."""
        ...


class _Batched:
    """Keeps points and hands them over many at a time."""

    def __init__(self, every: int):
        self._every, self._waiting = every, []
        self._waiting: list[Point]

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Keep an observation; hand all over that wait once there are enough."""
        self._waiting.append((step, dict(values)))
        if len(self._waiting) >= self._every:
            self._flush()

    def close(self) -> None:
        """Hand over what waits, and end."""
        self._flush()
        self._end()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._hand_over(waiting)

    def _hand_over(self, points: list[Point]) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        """Nothing."""


class TensorBoard(_Batched):
    """Scalars in a folder of TensorBoard's.

    Args:
        folder: where event files go.
        every: observations that are handed over together.
    """

    def __init__(self, folder: str | Path, *, every: int = 20):
        super().__init__(every)
        writer = _imported("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._writer = writer(str(folder))

    def _hand_over(self, points: list[Point]) -> None:
        for step, values in points:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def _end(self) -> None:
        self._writer.close()


class WeightsAndBiases(_Batched):
    """A run of Weights & Biases; with mode="offline", the default, nothing leaves the machine.

    Args:
        project: its name there.
        mode: "offline" or "online".
        run: a run of yours that goes on, in place of a new one; it is not ended here. Its own steps may be ahead of
            points that come many at a time, so these are named "afterfit/…" there, over "afterfit/step".
        every: observations that are handed over together.
        options: of `wandb.init`.
    """

    def __init__(
        self, project: str = "afterfit", *, mode: str = "offline", run: Any = None, every: int = 20, **options: Any
    ):
        super().__init__(every)
        self._own = run is None
        self._run = _imported("wandb", "wandb").init(project=project, mode=mode, **options) if run is None else run
        if not self._own:
            self._run.define_metric("afterfit/*", step_metric="afterfit/step")

    def _hand_over(self, points: list[Point]) -> None:
        for step, values in points:
            if self._own:
                self._run.log(values, step=step)
            else:
                self._run.log({f"afterfit/{name}": value for name, value in {"step": step, **values}.items()})

    def _end(self) -> None:
        if self._own:
            self._run.finish()


class MLflow(_Batched):
    """Metrics of an MLflow run, in one call for many points.

    Args:
        experiment: its name.
        uri: of the store; a local file "sqlite:///mlflow.db" unless given: nothing leaves the machine.
        run: the identifier of a run of yours that goes on, in place of a new one; it is not ended here.
        every: observations that are handed over together.
    """

    def __init__(
        self, experiment: str = "afterfit", *, uri: str = "sqlite:///mlflow.db", run: str | None = None,
        every: int = 20,
    ):  # fmt: skip
        super().__init__(every)
        mlflow = _imported("mlflow", "mlflow")
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        self._own = run is None
        self._run = self._new_run(experiment) if run is None else run

    def _new_run(self, experiment: str) -> str:
        found = self._client.get_experiment_by_name(experiment)
        number = found.experiment_id if found else self._client.create_experiment(experiment)
        return self._client.create_run(number).info.run_id

    def _hand_over(self, points: list[Point]) -> None:
        import time

        from mlflow.entities import Metric  # type: ignore[import-not-found]

        now = int(1_000 * time.time())
        # MLflow allows letters, digits and _-./ : in names.
        metrics = [Metric(_plain(name), value, now, step) for step, values in points for name, value in values.items()]
        for at in range(0, len(metrics), 1_000):  # as many as one call may hold
            self._client.log_batch(self._run, metrics=metrics[at : at + 1_000])

    def _end(self) -> None:
        if self._own:
            self._client.set_terminated(self._run)


class Trackio(_Batched):
    """A project of trackio, kept on this machine.

    Args:
        project: its name.
        every: observations that are handed over together.
        options: of `trackio.init`.
    """

    def __init__(self, project: str = "afterfit", *, every: int = 20, **options: Any):
        super().__init__(every)
        self._trackio = _imported("trackio", "trackio")
        self._trackio.init(project=project, **options)

    def _hand_over(self, points: list[Point]) -> None:
        for step, values in points:
            self._trackio.log(values, step=step)

    def _end(self) -> None:
        self._trackio.finish()


def _imported(module: str, package: str) -> Any:
    """The tracker's library, or one line that says how to get it."""
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise SpecError(
            "trackers", package, f"is not installed: pip install 'afterfit[{package}]' ({error})"
        ) from error


def _plain(name: str) -> str:
    """A measure's name in the letters that MLflow takes."""
    return "".join(letter if letter.isalnum() or letter in "_-./ " else "_" for letter in name)
