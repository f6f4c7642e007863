"""A worker as an actor of a Ray cluster: the worker's side. JAX is not imported before its environment stands."""

from __future__ import annotations

import json
import os
import queue
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from afterfit.engine.messages import Message, encoded


class Mailbox:
    """The worker's end of a line whose two directions somebody else carries."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def send(self, kind: str, **content: Any) -> None:
        """Put a message out. Waiting for rows to be durable, before every checkpoint, bounds how many lie there."""
        self.outbox.put(encoded(kind, content))

    def messages(self) -> Iterator[Message]:
        """All that comes; Ray ends the process when the driver is gone."""
        while True:
            yield json.loads(self.inbox.get())

    def lines(self) -> Iterator[bytes]:
        """What was put out, as it comes, until it is closed."""
        while (line := self.outbox.get()) is not None:
            yield line

    def close(self) -> None:
        """Nothing more is put out."""
        self.outbox.put(None)


class Actor:
    """Trains what it hears of, and tells what comes of it: lines of JSON as bytes, in both directions.

    Args:
        environment: variables that the driver's JAX was given, and where the driver finds modules, as PYTHONPATH.
        place: the address of the place to which it writes.
        mark: the name of a file there, which the driver has written.
    """

    def __init__(self, environment: Mapping[str, str], place: str, mark: str):
        self.environment, self.place, self.mark = environment, place, mark
        self.mailbox = Mailbox()
        self.error: Exception | None = None

    def hear(self, line: bytes) -> None:
        """Take in a message."""
        self.mailbox.inbox.put(line)

    def tell(self) -> Iterator[bytes]:
        """Begin to work, and give all that there is to say; raises what kept it from beginning."""
        threading.Thread(target=self._work, daemon=True).start()
        yield from self.mailbox.lines()
        if self.error:
            raise self.error

    def _work(self) -> None:
        try:
            set_environment(self.environment)
            from afterfit.engine.worker import serve

            self.mailbox.send("hello", **about_here(self.place, self.mark))
            serve(self.mailbox)
        except Exception as error:  # noqa: BLE001 - raised where the driver sees it
            self.error = error
        finally:
            self.mailbox.close()


def set_environment(driver: Mapping[str, str]) -> None:
    """What a worker process of this machine would be given, before JAX is imported: one thread, or the GPU."""
    from afterfit.engine.machine import compilation_cache, worker_environment

    given = dict(driver)
    for entry in given.pop("PYTHONPATH", "").split(os.pathsep):  # of parts of the user's own, where they lie there too
        if entry and entry not in sys.path and Path(entry).exists():
            sys.path.append(entry)
    os.environ.update(given)
    os.environ.update(worker_environment(os.environ.get("JAX_COMPILATION_CACHE_DIR") or compilation_cache()))


def about_here(place: str, mark: str) -> dict[str, Any]:
    """What a node says of itself: its name, what it computes with, and whether it sees a file at a place."""
    import ray

    from afterfit.engine.machine import accelerator_bytes, machine_bytes, versions
    from afterfit.engine.places import place_of

    context = ray.get_runtime_context()
    return {
        "node": context.get_node_id(),
        "name": f"{socket.gethostname()} ({context.get_node_id()[:6]})",
        "versions": versions(),
        "bytes": machine_bytes(),
        "accelerator_bytes": accelerator_bytes(),
        "sees": not mark or mark in place_of(place).names(""),
    }
