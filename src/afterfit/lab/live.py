"""The live table of a run in a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from afterfit.engine.members import Batch
from afterfit.engine.messages import Message, Row
from afterfit.lab.progress import opening
from afterfit.lab.tally import BatchLine, MemberLine, Tally, clock, predicted, shown
from afterfit.store import MemberRecord

if TYPE_CHECKING:
    from afterfit.analysis.forecast import Forecast

BAR_WIDTH = 12


class LiveTable:
    """Batches with step, speed and time left; members with accuracies and a mark for each event.

    Args:
        console: the terminal.
        forecast: follows every member.
    """

    def __init__(self, console: Console, forecast: Forecast | None = None):
        self.console, self.forecast = console, forecast
        self.tally: Tally | None = None
        self.is_stopping = False

    @contextmanager
    def over(
        self, members: Sequence[MemberRecord], batches: Sequence[Batch], folder: Path, past: Sequence[Row]
    ) -> Iterator[None]:
        """Show the table while the batches train, and leave nothing of it behind."""
        self.tally = Tally(members, batches, past, self.forecast)
        for line in opening(self.tally, folder):
            self.console.print(Text(line, style="dim"), soft_wrap=True)
        if not batches:
            yield
            return
        with Live(get_renderable=self._render, console=self.console, refresh_per_second=4, transient=True):
            yield

    def message(self, message: Message) -> None:
        """Take it in; news go above the table."""
        lines = self.tally.take(message) if self.tally else []
        if message["kind"] in ("note", "returned", "divided"):
            for line in lines:
                self.console.print(Text(line, style="yellow"))

    def stopping(self) -> None:
        """Say so below the table."""
        self.is_stopping = True

    def _render(self) -> RenderableType:
        if self.tally is None:
            return Text("")
        said = "stopping: writing checkpoints" if self.is_stopping else self.tally.line()
        foot = Text(f" {clock(time.monotonic() - self.tally.began)}: {said}", "dim", no_wrap=True, overflow="ellipsis")
        return Group(self._members(self.tally), self._batches(self.tally), foot)

    def _members(self, tally: Tally) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
        fields = list(next(iter(tally.members.values())).record.varied)
        for header in ("seed", *(name.rpartition(".")[2] for name in fields)):
            table.add_column(header, justify="right")
        for header in ("step", "train acc", "test acc"):
            table.add_column(header, justify="right")
        events = [rule.name for rule in next(iter(tally.members.values())).experiment.events]
        for name in events:
            table.add_column(name, justify="right")
        if self.forecast:
            table.add_column(f"{self.forecast.event} expected", justify="right")
        room = max(3, self.console.height - len(_under_way(tally)) - 9)
        for member in _most_alive(list(tally.members.values()), room):
            expected = [predicted(member.prediction) if member.prediction else ""] if self.forecast else []
            table.add_row(
                *self._cells(member, fields, events), *expected, style="dim" if member.status == "waiting" else None
            )
        return table

    @staticmethod
    def _cells(member: MemberLine, fields: Sequence[str], events: Sequence[str]) -> list[str]:
        accuracies = [member.values.get(f"{split}/accuracy") for split in ("train", "test")]
        numbers = ["" if value is None else f"{value:.3f}" for value in accuracies]
        marks = ["" if (step := member.event(name)) is None else f"✓ {step:,}" for name in events]
        step = "diverged" if member.status == "diverged" else f"{member.step:,}"
        return [str(member.record.seed), *(shown(member.record.varied[f]) for f in fields), step, *numbers, *marks]

    def _batches(self, tally: Tally) -> Table:
        table = Table(box=None, padding=(0, 1), show_header=False)
        for number, batch in _under_way(tally).items():
            table.add_row(*self._batch_cells(number, batch))
        return table

    @staticmethod
    def _batch_cells(number: int, batch: BatchLine) -> list[RenderableType]:
        left = (batch.budget - batch.step) / batch.steps_per_second if batch.steps_per_second else None
        return [
            f"batch {number}",
            ProgressBar(total=batch.budget, completed=batch.step, width=BAR_WIDTH),
            f"{batch.step:,} of {batch.budget:,}",
            f"{batch.steps_per_second:,.0f} steps/s × {batch.members}" if batch.steps_per_second else "compiling",
            "" if left is None else f"at most {clock(left)} left",
        ]


def _under_way(tally: Tally) -> dict[int, BatchLine]:
    return {number: batch for number, batch in tally.batches.items() if batch.members and batch.has_begun}


def _most_alive(members: list[MemberLine], room: int) -> list[MemberLine]:
    """The members that there is room for: those in training first, then those that have ended; in their order."""
    order = {"running": 0, "waiting": 2}
    ranked = sorted(members, key=lambda m: order.get(m.status, 1))[:room]
    return sorted(ranked, key=lambda m: m.record.member)
