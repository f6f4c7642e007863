"""How long and how often is measured, and what the sections of the benchmark hand back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.tables import Floor, Table


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        core: the core that everything of one core runs on, None where it cannot be chosen.
        cores: all cores that there are.
        show: called with each table when it is there.
        seconds: length of one repeat.
        rounds: repeats of each version.
        cases: names of the cases of the main table.
        members: ensembles of ours in the main table.
        others: versions that are not ours in the main table.
    """

    core: int | None
    cores: Sequence[int | None]
    show: Callable[[Table], None]
    seconds: float = 1.2
    rounds: int = 3
    cases: Sequence[str] = ("minibatch", "full-batch", "mlp")
    members: Sequence[int] = (1, 4)
    others: Sequence[str] = ("torch", "torch-fused", "torch-compile", "plain-jax")

    def job(self, version: str, **more: Any) -> dict[str, Any]:
        """A worker's job, on the core."""
        return {"version": version, "core": self.core, **more}


@dataclass
class Result:
    """What a section found."""

    raw: dict[str, Any] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    floors: list[Floor] = field(default_factory=list)

    def add(self, table: Table, floors: Sequence[Floor] = ()) -> None:
        """One more table."""
        self.tables.append(table)
        self.floors.extend(floors)
