"""`afterfit show --follow`: a run that another process trains, as it goes, by reading its folder again and again."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit import store
from afterfit.analysis.phases import MAIN, Phase, PhaseRules, Trend, phase_of, trend_of

from . import wording
from .sparklines import sparkline
from .terminal import STATUS_STYLES

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

ENDED = ("finished", "stopped", "diverged")
PLAIN_SECONDS, STALLED_SECONDS = 10.0, 60.0
READING_SHARE = 0.2  # of the time at most is spent reading a folder that has become large
SHOWN = ("test/accuracy", "train/rnc1", "train/spectral_entropy", "weight_norm", "train/relative_flatness", "train/nc2")
LIMITS = {"test/accuracy": (0.0, 1.0)}
ARROWS = {"rising": "↗", "falling": "↘", "flat": "→", "unknown": " "}
WIDTH = 10  # of a sparkline
SHORT = {"collapsed without generalising": "collapsed alone"}


@dataclass(frozen=True, eq=False)
class Line:
    """One member as it stands.

    Attributes:
        record: what the store says of it.
        step: of its last observation; None before the first.
        phase: by the run's own bounds.
        observed: {"step": (n,), measure: (n,), …}.
        window: observations of its trends.
    """

    record: store.MemberRecord
    step: int | None
    phase: Phase
    observed: Mapping[str, np.ndarray]
    window: int

    @property
    def name(self) -> str:
        """Its seed and what is varied, in words."""
        varied = [f"{wording.spelled(field)} {wording.number(value)}" for field, value in self.record.varied.items()]
        return ", ".join([f"seed {wording.seed_text(self.record.seed)}", *varied])

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.record.status in ENDED

    def trend(self, measure: str) -> Trend:
        """Where a measure is going."""
        return trend_of(self.observed["step"], self.observed[measure], window=self.window)


class Reader:
    """Reads a run folder when something in it has changed; nothing is written or locked.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path):
        self.folder, self.lines, self._stamp = folder, [], None
        self.lines: list[Line]
        self._stamp: Any

    def changed(self) -> bool:
        """Read anew if files have changed since the last time; whether they had.

        Raises:
            StoreError: the folder holds no run, or a damaged one; one line.
        """
        stamp = self._stamps()
        if stamp == self._stamp:
            return False
        self.lines = lines_of(store.read(self.folder))
        self._stamp = stamp
        return True

    def seconds_since_written(self) -> float:
        """Since the newest of the run's files was changed; a writer that was killed lets this grow."""
        newest = max((changed for _, changed, _ in self._stamps()), default=0)
        return max(0.0, time.time() - newest / 1e9)

    def _stamps(self) -> list[tuple[str, int, int]]:
        found = []
        for path in sorted(self.folder.glob("run*")):
            try:
                status = path.stat()
            except FileNotFoundError:  # the writer starts its log over
                continue
            if path.suffix in (".sqlite", ".sqlite-wal", ".json"):
                found.append((path.name, status.st_mtime_ns, status.st_size))
        return found


def lines_of(contents: store.Contents) -> list[Line]:
    """Every member of a folder that was read."""
    rules = PhaseRules.declared(contents.meta.get("rules", ()))
    table = contents.table
    lines = []
    for record in contents.members:
        rows = table.member == record.member
        observed = {name: table.values[rows, column] for column, name in enumerate(table.measures)}
        observed = {"step": table.step[rows]} | observed
        last = int(observed["step"][-1]) if rows.any() else None
        lines.append(Line(record, last, phase_of(observed, rules), observed, rules.window))
    return lines


def follow(folder: Path, console: Console, *, seconds: float = 1.0) -> None:
    """Show a run until all its members have ended, or until Ctrl-C, which ends this view and not the training.

    In a terminal a table, with a sparkline of each main measure over the whole run and an arrow for its trend; plain
    lines elsewhere: one for each change of a member's phase or status, and one for the whole now and then.

    Args:
        folder: of the run.
        console: where to show it.
        seconds: between two looks at the folder; more for a folder whose reading takes long.

    Raises:
        StoreError: the folder holds no run, or a damaged one; one line.
    """
    reader = Reader(folder)
    reader.changed()
    show = _table if console.is_terminal else _plain
    with _interruptible():
        try:
            show(reader, console, seconds)
        except KeyboardInterrupt:
            console.print(f"no longer following {folder}", highlight=False, soft_wrap=True)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C raises, wherever the process had been told to die of it: the cursor must come back."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _looks(reader: Reader, seconds: float) -> Iterator[bool]:
    """Whether the folder had changed, look after look, until all members have ended."""
    yield True
    took = 0.0
    while not all(line.has_ended for line in reader.lines):
        time.sleep(max(seconds, took / READING_SHARE))
        began = time.monotonic()
        changed = reader.changed()
        took = time.monotonic() - began
        yield changed


def _table(reader: Reader, console: Console, seconds: float) -> None:
    from rich.live import Live

    with Live(rendered(reader, console), console=console, auto_refresh=False) as live:
        for _ in _looks(reader, seconds):
            live.update(rendered(reader, console), refresh=True)


def _plain(reader: Reader, console: Console, seconds: float) -> None:
    before: dict[int, tuple[str, str]] = {}
    told = time.monotonic()
    console.print(f"following {reader.folder}: {whole(reader.lines)}", highlight=False, soft_wrap=True)
    for changed in _looks(reader, seconds):
        news = list(_news(reader.lines, before)) if changed else []
        silent = time.monotonic() - told
        if changed and not news and silent >= PLAIN_SECONDS:
            news = [whole(reader.lines)]
        elif not changed and min(silent, reader.seconds_since_written()) >= STALLED_SECONDS:
            news = [f"nothing was written for {reader.seconds_since_written():,.0f} s"]
        for line in news:
            console.print(line, highlight=False, soft_wrap=True, markup=False)
            told = time.monotonic()
    console.print(whole(reader.lines), highlight=False, soft_wrap=True)


def _news(lines: Sequence[Line], before: dict[int, tuple[str, str]]) -> Iterator[str]:
    """A line for each member whose phase or status is another than before."""
    for line in lines:
        now = (line.phase.name, line.record.status)
        phase, status = before.get(line.record.member, ("", "waiting"))
        before[line.record.member] = now
        if line.step is not None and now[0] != phase:
            yield f"{line.name}: step {line.step:,}, {line.phase}"
        if now[1] != status and line.has_ended:
            yield f"{line.name} {line.record.status} at step {line.record.step:,}"


def whole(lines: Sequence[Line]) -> str:
    """The whole run in one line."""
    ended = sum(line.has_ended for line in lines)
    steps = sorted(line.step for line in lines if line.step is not None)
    parts = [f"{ended} of {wording.counted(len(lines), 'member')} ended"]
    if steps:
        parts.append(f"step {steps[0]:,}" if steps[0] == steps[-1] else f"steps {steps[0]:,} to {steps[-1]:,}")
    phases = dict.fromkeys(line.phase.name for line in lines if line.step is not None)
    counts = [f"{sum(line.phase.name == name for line in lines if line.step is not None)} {name}" for name in phases]
    return ", ".join([*parts, *counts])


def rendered(reader: Reader, console: Console) -> RenderableType:
    """The table of the members that there is room for, and the whole in a line below."""
    from rich.console import Group
    from rich.text import Text

    foot = whole(reader.lines)
    if not all(line.has_ended for line in reader.lines):
        ago = wording.number(round(reader.seconds_since_written()))
        foot += f"; last written {ago} s ago. Ctrl-C ends this view, not the training."
    return Group(members_table(reader.lines, console), Text(foot, "dim"))


def members_table(lines: Sequence[Line], console: Console) -> Any:
    """One row a member: where it is, and sparklines of as many measures as the console is wide for."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    fields = list(lines[0].record.varied) if lines else []
    for header in ("seed", *wording.field_labels(fields).values(), "step"):
        table.add_column(header, justify="right")
    table.add_column("status", no_wrap=True)
    table.add_column("phase", no_wrap=True)
    measures = _fitting(lines, console.width - 36 - 8 * len(fields))
    for measure in measures:
        table.add_column(MAIN[measure], no_wrap=True)
    room = max(3, console.height - 6)
    for line in _most_alive(lines, room):
        varied = [wording.number(line.record.varied[field]) for field in fields]
        status = Text(line.record.status, style=STATUS_STYLES.get(line.record.status, ""))
        phase = "" if line.step is None else SHORT.get(line.phase.name, line.phase.name)
        cells = [_cell(line, measure) for measure in measures]
        table.add_row(wording.seed_text(line.record.seed), *varied, wording.number(line.step), status, phase, *cells)
    if len(lines) > room:
        table.caption, table.caption_justify = f"and {len(lines) - room} more", "left"
    return table


def _cell(line: Line, measure: str) -> str:
    """A sparkline, the last value and an arrow."""
    values = line.observed[measure]
    drawn = sparkline(line.observed["step"], values, WIDTH, LIMITS.get(measure))
    trend = line.trend(measure)
    return f"{drawn} {wording.number(trend.last):>6} {ARROWS[trend.direction]}"


def _fitting(lines: Sequence[Line], width: int) -> list[str]:
    """The measures that are observed and for which there is room, one at least."""
    there = [name for name in SHOWN if any(name in line.observed for line in lines)]
    return there[: max(1, width // (WIDTH + 11))]


def _most_alive(lines: Sequence[Line], room: int) -> list[Line]:
    """The members that there is room for: those in training first, then those that have ended; in their order."""
    order = {"running": 0, "waiting": 2}
    ranked = sorted(lines, key=lambda line: order.get(line.record.status, 1))[:room]
    return sorted(ranked, key=lambda line: line.record.member)
