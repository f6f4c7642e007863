"""`Runs`: a folder of results, to look at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterfit import store
from afterfit.parts import SpecError, require
from afterfit.spec import EventRule, Experiment
from afterfit.spec.written import from_dict

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr

    from afterfit.analysis.forecast import Forecast
    from afterfit.engine.trainer import Trainer
    from afterfit.report import Fans
    from afterfit.views import View


class Runs:
    """The members of one folder: what was observed, what happened, and what it was made with.

    Args:
        contents: what the store read.
    """

    def __init__(self, contents: store.Contents):
        self._contents = contents
        self._trainers: dict[Any, Trainer] = {}  # by structure; for looking at networks
        self._looking = threading.Lock()  # they compile on first use, and XLA has all cores for one of them

    @property
    def folder(self) -> Path:
        """Where the results lie."""
        return self._contents.folder

    @property
    def meta(self) -> dict[str, Any]:
        """What was run and with what, as plain values."""
        return self._contents.meta

    @cached_property
    def observations(self) -> xr.Dataset:
        """One variable a measure, dims (member, step); coords seed, status and every varied field on member."""
        return self._contents.observations

    @property
    def members(self) -> list[store.MemberRecord]:
        """What the store says of each member, in the order of their numbers."""
        return self._contents.members

    @property
    def table(self) -> store.Table:
        """The observations as plain arrays, one row a member and step."""
        return self._contents.table

    def steps(self, member: int) -> list[int]:
        """The steps at which a member was observed."""
        table = self._contents.table
        return table.step[table.member == member].tolist()

    def rows_until(self, step: int) -> dict[int, list[tuple[int, dict[str, float]]]]:
        """Every member's observations up to a step: (step, {measure: value})."""
        table = self._contents.table
        found: dict[int, list[tuple[int, dict[str, float]]]] = {record.member: [] for record in self.members}
        for member, at, values in zip(table.member.tolist(), table.step.tolist(), table.values.tolist(), strict=True):
            if at <= step:
                found[member].append((at, dict(zip(table.measures, values, strict=True))))
        return found

    @property
    def experiment(self) -> Experiment:
        """What the members share."""
        return from_dict(self.meta["experiment"])

    def events(self, rules: Mapping[str, Callable[..., int | None]] | None = None) -> pd.DataFrame:
        """One row a member: the step of each event, the observation before it, and whether it was censored.

        Args:
            rules: functions from one member's observations to a step or None, by name; by default those that were
                declared before the run.
        """
        from afterfit.analysis import events

        return events.table(self.observations, self.rules if rules is None else rules)

    @property
    def rules(self) -> dict[str, EventRule]:
        """The rules that were declared before the run."""
        return {written["name"]: from_dict(written) for written in self.meta["rules"]}

    def report(self, path: str | Path | None = None, forecast: Forecast | str | Path | None = None) -> Path:
        """Write one self-contained HTML file, report.html in the folder unless told otherwise, and give its path.

        Args:
            path: a folder, or a path that ends in .html.
            forecast: a locked forecast, or its file: what it said of every member is shown, see docs/forecasts.md.

        Raises:
            SpecError: the forecast is of an event or looks at a measure that these members have not, or was changed.
        """
        from afterfit.report import write_html

        target = Path(path) if path else self.folder
        seen, fans = {"observations": self.observations, "events": self.events()}, self._fans(forecast)
        return write_html(target, **seen, meta=self.meta, fans=fans)

    def figures(
        self,
        folder: str | Path | None = None,
        formats: tuple[str, ...] = ("svg", "pdf"),
        forecast: Forecast | str | Path | None = None,
    ) -> list[Path]:
        """Write the report's figures for a paper, into the folder's `figures` unless told otherwise.

        Args:
            folder: made if it is missing.
            formats: what matplotlib can write.
            forecast: as in `report`; its figure is forecast_EVENT.
        """
        from afterfit.report import write_figures

        target = Path(folder) if folder else self.folder / "figures"
        seen, fans = {"observations": self.observations, "events": self.events()}, self._fans(forecast)
        return write_figures(target, **seen, formats=formats, fans=fans)

    def _fans(self, forecast: Forecast | str | Path | None) -> Fans | None:
        """What a forecast said of the members, each with all numbers of its experiment, as while it was trained."""
        if forecast is None:
            return None
        from afterfit.analysis.forecast import Forecast
        from afterfit.lab.tally import numbers_of
        from afterfit.report import fans_of

        settings = {record.member: numbers_of(from_dict(record.experiment)) for record in self.members}
        try:
            known = forecast if isinstance(forecast, Forecast) else Forecast.load(forecast)
            return fans_of(known, self.observations, self.events(), settings)
        except (OSError, ValueError) as error:
            raise SpecError("forecast", str(forecast), f"cannot be used: {error}") from error

    def export(self, to: str, path: str | Path | None = None) -> Path:
        """Write the observations as "parquet", "netcdf" or "csv" and give the file's path."""
        endings = {"parquet": "parquet", "netcdf": "nc", "csv": "csv"}
        default = self.folder / f"observations.{endings.get(to, to)}"
        return store.export(self._contents, to, Path(path) if path else default)

    def snapshots(self, member: int) -> list[int]:
        """The steps at which a member's parameters are kept: those that its experiment names, and its end."""
        from afterfit.engine import checkpoints

        named = from_dict(self._record(member).experiment).snapshot_steps()
        kept = {step for step in named if checkpoints.snapshots(self.folder, step).path(member)}
        ended = checkpoints.Parameters(self.folder).path(member)
        return sorted(kept | ({self._record(member).step} if ended else set()))

    def parameters(self, member: int, step: int | None = None) -> dict[str, np.ndarray]:
        """A member's parameters by name, at its end or at one of its `snapshots`; without running averages.

        Raises:
            SpecError: there is no such member, it has not ended yet, or nothing was kept at that step.
        """
        from afterfit.models.model import RUNNING

        arrays = self._arrays(member, step)
        return {name: array for name, array in arrays.items() if not name.startswith(f"{RUNNING}.")}

    def _arrays(self, member: int, step: int | None) -> dict[str, np.ndarray]:
        """All that was kept of a member's network: its parameters, and the running averages that it carries along."""
        from afterfit.engine import checkpoints

        path = checkpoints.Parameters(self.folder).path(member)
        if step is not None and step not in self.snapshots(member):
            raise SpecError("step", step, f"kept of member {member} in {self.folder} are {self.snapshots(member)}")
        if step is not None and not (path and step == self._record(member).step):
            path = checkpoints.snapshots(self.folder, step).path(member)
        if path is None:
            raise SpecError("member", member, f"has no final parameters in {self.folder}: not a member, or not ended")
        return checkpoints.read(path).arrays

    def network(self, member: int, step: int | None = None) -> Any:
        """A member's Equinox module at its end, or at one of its `snapshots`: `features(inputs)` and `head`.

        The member's experiment is read from the folder; parts that are not afterfit's own are imported by name.
        """
        parameters = self._arrays(member, step)
        return self._trainer(from_dict(self._record(member).experiment)).with_parameters(parameters)

    def view(self, member: int, split: str = "train", step: int | None = None) -> View:
        """What one split shows of a member at its end, or at one of its `snapshots`, as NumPy arrays; for any measure.

        All examples of the split, whatever the probe; every layer; interventions that stay act as in observations.

        Args:
            member: its number.
            split: "train" or "test".
            step: one of its `snapshots`; the last by default.
        """
        require(split in ("train", "test"), "split", split, "must be 'train' or 'test'")
        record = self._record(member)
        at, seen = record.step if step is None else step, self._events_of(member)
        experiment, parameters = from_dict(record.experiment), self._arrays(member, step)
        with self._looking:
            return self._trainer(experiment).shown(experiment, record.seed, parameters, split, at, seen)

    def taught_labels(self, member: int) -> np.ndarray:
        """The labels that a member is taught of its training examples at its end, in the order of its `view`.

        They are not those of the task where an intervention draws others: with the logits of `view` they tell how much
        of them it has learnt. Shape (N,).
        """
        record = self._record(member)
        experiment = from_dict(record.experiment)
        with self._looking:
            return self._trainer(experiment).taught(experiment, record.seed, record.step, self._events_of(member))

    def _events_of(self, member: int) -> dict[str, int | None]:
        """The step of each declared event of a member, None for one that did not happen."""
        from pandas import NA

        events = self.events().astype(object).loc[member]
        return {name: events[name] if events[name] is not NA else None for name in self.rules}

    def _record(self, member: int) -> store.MemberRecord:
        for record in self.members:
            if record.member == member:
                return record
        raise SpecError("member", member, f"{self.folder} has members 0 to {len(self.members) - 1}")

    def _trainer(self, experiment: Experiment) -> Trainer:
        """One for all members of equal structure: looking at each compiles nothing of its own."""
        from afterfit.engine.pytree import structure
        from afterfit.engine.trainer import Trainer

        shared = structure(experiment)
        if shared not in self._trainers:
            self._trainers[shared] = Trainer(experiment, experiment.task.table())
        return self._trainers[shared]


def open_runs(folder: str | Path) -> Runs:
    """The results in a folder, also while they are still being made.

    Raises:
        StoreError: the folder holds none, or they are damaged; one line that says what to do.
    """
    return Runs(store.read(folder))
