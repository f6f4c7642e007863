"""The members of a run as plain rows: what each is, where it stands, and when its events happened."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from . import wording

STATUSES = ("waiting", "running", "finished", "stopped", "diverged")
NOT_FIELDS = {"member", "seed", "status", "step"}


@dataclass(frozen=True)
class Occurrence:
    """When something happened to a member: at `step`, or not until `after` (right-censored), or unknown (neither)."""

    step: int | None = None
    after: int | None = None

    @property
    def censored(self) -> bool:
        """Whether it had not happened when the member was last observed."""
        return self.step is None and self.after is not None

    def __str__(self) -> str:
        if self.step is not None:
            return wording.number(self.step)
        return wording.NOTHING if self.after is None else f">\u202f{wording.number(self.after)}"


@dataclass(frozen=True)
class Member:
    """One row of the table of members; `position` is its place along the member dimension."""

    position: int
    name: str
    seed: Any
    values: dict[str, Any]
    status: str
    step: int | None
    train_accuracy: float | None
    test_accuracy: float | None
    events: dict[str, Occurrence] = field(default_factory=dict)

    @property
    def delay(self) -> Occurrence:
        """Steps from memorised to generalised; a lower bound while the member has not generalised."""
        memorised, generalised = (self.events.get(name, Occurrence()) for name in ("memorised", "generalised"))
        if memorised.step is None:
            return Occurrence()
        if generalised.step is not None:
            return Occurrence(step=generalised.step - memorised.step)
        return Occurrence(after=None if generalised.after is None else max(generalised.after - memorised.step, 0))


@dataclass(frozen=True)
class Arm:
    """Members that share every varied value, that is, everything but the seed."""

    values: dict[str, Any]
    members: tuple[Member, ...]


def plain(value: Any) -> Any:
    """A NumPy scalar as the Python value that it holds."""
    return value.item() if isinstance(value, np.generic) else value


def event_names(events: pd.DataFrame) -> list[str]:
    """The events of a table, in its order: every NAME with a column NAME_censored."""
    columns = [str(column) for column in events.columns]
    return [name for name in columns if f"{name}_censored" in columns]


def varied_fields(observations: xr.Dataset) -> list[str]:
    """The coordinates on member that say how members differ, besides the seed."""
    along = [str(name) for name, coord in observations.coords.items() if coord.dims == ("member",)]
    return [name for name in along if name not in NOT_FIELDS]


def _whole(value: Any) -> int | None:
    return None if value is None or pd.isna(value) else int(value)


def _occurrence(row: pd.Series | None, name: str) -> Occurrence:
    if row is None:
        return Occurrence()
    step = _whole(row.get(name))
    return Occurrence(step=step) if step is not None else Occurrence(after=_whole(row.get(f"{name}_after")))


def _last(values: np.ndarray) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else None


def last_steps(observations: xr.Dataset) -> list[int | None]:
    """The last step at which each member has a row, by position."""
    count, steps = observations.sizes.get("member", 0), np.asarray(observations.get("step", np.array([])))
    seen = np.zeros((count, steps.size), dtype=bool)
    for variable in observations.data_vars.values():
        if set(variable.dims) == {"member", "step"}:
            seen |= ~np.isnan(variable.transpose("member", "step").to_numpy().astype(float))
    return [int(steps[row].max()) if row.any() else None for row in seen]


def _coordinate(observations: xr.Dataset, name: str, default: Any) -> list[Any]:
    count = observations.sizes.get("member", 0)
    if name not in observations.coords:
        return [default] * count
    return [plain(value) for value in observations[name].to_numpy()]


def _accuracies(observations: xr.Dataset, split: str) -> list[float | None]:
    name = f"{split}/accuracy"
    if name not in observations:
        return [None] * observations.sizes.get("member", 0)
    return [_last(row) for row in observations[name].transpose("member", "step").to_numpy().astype(float)]


def members_of(observations: xr.Dataset, events: pd.DataFrame) -> list[Member]:
    """Every member of a run, in its order, with its events (unknown where the table of events has no row for it)."""
    count, fields = observations.sizes.get("member", 0), varied_fields(observations)
    labelled = "member" in observations.coords
    keys: list[Hashable] = _coordinate(observations, "member", None) if labelled else [*range(count)]
    values = {name: _coordinate(observations, name, None) for name in fields}
    seeds, statuses = _coordinate(observations, "seed", wording.NOTHING), _coordinate(observations, "status", "")
    steps, train, test = last_steps(observations), _accuracies(observations, "train"), _accuracies(observations, "test")
    rows = {key: events.loc[key] for key in events.index.unique()} if events.index.is_unique else {}
    return [
        Member(
            position=i,
            name=str(key),
            seed=seeds[i],
            values={name: column[i] for name, column in values.items()},
            status=str(statuses[i]),
            step=steps[i],
            train_accuracy=train[i],
            test_accuracy=test[i],
            events={name: _occurrence(rows.get(key), name) for name in event_names(events)},
        )
        for i, key in enumerate(keys)
    ]


def sort_key(value: Any) -> tuple[int, Any]:
    """An order for values of any kind: numbers by size, then everything else by how it reads."""
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return (0, value) if numeric else (1, str(value))


def arms_of(members: Iterable[Member]) -> list[Arm]:
    """Members grouped by their varied values, the groups in the order of those values."""
    groups: dict[tuple[str, ...], list[Member]] = {}
    for member in members:
        groups.setdefault(tuple(repr(value) for value in member.values.values()), []).append(member)
    arms = [Arm(group[0].values, tuple(group)) for group in groups.values()]
    return sorted(arms, key=lambda arm: [sort_key(value) for value in arm.values.values()])


def median_step(occurrences: Sequence[Occurrence]) -> float | None:
    """Kaplan–Meier median: where the share of members to which it has not yet happened reaches one half.

    Without censoring this is the ordinary median. None when more than half never got there.
    """
    known = [occurrence for occurrence in occurrences if occurrence.step is not None or occurrence.censored]
    ends = np.array([o.step if o.step is not None else o.after for o in known], dtype=float)
    happened = np.array([o.step is not None for o in known], dtype=bool)
    times, survival, share = np.unique(ends[happened]), [], 1.0
    for time in times:
        share *= 1 - np.sum(happened & (ends == time)) / np.sum(ends >= time)
        survival.append(share)
    reached = [i for i, left in enumerate(survival) if left <= 0.5 + 1e-12]
    if not reached:
        return None
    first = reached[0]
    exactly_half = abs(survival[first] - 0.5) < 1e-12 and first + 1 < len(times)
    return float((times[first] + times[first + 1]) / 2) if exactly_half else float(times[first])


def observed_range(occurrences: Iterable[Occurrence]) -> tuple[int, int] | None:
    """The first and the last step among those that happened."""
    steps = [occurrence.step for occurrence in occurrences if occurrence.step is not None]
    return (min(steps), max(steps)) if steps else None
