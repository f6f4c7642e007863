"""What comes from the workers is kept, then told; and Ctrl-C becomes a request to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from afterfit.engine.messages import Message, Row
from afterfit.lab.progress import Progress
from afterfit.store import RunStore, StoreError


class Keeper:
    """Stores what comes from the workers, then tells it. As a context, sees to it that nobody is said to run after it.

    Args:
        store: where to keep it.
        progress: whom to tell.
    """

    def __init__(self, store: RunStore, progress: Progress):
        self.store, self.progress = store, progress
        self.running: dict[int, int] = {}  # member: last step
        self.begun = {record.member for record in store.members if record.status == "running"}

    def keep(self, message: Message) -> None:
        """Take in one message; what it says is durable when this returns."""
        match message["kind"]:
            case "rows":
                self._rows(message["rows"])
            case "status":
                self.store.set_status(message["member"], message["status"], message["step"])
                self.running.pop(message["member"], None)
            case "note":
                self.store.log(message["about"], message["text"])
            case "returned":
                self.store.log(message["why"], message["text"])
                self._wait(message["members"])
            case "divided":
                self.store.log("divided", message["text"])
                for batch, members in message["into"].items():
                    self._wait(members)
                    self.store.set_batch(members, int(batch))
            case "stopping":
                return self.progress.stopping()
        return self.progress.message(message)

    def _rows(self, rows: Sequence[Row]) -> None:
        self.store.append(rows)
        new: dict[int, list[int]] = {}  # members that begin, by step
        for number, step, _ in rows:
            if number not in self.running and number not in self.begun:
                new.setdefault(step, []).append(number)
            self.running[number] = step
        for step, numbers in new.items():
            self.store.set_running(numbers, step)

    def _wait(self, members: Sequence[int]) -> None:
        """Members whose batch is nobody's for the moment wait, if they have begun."""
        for record in self.store.members:
            if record.member in members and record.status == "running":
                self.store.set_status(record.member, "waiting", self.running.pop(record.member, record.step))
        self.begun -= set(members)

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, *_: object) -> None:
        """Members that have not come to their end wait for the next time."""
        with suppress(StoreError):  # a full disk has been told already
            for record in self.store.members:
                if record.status == "running":
                    self.store.set_status(record.member, "waiting", self.running.get(record.member, record.step))


@contextmanager
def stopping(stop: Any) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM) into a request to stop; the second Ctrl-C does what it always does.

    Gives a function that says whether it was asked for: what was through by then must not be followed by more work.
    What is ignored stays so: a shell has its background jobs ignore Ctrl-C. Only the main thread may set handlers.
    """
    in_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if in_main}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    is_asked = False

    def ask(number: int, frame: Any) -> None:
        nonlocal is_asked
        is_asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: is_asked
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
