"""What was observed of one run, held in eight bytes a number."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping

import numpy as np

_NAN = float("nan")


class History:
    """Observations in order: steps, and a column a measure; a measure that was not taken, or is no number, is NaN."""

    def __init__(self) -> None:
        self._steps = array("q")
        self._columns: dict[str, array[float]] = {}

    def __len__(self) -> int:
        """Observations."""
        return len(self._steps)

    def __iter__(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Each step with the values that are numbers."""
        for at, step in enumerate(self._steps):
            row = {name: column[at] for name, column in self._columns.items()}
            yield step, {name: value for name, value in row.items() if value == value}

    @property
    def last(self) -> int | None:
        """The last step, or None."""
        return self._steps[-1] if self._steps else None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Keep an observation, later than those before."""
        for name in values:
            if name not in self._columns:
                self._columns[name] = array("d", [_NAN] * len(self))
        self._steps.append(step)
        for name, column in self._columns.items():
            column.append(values.get(name, _NAN))

    def forget_after(self, step: int) -> bool:
        """Drop what was observed later; whether there was any."""
        keep = bisect_right(self._steps, step)
        if keep == len(self):
            return False
        for column in (self._steps, *self._columns.values()):
            del column[keep:]
        return True

    def before(self, step: int | None) -> int | None:
        """The last observation before a step (or of all, for None), or None."""
        count = len(self) if step is None else bisect_right(self._steps, step - 1)
        return self._steps[count - 1] if count else None

    def column(self, measure: str) -> np.ndarray:
        """A measure's values, NaN where it was not observed."""
        return np.array(self._columns.get(measure, [_NAN] * len(self)))

    def record(self) -> dict[str, np.ndarray]:
        """Everything as rules take it: {"step": (n,), measure: (n,), …}."""
        return {"step": np.array(self._steps, dtype=int)} | {name: self.column(name) for name in self._columns}
