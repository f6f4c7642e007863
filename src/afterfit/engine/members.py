"""Members, and how they are put into batches that train in one program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from afterfit.spec import Experiment

# Members of one batch on a CPU. More share little: see docs/performance.md for the cost per member as they grow.
CPU_BATCH = 4


@dataclass(frozen=True)
class Origin:
    """Where a branch leaves its parent run."""

    member: int
    """The parent's number in its own folder."""
    step: int
    """The last step that both share."""


@dataclass(frozen=True)
class Member:
    """One training run: a fully resolved experiment and one seed; a branch begins where its origin says."""

    number: int
    seed: int
    experiment: Experiment
    origin: Origin | None = None


@dataclass(frozen=True)
class Batch:
    """Members of one group that one worker trains together."""

    number: int
    members: tuple[Member, ...]
    until: int | None = None
    """Train to this step only, and keep the state there for branches."""


def groups(members: Sequence[Member]) -> list[list[Member]]:
    """Members whose experiments have equal tree structure, in the order in which they first come."""
    from afterfit.engine.pytree import structure

    found: dict[object, list[Member]] = {}
    for member in members:
        found.setdefault(structure(member.experiment), []).append(member)
    return list(found.values())


def plan(members: Sequence[Member], workers: int, batch_size: int | None = None, first_number: int = 0) -> list[Batch]:
    """Cut each group into batches, equal to within one member, that keep all the workers busy.

    Args:
        members: who is to be trained.
        workers: processes that train at the same time.
        batch_size: members of one batch at most; by default chosen from the machine's memory and kind.
        first_number: number of the first batch.
    """
    batches: list[Batch] = []
    for group in groups(members):
        fitting = _most_together(group[0].experiment, workers)  # traced whatever is asked for: errors come out here
        batches += cut(group, workers, batch_size or fitting, first_number + len(batches))
    return batches


def cut(group: Sequence[Member], workers: int, most: int, first_number: int) -> list[Batch]:
    """Cut one group into batches of `most` members at most, equal to within one, a whole number for each worker."""
    rounds = math.ceil(len(group) / most / workers)
    count = min(rounds * workers, len(group))
    bounds = [round(i * len(group) / count) for i in range(count + 1)]
    return [Batch(first_number + i, tuple(group[low:high])) for i, (low, high) in enumerate(pairwise(bounds))]


def _most_together(experiment: Experiment, workers: int) -> int:
    from afterfit.engine.machine import has_accelerator, memory_bytes
    from afterfit.engine.memory import member_bytes

    fitting = max(1, int(0.7 * memory_bytes() / workers / member_bytes(experiment)))
    return fitting if has_accelerator() else min(CPU_BATCH, fitting)
