"""A progress bar for downloads."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn


class DownloadBar:
    """What pooch wants of a progress bar (`total`, `update`, `reset`, `close`), drawn by rich on standard error."""

    def __init__(self, name: str):
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task(name, total=None)
        self._bar.start()

    @property
    def total(self) -> float | None:
        """Bytes to come, None as long as they are not known."""
        return self._bar.tasks[0].total

    @total.setter
    def total(self, value: float) -> None:
        self._bar.update(self._task, total=value or None)

    def update(self, count: int) -> None:
        """Some more bytes have come."""
        self._bar.advance(self._task, count)

    def reset(self) -> None:
        """Nothing has come yet (pooch counts once more at the end)."""
        self._bar.update(self._task, completed=0)

    def close(self) -> None:
        """The transfer is over."""
        self._bar.stop()
