"""The curves of a run: which panels there are, how members are grouped by colour, what is drawn of each curve.

Shared by the HTML report and the figures for papers, so that both show the same thing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from . import palette, wording
from .captions import Caption, caption_of, order_of
from .members import Member, arms_of, event_names, members_of, sort_key, varied_fields

MOST_POINTS = 300
MOST_SEEDS_IN_COLOUR = 7
FEWEST_FOR_MEDIAN = 4
ZERO_GAP = 10**0.5
LARGEST = 1e38  # what diverged beyond this is off every scale, and off float32


@dataclass(frozen=True)
class Group:
    """Members drawn in one colour: an arm, or one seed where nothing was varied."""

    values: dict[str, Any]
    members: tuple[Member, ...]


@dataclass(frozen=True)
class Colouring:
    """One way to colour the groups: the values of one field, a colour for each, and the value that each group has."""

    field: str
    label: str
    entries: tuple[tuple[str, palette.Colour], ...]
    of_group: tuple[int, ...]


@dataclass(frozen=True)
class Panel:
    """One measure, with all its splits in the same axes: `splits` are pairs of a split's name and its variable."""

    measure: str
    caption: Caption
    splits: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Run:
    """A run as the figures see it."""

    observations: xr.Dataset
    members: tuple[Member, ...]
    groups: tuple[Group, ...]
    colourings: tuple[Colouring, ...]
    panels: tuple[Panel, ...]
    events: tuple[str, ...]

    @cached_property
    def steps(self) -> np.ndarray:
        """The steps of the observations, as integers."""
        return np.asarray(self.observations["step"]).astype(np.int64) if "step" in self.observations else np.arange(0)

    @cached_property
    def zero(self) -> float:
        """Where step 0 goes on a logarithmic axis: half a decade left of the first step after it."""
        later = self.steps[self.steps > 0]
        return float(later.min()) / ZERO_GAP if later.size else 1 / ZERO_GAP

    def positions(self, steps: Any) -> np.ndarray:
        """Where steps go on the logarithmic axis."""
        return np.where(np.asarray(steps) > 0, steps, self.zero).astype(float)

    def values(self, variable: str) -> np.ndarray:
        """One measure as an array of shape (member, step)."""
        return self.observations[variable].transpose("member", "step").to_numpy().astype(float)


def read(observations: xr.Dataset, events: pd.DataFrame) -> Run:
    """Arrange the observations and events of a run for the figures."""
    members = members_of(observations, events)
    groups = _groups(members)
    fields = [name for name in varied_fields(observations) if len({repr(g.values.get(name)) for g in groups}) > 1]
    colourings = _colourings(groups, fields)
    shown, names = tuple(panels(observations)), tuple(event_names(events))
    return Run(observations, tuple(members), tuple(groups), tuple(colourings), shown, names)


def _groups(members: Sequence[Member]) -> list[Group]:
    arms = arms_of(members)
    if len(arms) == 1 and 1 < len(members) <= MOST_SEEDS_IN_COLOUR:
        return [Group({"seed": member.seed}, (member,)) for member in members]
    return [Group(arm.values, arm.members) for arm in arms]


def _colourings(groups: Sequence[Group], fields: Sequence[str]) -> list[Colouring]:
    """One colouring a varied field, the field with the most values first; by seed, or none, where nothing varied."""
    if not fields:
        by_seed = len(groups) > 1
        names = [wording.seed_text(group.values["seed"]) if by_seed else "all members" for group in groups]
        colours = palette.colours(names, ordered=False)
        label = "seed" if by_seed else ""
        return [Colouring(label, label, tuple(zip(names, colours, strict=True)), tuple(range(len(groups))))]
    labels = wording.field_labels(fields)
    made = [_colouring(groups, field, labels[field]) for field in fields]
    return sorted(made, key=lambda colouring: -len(colouring.entries))


def _colouring(groups: Sequence[Group], field: str, label: str) -> Colouring:
    values = [group.values[field] for group in groups]
    distinct = sorted({repr(value): value for value in values}.values(), key=sort_key)
    colours = palette.colours(distinct, ordered=palette.is_ordered(distinct))
    index = {repr(value): i for i, value in enumerate(distinct)}
    entries = tuple((wording.number(value), colour) for value, colour in zip(distinct, colours, strict=True))
    return Colouring(field, label, entries, tuple(index[repr(value)] for value in values))


def panels(observations: xr.Dataset) -> list[Panel]:
    """One panel a measure, in the order of families; the splits of a measure (`train/nc1`, `test/nc1`) share one."""
    found: dict[str, list[tuple[str, str]]] = {}
    for variable in map(str, observations.data_vars):
        if set(observations[variable].dims) == {"member", "step"}:
            split, _, measure = variable.rpartition("/")
            found.setdefault(measure, []).append((split, variable))
    order = {"train": 0, "test": 1}
    return [
        Panel(measure, caption_of(measure), tuple(sorted(found[measure], key=lambda pair: order.get(pair[0], 2))))
        for measure in sorted(found, key=order_of)
    ]


def decimate(positions: np.ndarray, values: np.ndarray, most: int = MOST_POINTS) -> np.ndarray:
    """Indices of at most `most` points that draw the same curve: the first, the last, and each cell's extremes.

    The cells have equal width on the logarithmic axis (`positions`, increasing), so that what is lost is finer than
    the cells are wide, and no peak is lost at all.
    """
    if values.size <= most:
        return np.arange(values.size)
    at = np.log(positions)
    cells = np.floor((at - at[0]) / (at[-1] - at[0]) * ((most - 2) // 2 - 1)).astype(int)
    order = np.lexsort((values, cells))
    ends = np.flatnonzero(np.diff(cells[order]))
    lowest, highest = order[np.r_[0, ends + 1]], order[np.r_[ends, order.size - 1]]
    return np.unique(np.r_[0, lowest, highest, values.size - 1])


def kept(run: Run, row: np.ndarray) -> np.ndarray:
    """Indices along the steps of what is drawn of one curve; what is not finite is left out."""
    seen = np.flatnonzero(np.isfinite(row))
    return seen[decimate(run.positions(run.steps[seen]), row[seen])]


def median_curve(run: Run, values: np.ndarray, group: Group) -> tuple[np.ndarray, np.ndarray]:
    """Indices and values of the median over a group's members, as far as all of them were observed.

    Members that diverged or were never observed are left out. The median stops where the first of the others does: a
    median over those that happen to be left would say more about who left than about the curve.
    """
    rows = values[[member.position for member in group.members if member.status != "diverged"]]
    rows = rows[np.isfinite(rows).any(axis=1)]
    if len(rows) < FEWEST_FOR_MEDIAN:
        return np.arange(0), np.arange(0.0)
    common = np.flatnonzero(np.isfinite(rows).all(axis=0))
    middle = np.median(rows[:, common], axis=0)
    drawn = decimate(run.positions(run.steps[common]), middle)
    return common[drawn], middle[drawn]


def value_at(run: Run, row: np.ndarray, step: int) -> float | None:
    """The value of a curve at a step, or at the last observation before it."""
    seen = np.flatnonzero(np.isfinite(row) & (run.steps <= step))
    return float(row[seen[-1]]) if seen.size else None


def split_of_event(panel: Panel, event: str) -> tuple[str, str]:
    """The curve on which an event is marked: memorising on the training split, all else on the test split if any."""
    wanted = "train" if event == "memorised" else "test"
    return {split: (split, variable) for split, variable in panel.splits}.get(wanted, panel.splits[0])


def marks_of(run: Run, group: Group, event: str, values: np.ndarray) -> Iterable[tuple[int, int, float]]:
    """Position, step and height of the mark of an event for each member of a group to which it happened."""
    for member in group.members:
        step = member.events[event].step
        height = None if step is None else value_at(run, values[member.position], step)
        if step is not None and height is not None:
            yield member.position, step, height


@dataclass(frozen=True)
class Scale:
    """The vertical axis of a panel: logarithmic or not, its range, and how many values a log axis cannot show."""

    log: bool
    low: float
    high: float
    not_drawn: int = 0


def scale_of(run: Run, panel: Panel) -> Scale | None:
    """A vertical axis that fits the members that did not diverge; None where there is nothing to show."""
    stacked = np.stack([run.values(variable) for _, variable in panel.splits])
    calm = [member.position for member in run.members if member.status != "diverged"]
    shown = next((part for part in (stacked[:, calm], stacked) if np.isfinite(part).any()), None)
    if shown is None:
        return None
    shown = np.clip(shown[np.isfinite(shown)], -LARGEST, LARGEST)
    if panel.caption.limits:
        return _padded(min(panel.caption.limits[0], shown.min()), max(panel.caption.limits[1], shown.max()), 0.03)
    positive = shown[shown > 0]
    log = shown.min() >= 0 and positive.size > shown.size / 2 and positive.max() / positive.min() >= 100
    if not log:
        return _padded(shown.min(), shown.max(), 0.05)
    low, high = np.log10(positive.min()), np.log10(positive.max())
    pad = 0.04 * (high - low)
    return Scale(True, 10 ** (low - pad), 10 ** (high + pad), int((shown <= 0).sum()))


def _padded(low: float, high: float, share: float) -> Scale:
    pad = share * (high - low) or 0.05 * abs(high) or 0.5
    return Scale(False, float(low - pad), float(high + pad))
