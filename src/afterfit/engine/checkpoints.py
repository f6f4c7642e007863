"""Arrays that are either whole or known to be damaged, in a folder or at another place.

The name of a file carries the SHA-256 of its bytes, so a flipped bit or a missing tail is found before anything is read
from it. Nothing is pickled: the format is safetensors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from afterfit.engine.places import WRITING, Folder, Place, place_of

NAME = re.compile(r"(?:step|member)-(\d+)-([0-9a-f]{32})\.safetensors")


class Damaged(Exception):  # noqa: N818 - named for what is the case
    """A file whose bytes are not those that were written."""


class Saved(NamedTuple):
    """What one file holds."""

    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]


def write(path: Path, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> Path:
    """Write arrays and JSON notes durably; `{digest}` in the file's name becomes that of its bytes."""
    return path.with_name(_write(Folder(path.parent), path.name, arrays, notes))


def _write(place: Place, name: str, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> str:
    """Write arrays and notes at a place; gives the name with its digest."""
    contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    content = save(contiguous, metadata={"notes": json.dumps(notes)})
    named = name.format(digest=hashlib.sha256(content).hexdigest()[:32])
    place.write(named, content)
    return named


def read(path: Path) -> Saved:
    """What a file holds, or `Damaged`."""
    return _read(Folder(path.parent), path.name)


def _read(place: Place, name: str) -> Saved:
    content = whole(place, name)
    try:
        arrays = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return Saved(arrays, json.loads(header.get("__metadata__", {}).get("notes", "{}")))
    except (SafetensorError, ValueError) as error:
        raise Damaged(f"{place.address}/{name} is damaged: {error}") from error


def whole(place: Place, name: str) -> bytes:
    """The bytes of a file, or `Damaged` where they are not those of the digest in its name."""
    content, named = place.read(name), NAME.fullmatch(name.rpartition("/")[2])
    if named and hashlib.sha256(content).hexdigest()[:32] != named[2]:
        raise Damaged(f"{place.address}/{name} is damaged: its bytes are not those that were written")
    return content


class Parameters:
    """Arrays of members, one file each: their final parameters, or the states at which branches begin.

    Args:
        where: the run's folder, or the place that stands for it.
        kind: the folder in it, "parameters" or "origins".
    """

    def __init__(self, where: Place | Path, kind: str = "parameters"):
        self.place, self.kind = place_of(where), kind

    @property
    def folder(self) -> Path:
        """The folder, where the place is one."""
        assert isinstance(self.place, Folder)
        return self.place.path / self.kind

    def name(self, member: int) -> str | None:
        """The name of a member's file at the place, or None if it has not ended."""
        begin = f"member-{member:05d}-"
        found = (name for name in self.place.names(self.kind) if name.startswith(begin) and NAME.fullmatch(name))
        return next((f"{self.kind}/{name}" for name in found), None)

    def path(self, member: int) -> Path | None:
        """Where a member's lie, or None if it has not ended; only where the place is a folder."""
        name = self.name(member)
        return None if name is None else self.folder / name.rpartition("/")[2]

    def load(self, member: int) -> Saved | None:
        """What is kept of a member, or None; `Damaged` if it is not what was written."""
        name = self.name(member)
        return None if name is None else _read(self.place, name)

    def is_intact(self, member: int) -> bool:
        """Whether a member's parameters are there, and their bytes are those that were written."""
        try:
            return self.load(member) is not None
        except Damaged:
            return False

    def save(self, member: int, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> None:
        """Keep a member's parameters, in place of any that were kept before."""
        before = self.name(member)
        kept = _write(self.place, f"{self.kind}/member-{member:05d}-{{digest}}.safetensors", arrays, notes)
        if before and before != kept:
            self.place.remove(before)


def snapshots(where: Place | Path, step: int) -> Parameters:
    """The parameters that members of a run had at a step."""
    return Parameters(where, f"snapshots/step-{step:012d}")


class Checkpoints:
    """The newest checkpoints of one batch.

    Args:
        where: the folder, or the place, below which they lie.
        folder: where in it; made when the first is written.
        keep: how many to keep, the newest; an older one serves when a newer one is damaged.
    """

    def __init__(self, where: Place | Path, folder: str = "", keep: int = 2):
        self.place, self.folder, self.keep = place_of(where), folder, keep

    def _within(self, name: str) -> str:
        return f"{self.folder}/{name}" if self.folder else name

    def newest_first(self) -> list[tuple[int, str]]:
        """Their steps and names."""
        named = [(NAME.fullmatch(name), name) for name in self.place.names(self.folder)]
        return sorted(((int(match[1]), self._within(name)) for match, name in named if match), reverse=True)

    def save(self, step: int, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> None:
        """Write the checkpoint of a step, then let the oldest go, and what a kill left half-written."""
        for name in self.place.names(self.folder):
            if name.startswith(WRITING):
                self.place.remove(self._within(name))
        _write(self.place, self._within(f"step-{step:012d}-{{digest}}.safetensors"), arrays, notes)
        self.prune()

    def prune(self) -> None:
        """Let all but the newest go."""
        for _, name in self.newest_first()[self.keep :]:
            self.place.remove(name)

    def newest(self, warn: Callable[[str], None]) -> Iterator[tuple[int, Saved]]:
        """The checkpoints that can be read, newest first; damaged ones are reported and put out of the way."""
        for step, name in self.newest_first():
            try:
                saved = _read(self.place, name)
            except Damaged as error:
                warn(f"{error}; going back to the checkpoint before it")
                self.place.rename(name, f"{name}.damaged")
                continue
            yield step, saved


def of_batch(where: Place | Path, number: int) -> Checkpoints:
    """The checkpoints of a batch of a run."""
    return Checkpoints(where, f"checkpoints/batch-{number:05d}")


def divide(source: Checkpoints, target: Checkpoints, members: set[int], warn: Callable[[str], None]) -> int | None:
    """Give a part of a batch the newest checkpoint of the whole, cut to its members; gives its step, None without one.

    Every array of a checkpoint has the members of the stack as its first axis, so the part is a choice of places.
    """
    for step, saved in source.newest(warn):
        places = [place for place, number in enumerate(saved.notes["placed"]) if number in members]
        if places:
            arrays = {name: array[places] for name, array in saved.arrays.items()}
            notes = {
                "placed": [saved.notes["placed"][place] for place in places],
                **{key: [entry for entry in saved.notes[key] if entry[0] in members] for key in ("ended", "streaks")},
            }
            target.save(step, arrays, notes)
            return step
    return None
