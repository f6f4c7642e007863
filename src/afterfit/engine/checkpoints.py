"""Arrays on disk that are either whole or known to be damaged.

A file is written beside its place, made durable, and renamed; its name carries the SHA-256 of its bytes, so a flipped
bit or a missing tail is found before anything is read from it. Nothing is pickled: the format is safetensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load, save

WRITING = ".writing-"  # how the name of a file begins that is not whole yet
NAME = re.compile(r"(?:step|member)-(\d+)-([0-9a-f]{32})\.safetensors")


class Damaged(Exception):  # noqa: N818 - named for what is the case
    """A file whose bytes are not those that were written."""


class Saved(NamedTuple):
    """What one file holds."""

    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]


def write(path: Path, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> Path:
    """Write arrays and JSON notes durably; `{digest}` in the file's name becomes that of its bytes."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = save(contiguous, metadata={"notes": json.dumps(notes)})
    target = path.with_name(path.name.format(digest=hashlib.sha256(content).hexdigest()[:32]))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(WRITING + path.name.rpartition("-")[0])
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(target)) from error
    _make_rename_durable(target.parent)
    return target


def _make_rename_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> Saved:
    """What a file holds, or `Damaged`."""
    content = path.read_bytes()
    named = NAME.fullmatch(path.name)
    if named and hashlib.sha256(content).hexdigest()[:32] != named[2]:
        raise Damaged(f"{path} is damaged: its bytes are not those that were written")
    try:
        with safe_open(path, framework="numpy") as file:
            notes = json.loads((file.metadata() or {}).get("notes", "{}"))
        return Saved(load(content), notes)
    except (SafetensorError, ValueError) as error:
        raise Damaged(f"{path} is damaged: {error}") from error


class Parameters:
    """Arrays of members, one file each: their final parameters, or the states at which branches begin.

    Args:
        folder: the run's folder.
        kind: the folder in it, "parameters" or "origins".
    """

    def __init__(self, folder: Path, kind: str = "parameters"):
        self.folder = folder / kind

    def path(self, member: int) -> Path | None:
        """Where a member's lie, or None if it has not ended."""
        found = list(self.folder.glob(f"member-{member:05d}-*.safetensors"))
        return found[0] if found else None

    def is_intact(self, member: int) -> bool:
        """Whether a member's parameters are there, and their bytes are those that were written."""
        path = self.path(member)
        try:
            return path is not None and bool(read(path))
        except Damaged:
            return False

    def save(self, member: int, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> None:
        """Keep a member's parameters, in place of any that were kept before."""
        before = self.path(member)
        kept = write(self.folder / f"member-{member:05d}-{{digest}}.safetensors", arrays, notes)
        if before and before != kept:
            before.unlink()


def snapshots(folder: Path, step: int) -> Parameters:
    """The parameters that members of a run had at a step."""
    return Parameters(folder, f"snapshots/step-{step:012d}")


class Checkpoints:
    """The newest checkpoints of one batch.

    Args:
        folder: where they lie; made when the first is written.
        keep: how many to keep, the newest; an older one serves when a newer one is damaged.
    """

    def __init__(self, folder: Path, keep: int = 2):
        self.folder, self.keep = folder, keep

    def _newest_first(self) -> list[tuple[int, Path]]:
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        named = [(NAME.fullmatch(path.name), path) for path in found]
        return sorted(((int(match[1]), path) for match, path in named if match), reverse=True)

    def save(self, step: int, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> None:
        """Write the checkpoint of a step, then let the oldest go, and what a kill left half-written."""
        for path in self.folder.glob(f"{WRITING}*"):
            path.unlink()
        write(self.folder / f"step-{step:012d}-{{digest}}.safetensors", arrays, notes)
        for _, path in self._newest_first()[self.keep :]:
            path.unlink(missing_ok=True)

    def newest(self, warn: Callable[[str], None]) -> Iterator[tuple[int, Saved]]:
        """The checkpoints that can be read, newest first; damaged ones are reported and put out of the way."""
        for step, path in self._newest_first():
            try:
                saved = read(path)
            except Damaged as error:
                warn(f"{error}; going back to the checkpoint before it")
                path.replace(path.with_name(path.name + ".damaged"))
                continue
            yield step, saved
