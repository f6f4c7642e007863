"""What a run tells while it goes: to nobody, as plain lines, as JSON lines, or as a live table."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from afterfit.engine.members import Batch
from afterfit.engine.messages import Message, Row
from afterfit.lab.tally import Tally, counted, predicted
from afterfit.store import MemberRecord

if TYPE_CHECKING:
    from afterfit.analysis.forecast import Forecast

PLAIN_SECONDS = 10.0


class Progress(Protocol):
    """Who is told. All calls come from the thread that called `run`."""

    def over(
        self, members: Sequence[MemberRecord], batches: Sequence[Batch], folder: Path, past: Sequence[Row]
    ) -> AbstractContextManager[None]:
        """The time during which the batches train; `past` are the rows that are kept already of their members."""
        ...

    def message(self, message: Message) -> None:
        """Something came from a worker: rows, status, progress or note."""
        ...

    def stopping(self) -> None:
        """The user asked to stop."""
        ...


class Silent:
    """Tells nobody."""

    @contextmanager
    def over(
        self, members: Sequence[MemberRecord], batches: Sequence[Batch], folder: Path, past: Sequence[Row]
    ) -> Iterator[None]:
        """Nothing."""
        yield

    def message(self, message: Message) -> None:
        """Nothing."""

    def stopping(self) -> None:
        """Nothing."""


def opening(tally: Tally, folder: Path) -> list[str]:
    """What is about to be done, in a line."""
    kept = f"{counted(tally.kept, 'member')} trained before" if tally.kept else ""
    if not tally.members:
        return [f"{kept}, nothing left to train in {folder}"]
    todo = f"training {counted(len(tally.members), 'member')} in {counted(len(tally.batches), 'batch', 'batches')}"
    return ["; ".join(filter(None, (todo, kept, f"results go to {folder}")))]


class PlainLines(Silent):
    """A line for each event, and now and then one for the whole.

    Args:
        stream: where to write; standard output by default.
        forecast: follows every member.
    """

    def __init__(self, stream: IO[str] | None = None, forecast: Forecast | None = None):
        self.stream, self.forecast = stream or sys.stdout, forecast
        self.tally = Tally([], [])  # a study says what it is about to train before there are members
        self.told = 0.0

    @contextmanager
    def over(
        self, members: Sequence[MemberRecord], batches: Sequence[Batch], folder: Path, past: Sequence[Row]
    ) -> Iterator[None]:
        """Say what is trained, then follow it."""
        self.tally, self.told = Tally(members, batches, past, self.forecast), time.monotonic()
        for line in opening(self.tally, folder):
            self._tell(line)
        yield

    def message(self, message: Message) -> None:
        """Tell events at once, and the whole every ten seconds."""
        for line in self.tally.take(message):
            self._tell(line)
        if message["kind"] == "rows" and time.monotonic() - self.told >= PLAIN_SECONDS:
            self._tell(self.tally.line())
            for member in self.tally.members.values():
                if member.prediction and member.status == "running":
                    event = self.forecast.event if self.forecast else ""
                    self._tell(f"{self.tally.name(member)}: {event} expected at step {predicted(member.prediction)}")

    def stopping(self) -> None:
        """Say that stopping takes a moment."""
        self._tell("stopping: each batch ends its step and writes a checkpoint")

    def _tell(self, line: str) -> None:
        self.told = time.monotonic()
        print(line, file=self.stream, flush=True)


class JsonLines(Silent):
    """Every message as one JSON object a line, for other programs.

    Args:
        stream: where to write; standard output by default.
        forecast: follows every member; what it predicts is told after each observation.
    """

    def __init__(self, stream: IO[str] | None = None, forecast: Forecast | None = None):
        self.stream, self.forecast = stream or sys.stdout, forecast

    @contextmanager
    def over(
        self, members: Sequence[MemberRecord], batches: Sequence[Batch], folder: Path, past: Sequence[Row]
    ) -> Iterator[None]:
        """Say which members there are."""
        self.tally = Tally(members, batches, past, self.forecast)
        for record in members:
            self._tell({"kind": "member", "member": record.member, "seed": record.seed, "varied": record.varied})
        yield

    def message(self, message: Message) -> None:
        """Tell it as it came; numbers that JSON does not have (NaN, ±inf) become null."""
        if message["kind"] == "rows":
            for member, step, values in message["rows"]:
                finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
                self._tell({"kind": "observation", "member": member, "step": step, "values": finite})
            self._tell_predictions(message)
        else:
            self._tell(message)

    def _tell_predictions(self, message: Message) -> None:
        self.tally.take(message)
        for number in sorted({member for member, *_ in message["rows"]}) if self.forecast else ():
            seen = self.tally.members[number].prediction
            if seen:
                numbers = {"median": seen.median, "low": seen.interval.low, "high": seen.interval.high}
                finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
                told = {"kind": "forecast", "member": number, "step": seen.step, **finite, "p_never": seen.p_never}
                self._tell(told)

    def _tell(self, content: Message) -> None:
        print(json.dumps(content, allow_nan=False), file=self.stream, flush=True)
