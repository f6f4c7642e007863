"""Where workers come from: the one interface between the crew and whoever starts its workers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol

from afterfit.engine.members import Batch
from afterfit.engine.messages import Line, Message


class Gone(NamedTuple):
    """Why a worker is no more."""

    why: Literal["lost", "killed", "memory", "error"]
    """Lost with its machine, which says nothing against its work; killed; out of memory; or by an error of its own."""
    text: str
    """In words that go on after "the worker"."""


class Far(Line, Protocol):
    """The driver's end of the line to a worker."""

    def gone(self) -> Gone:
        """Why it is no more; asked after its last message."""
        ...


class Hiring(Protocol):
    """Where workers come from."""

    look_seconds: float | None
    """How often to ask for more of them while batches wait; None if only an end of work makes room."""

    def open(self) -> AbstractContextManager[None]:
        """The time in which workers are hired; refuses what would keep them from working."""
        ...

    def hire(self, lines: Sequence[Far], waiting: Sequence[Batch]) -> Far | None:
        """Start another worker beside those that are there, or None if there is no room or no need."""
        ...

    def is_ready(self, line: Far) -> bool:
        """Whether a worker can be given work now."""
        ...

    def suits(self, line: Far, batch: Batch) -> bool:
        """Whether a batch is for this worker."""
        ...

    def welcome(self, line: Far, hello: Message) -> str | None:
        """Take in what a worker says of itself before it works; gives what the user should know of it."""
        ...

    def dismiss(self, lines: Sequence[Far]) -> None:
        """Let workers go, whatever they do, and see to it that they are gone."""
        ...
