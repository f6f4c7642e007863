"""Batches that come back untrained: what is told of them, and how one is cut in two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from afterfit.engine.members import Batch, Member
from afterfit.engine.messages import Message


def unfinished(batch: Batch, ended: Iterable[int]) -> list[Member]:
    """The members of a batch that have not come to their end."""
    over = set(ended)
    return [member for member in batch.members if member.number not in over]


def returned(batch: Batch, ended: Iterable[int], why: str, text: str) -> Message:
    """That a batch waits again.

    Args:
        batch: which.
        ended: members that have come to their end already.
        why: "lost" with its worker's machine, or "failed".
        text: what happened, in one line.
    """
    members = [member.number for member in unfinished(batch, ended)]
    return {"kind": "returned", "batch": batch.number, "members": members, "why": why, "text": text}


def divided(batch: Batch, parts: Sequence[Batch], text: str) -> Message:
    """That a batch trains in parts from now on."""
    into = {str(part.number): [member.number for member in part.members] for part in parts}
    return {"kind": "divided", "batch": batch.number, "into": into, "text": text}


def halves(batch: Batch, ended: Iterable[int], number: int) -> list[Batch]:
    """The members of a batch that still train in two batches, numbered from `number`; nothing if there is one only."""
    members = unfinished(batch, ended)
    middle = (len(members) + 1) // 2
    if len(members) < 2:
        return []
    cut = (tuple(members[:middle]), tuple(members[middle:]))
    return [replace(batch, number=number + i, members=part) for i, part in enumerate(cut)]
