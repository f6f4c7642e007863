"""A worker: trains the batches it is given, one after the other.

As a process of the driver's machine it is run as `python -m afterfit.engine.worker FD`, where FD is its end of a socket
to the driver; in a cluster `actor.py` runs it. It ends when the driver is gone, in the middle of whatever it does: rows
that nobody keeps are not worth computing, and files are whole at any moment. Signals that ask to stop are the driver's
to answer; it starts its workers with them blocked.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import traceback
from contextlib import suppress
from typing import Any

from afterfit.engine.batch import BatchRun
from afterfit.engine.members import Batch, Member, Origin
from afterfit.engine.messages import Channel, Line, Message, Row
from afterfit.engine.places import place_of
from afterfit.engine.pytree import structure
from afterfit.engine.trainer import Trainer
from afterfit.parts import SpecError
from afterfit.spec.written import from_dict, to_dict
from afterfit.tasks import DataError

# Errors whose message says it all; of others, in parts of the user's own perhaps, the traceback is worth seeing.
EXPLAINED = (SpecError, DataError, OSError)


class RemoteSink:
    """Sends a batch's results to the driver, which answers when rows are durable."""

    def __init__(self, channel: Line):
        self.channel = channel
        self.sent, self.durable = 0, 0
        self.change = threading.Condition()
        self.stop = False

    def append(self, rows: list[Row]) -> None:
        """Send rows."""
        self.sent += 1
        self.channel.send("rows", rows=rows, number=self.sent)

    def flush(self) -> None:
        """Wait until the driver has made all rows durable."""
        with self.change:
            self.change.wait_for(lambda: self.durable >= self.sent)

    def status(self, member: int, status: str, step: int) -> None:
        """Send a member's end."""
        self.channel.send("status", member=member, status=status, step=step)

    def progress(self, batch: int, step: int, steps_per_second: float, members: list[int]) -> None:
        """Send how far the batch is."""
        self.channel.send("progress", batch=batch, step=step, steps_per_second=steps_per_second, members=members)

    def note(self, kind: str, text: str) -> None:
        """Send news."""
        self.channel.send("note", about=kind, text=text)

    def stop_requested(self) -> bool:
        """Whether the driver has asked to stop."""
        return self.stop

    def hear(self, message: Message) -> None:
        """Take in an answer of the driver's."""
        with self.change:
            if message["kind"] == "durable":
                self.durable = max(self.durable, message["number"])
            elif message["kind"] == "stop":
                self.stop = True
            self.change.notify_all()


def written_batch(batch: Batch) -> dict[str, Any]:
    """A batch as plain values."""
    members = [
        {
            "number": m.number,
            "seed": m.seed,
            "experiment": to_dict(m.experiment),
            "origin": m.origin and [m.origin.member, m.origin.step],
        }
        for m in batch.members
    ]
    return {"number": batch.number, "members": members, "until": batch.until}


def read_batch(written: dict[str, Any]) -> Batch:
    """The batch that `written_batch` wrote."""
    members = [
        Member(m["number"], m["seed"], from_dict(m["experiment"]), m["origin"] and Origin(*m["origin"]))
        for m in written["members"]
    ]
    return Batch(written["number"], tuple(members), written["until"])


class Trainers:
    """Compiled functions by group, so that a worker's next batch of the same group need not compile again."""

    def __init__(self) -> None:
        self._by_structure: dict[Any, Trainer] = {}

    def of(self, batch: Batch) -> Trainer:
        """The trainer of a batch's group."""
        experiment = batch.members[0].experiment
        group = structure(experiment)
        if group not in self._by_structure:
            self._by_structure[group] = Trainer(experiment, experiment.task.table())
        return self._by_structure[group]


def work(channel: Line) -> None:
    """Train what the driver sends; does not return."""
    sink, orders, trainers = RemoteSink(channel), queue.SimpleQueue[Message](), Trainers()

    def listen() -> None:
        for message in channel.messages():
            orders.put(message) if message["kind"] == "train" else sink.hear(message)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        order = orders.get()
        batch = read_batch(order["batch"])
        stored = {int(member): set(steps) for member, steps in order["stored"].items()}
        run = BatchRun(batch, trainers.of(batch), place_of(order["place"]), sink, order["checkpoint_seconds"])
        channel.send("batch", number=batch.number, complete=run.run(stored))


def serve(channel: Line) -> None:
    """Work until the driver is gone, or something fails: that is told, and then it is over."""
    try:
        work(channel)
    except EXPLAINED as error:
        _tell(channel, error, str(error), trace="")
    except Exception as error:  # noqa: BLE001 - whatever ends a worker is told to the user before it ends
        _tell(channel, error, f"{type(error).__name__}: {error}", trace=traceback.format_exc())


def _tell(channel: Line, error: Exception, reason: str, trace: str) -> None:
    memory = is_out_of_memory(error)
    with suppress(OSError):
        channel.send(
            "failed", error=(reason.splitlines() or ["for no reason given"])[0], trace="" if memory else trace,
            memory=memory, hopeless=isinstance(error, SpecError),
        )  # fmt: skip


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that there is too little memory: Python's own, or XLA's by the name of its status."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)


def main() -> None:
    """Talk over the socket whose number is the only argument."""
    serve(Channel(socket.socket(fileno=int(sys.argv[1]))))
    os._exit(1)


if __name__ == "__main__":
    main()
