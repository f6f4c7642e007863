"""What the workers of a crew have sent and nobody has answered yet, in the order of each one's words."""

from __future__ import annotations

import queue
from collections import deque
from contextlib import suppress
from typing import Generic, TypeVar

from afterfit.engine.messages import Message

TOGETHER = 256  # messages that are looked through for rows which become durable in one go, at most

Sender = TypeVar("Sender")


class Inbox(Generic[Sender]):
    """Messages with their senders; None for a sender stands for nobody's, None for a message for a sender's end.

    Putting is safe from any thread and from signal handlers, taking from one thread.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Sender | None, Message | None]] = queue.SimpleQueue()
        self._aside: deque[tuple[Sender | None, Message | None]] = deque()  # taken from the queue, not given out yet

    def __len__(self) -> int:
        """Messages that wait."""
        return self._queue.qsize() + len(self._aside)

    def put(self, sender: Sender | None, message: Message | None) -> None:
        """Add a message."""
        self._queue.put((sender, message))

    def next(self, timeout: float | None) -> tuple[Sender | None, Message | None]:
        """The next message; `queue.Empty` if none has come within so many seconds."""
        return self._aside.popleft() if self._aside else self._queue.get(timeout=timeout)

    def more_rows(self) -> list[tuple[Sender, Message]]:
        """The rows that have come meanwhile, of any sender of whom nothing else comes before them."""
        with suppress(queue.Empty):
            while len(self._aside) < TOGETHER:
                self._aside.append(self._queue.get_nowait())
        rows, rest = list[tuple[Sender, Message]](), deque[tuple[Sender | None, Message | None]]()
        waiting = set[Sender | None]()  # of these there is something in `rest`
        for sender, message in self._aside:
            if sender is not None and message and message["kind"] == "rows" and sender not in waiting:
                rows.append((sender, message))
            else:
                rest.append((sender, message))
                waiting.add(sender)
        self._aside = rest
        return rows
