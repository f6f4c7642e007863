"""Training in the calling process: for notebooks, debuggers, and parts that no other process could import."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from afterfit.engine.batch import BatchRun
from afterfit.engine.members import Batch
from afterfit.engine.messages import Message, Row
from afterfit.engine.worker import Trainers


class DirectSink:
    """Hands a batch's results on as the messages that a worker process would send."""

    def __init__(self, handle: Callable[[Message], None]):
        self.handle = handle
        self.stop = self.is_told = False

    def append(self, rows: list[Row]) -> None:
        """Rows are durable when this returns."""
        self.handle({"kind": "rows", "rows": rows})

    def flush(self) -> None:
        """Nothing to wait for."""

    def status(self, member: int, status: str, step: int) -> None:
        """A member's end."""
        self.handle({"kind": "status", "member": member, "status": status, "step": step})

    def progress(self, batch: int, step: int, steps_per_second: float, members: list[int]) -> None:
        """How far the batch is."""
        self.handle(
            {"kind": "progress", "batch": batch, "step": step, "steps_per_second": steps_per_second, "members": members}
        )

    def note(self, kind: str, text: str) -> None:
        """News."""
        self.handle({"kind": "note", "about": kind, "text": text})

    def stop_requested(self) -> bool:
        """Whether to end at the next opportunity."""
        if self.stop and not self.is_told:
            self.is_told = True
            self.handle({"kind": "stopping"})
        return self.stop


class InProcess:
    """Trains batches one after the other, here. The same interface as `LocalWorkers`."""

    def __init__(self, folder: Path, *, checkpoint_seconds: float):
        self.folder, self.checkpoint_seconds = folder, checkpoint_seconds
        self.sink: DirectSink | None = None
        self.is_stopped = False

    def train(
        self, batches: Sequence[Batch], stored: Mapping[int, Sequence[int]], handle: Callable[[Message], None]
    ) -> bool:
        """Train all batches: True when every member has ended, False when stopped before."""
        trainers, self.sink = Trainers(), DirectSink(handle)
        self.sink.stop |= self.is_stopped
        for batch in batches:
            own: dict[int, Any] = {m.number: set(map(int, stored.get(m.number, ()))) for m in batch.members}
            run = BatchRun(batch, trainers.of(batch), self.folder, self.sink, self.checkpoint_seconds)
            if not run.run(own):
                return False
        return True

    def stop(self) -> None:
        """End soon, with a checkpoint. May be called from a signal handler."""
        self.is_stopped = True
        if self.sink:
            self.sink.stop = True
