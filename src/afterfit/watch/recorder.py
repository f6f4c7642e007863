"""What a watch keeps: observations in memory for its status, and in a run folder like any run's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from afterfit.analysis.rules import Streak
from afterfit.spec import EventRule
from afterfit.spec.written import to_dict
from afterfit.store import MemberRecord, RunStore, is_run
from afterfit.watch.history import History

MEMBER = 0  # a watch's folder holds one


class Recorder:
    """The observations of one watched run.

    Args:
        folder: where they are kept; None to keep them in memory only.
        rules: of the events, declared before.
        meta: what is said about the run.
        seed: the user's, to tell runs apart.
        varied: what differs between the user's runs.
    """

    def __init__(
        self, folder: Path | None, rules: Sequence[EventRule], meta: Mapping[str, Any], seed: int,
        varied: Mapping[str, Any],
    ):  # fmt: skip
        self.rules = {rule.name: rule for rule in rules}
        self.streaks = {name: Streak() for name in self.rules}
        self.history = History()
        self._owed: list[tuple[int, dict[str, float]]] = []  # observed, and not durable yet
        self._running = False  # as far as the folder says
        self.store = None if folder is None else _opened(folder, self.rules, meta, seed, varied)
        if self.store:
            self._read_back()

    @property
    def steps(self) -> list[int]:
        """Where it was observed."""
        return [step for step, _ in self.history]

    @property
    def values(self) -> list[dict[str, float]]:
        """What was observed, those that are numbers."""
        return [values for _, values in self.history]

    @property
    def last(self) -> int | None:
        """The last step that was observed, or None."""
        return self.history.last

    def add(self, step: int, values: Mapping[str, float]) -> list[str]:
        """Keep an observation, durably if there is a folder; the names of the events that it brought.

        Raises:
            StoreError: it could not be written. It is kept in memory, and written with the next one.
        """
        if self.last is not None and step <= self.last:
            self.forget_after(step - 1)
        self.history.add(step, values)
        came = self._advance(step, values)
        if self.store:
            self._owed.append((step, dict(values)))
            self._pay()
            if not self._running:
                self.store.set_status(MEMBER, "running", step)
                self._running = True
            if came:
                self._keep_events()
        return came

    def _pay(self) -> None:
        """Make durable what is not."""
        assert self.store
        self.store.append([(MEMBER, step, values) for step, values in self._owed])
        self._owed.clear()

    def forget_after(self, step: int) -> None:
        """Drop what was observed later: the user's training went back to an earlier checkpoint of its own."""
        if not self.history.forget_after(step):
            return
        self.streaks = {name: Streak() for name in self.rules}
        for at, values in self.history:
            self._advance(at, values)
        self._owed = [(at, values) for at, values in self._owed if at <= step]
        if self.store:
            self.store.forget_after(MEMBER, step)
            self.store.log("resumed", f"went back to step {step}: later observations are dropped")

    def event(self, name: str) -> int | None:
        """The step of a declared event, or None."""
        return self.streaks[name].event if name in self.streaks else None

    def end(self, status: str) -> None:
        """Say how the run ended, keep its events, and let the folder go."""
        if not self.store:
            return
        if self.last is not None:
            self._pay()
            self.store.set_status(MEMBER, status, self.last)
            self._keep_events()
        self.store.close()
        self.store = None

    def _advance(self, step: int, values: Mapping[str, float]) -> list[str]:
        """As the rules go over the stored run: what was not observed, or is no number, is NaN there."""
        came = []
        for name, rule in self.rules.items():
            before = self.streaks[name].event
            self.streaks[name] = rule.advance(self.streaks[name], step, values.get(rule.measure, np.nan))
            if before is None and self.streaks[name].event is not None:
                came.append(name)
        return came

    def _keep_events(self) -> None:
        assert self.store
        came = {name: self.event(name) for name in self.rules}
        self.store.set_events((MEMBER, name, step, self.history.before(step)) for name, step in came.items())

    def _read_back(self) -> None:
        """Go on where the folder stands."""
        from afterfit.store import read

        assert self.store
        table = read(self.store.folder).table
        for step, row in zip(table.step.tolist(), table.values.tolist(), strict=True):
            values = {name: value for name, value in zip(table.measures, row, strict=True) if not np.isnan(value)}
            self.history.add(step, values)
            self._advance(step, values)


def _opened(
    folder: Path, rules: Mapping[str, EventRule], meta: Mapping[str, Any], seed: int, varied: Mapping[str, Any]
) -> RunStore:
    """The folder's store: new, or as it stands when it is of a watch with the same rules."""
    written = [to_dict(rule) for rule in rules.values()]
    if is_run(folder):
        store = RunStore.resume(folder)
        try:
            store.require({"rules": written, "watched": True})
        except BaseException:
            store.close()
            raise
        return store
    experiment = {"kind": "Watched", **meta.get("experiment", {})}
    about = {**meta, "experiment": experiment, "rules": written, "seeds": [seed], "vary": {}, "watched": True}
    about["vary"] = {field: [value] for field, value in varied.items()}
    record = MemberRecord(MEMBER, seed, dict(varied), experiment)
    return RunStore.create(folder, meta=about, members=[record])
