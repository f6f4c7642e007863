"""Batches for workers of several kinds: small ones for cores, and for a GPU as many members as its memory holds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from afterfit.engine.members import CPU_BATCH, Batch, Member, cut, groups
from afterfit.spec import Experiment


class Room(NamedTuple):
    """Workers of one kind."""

    workers: int
    bytes: float
    """Memory of each."""
    is_accelerator: bool = False

    def fitting(self, experiment: Experiment) -> int:
        """Members that one of them trains together at most."""
        from afterfit.engine.memory import member_bytes

        fitting = max(1, int(0.7 * self.bytes / member_bytes(experiment)))
        return fitting if self.is_accelerator else min(CPU_BATCH, fitting)


def plan_in(
    members: Sequence[Member], rooms: Sequence[Room], batch_size: int | None = None, first_number: int = 0
) -> list[Batch]:
    """Cut each group into batches that keep all the workers busy.

    Kinds of workers share a group in proportion to how many members their workers hold at once. How much faster a
    GPU is than a core, nobody knows before both have trained; that it holds more members is known.

    Args:
        members: who is to be trained.
        rooms: the kinds of workers there are, those with most memory first.
        batch_size: members of one batch at most; chosen by memory and kind by default.
        first_number: number of the first batch.
    """
    batches: list[Batch] = []
    for group in groups(members):
        fitting = [room.fitting(group[0].experiment) for room in rooms]  # errors of the experiment come out here
        held = [room.workers * (batch_size or most) for room, most in zip(rooms, fitting, strict=True)]
        bounds = [0, *(round(len(group) * part / sum(held)) for part in accumulate(held))]
        for room, most, (low, high) in zip(rooms, fitting, pairwise(bounds), strict=True):
            if low < high:
                batches += cut(group[low:high], room.workers, batch_size or most, first_number + len(batches))
    return batches
