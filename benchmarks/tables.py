"""What the benchmark prints: tables that go to a terminal, or as Markdown into the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.processes import Timing

WIDTH = 100


@dataclass
class Table:
    """Rows of text; the first column is on the left, all others on the right."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def show(self, console: Console) -> None:
        """To a terminal."""
        table = RichTable(title=self.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, title_style="bold")
        for index, column in enumerate(self.columns):
            table.add_column(column, justify="right" if index else "left", no_wrap=index > 0)
        for row in self.rows:
            table.add_row(*row)
        console.print(table)
        for note in self.notes:
            console.print(note, style="dim", markup=False)
        console.print()

    def markdown(self) -> str:
        """For the documentation."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = ["| " + " | ".join(row) + " |" for row in (self.columns, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines, "", *(f"{note}\n" for note in self.notes)])


@dataclass(frozen=True)
class Floor:
    """Something that was promised, and what this machine shows."""

    what: str
    wanted: str
    found: str
    met: bool

    def row(self) -> tuple[str, str, str, str]:
        """As a row of the table of floors."""
        return self.what, self.wanted, self.found, "met" if self.met else "missed"


def floors_table(floors: Sequence[Floor]) -> Table:
    """All that was promised and is measured in this run."""
    return Table("Floors, on this machine", ("", "wanted", "found", ""), [floor.row() for floor in floors])


def duration(seconds: float) -> str:
    """Milliseconds with three digits that count: "5.81", "0.241", "266"."""
    return digits(1e3 * seconds)


def digits(value: float) -> str:
    """A positive number with three digits that count, and no exponent."""
    whole = len(str(int(value))) if value >= 1 else 0
    return f"{value:,.{max(0, 3 - whole)}f}"


def spread(timing: Timing) -> str:
    """The smallest and the largest repeat, in milliseconds."""
    return f"{duration(min(timing.wall))}–{duration(max(timing.wall))}"


def busy_notes(named: dict[str, Timing]) -> list[str]:
    """A warning if anything else ran meanwhile."""
    busy = [name for name, timing in named.items() if timing.is_busy]
    text = "The machine is busy (wall time is over 1.05 × processor time), do not believe: "
    return [text + ", ".join(busy)] if busy else []
