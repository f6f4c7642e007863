"""A worker process: trains the batches it is given, one after the other.

Run as `python -m afterfit.engine.worker FD`, where FD is its end of a socket to the driver. It ends when the driver
is gone: rows that nobody keeps are not worth computing.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from afterfit.engine.batch import BatchRun, Row
from afterfit.engine.members import Batch, Member
from afterfit.engine.messages import Channel, Message
from afterfit.engine.pytree import structure
from afterfit.engine.trainer import Trainer
from afterfit.spec.written import from_dict, to_dict


class DriverGone(Exception):  # noqa: N818 - named for what is the case
    """The process that keeps the results has ended."""


class RemoteSink:
    """Sends a batch's results to the driver, which answers when rows are durable."""

    def __init__(self, channel: Channel):
        self.channel = channel
        self.sent, self.durable = 0, 0
        self.change = threading.Condition()
        self.stop = self.gone = False

    def append(self, rows: list[Row]) -> None:
        """Send rows."""
        self.sent += 1
        self._send("rows", rows=rows, number=self.sent)

    def flush(self) -> None:
        """Wait until the driver has made all rows durable."""
        with self.change:
            self.change.wait_for(lambda: self.gone or self.durable >= self.sent)
            if self.gone:
                raise DriverGone

    def status(self, member: int, status: str, step: int) -> None:
        """Send a member's end."""
        self._send("status", member=member, status=status, step=step)

    def progress(self, batch: int, step: int, steps_per_second: float, members: list[int]) -> None:
        """Send how far the batch is."""
        self._send("progress", batch=batch, step=step, steps_per_second=steps_per_second, members=members)

    def note(self, kind: str, text: str) -> None:
        """Send news."""
        self._send("note", about=kind, text=text)

    def stop_requested(self) -> bool:
        """Whether the driver has asked to stop, or is gone."""
        if self.gone:
            raise DriverGone
        return self.stop

    def hear(self, message: Message | None) -> None:
        """Take in an answer of the driver's; None when it is gone."""
        with self.change:
            if message is None:
                self.gone = True
            elif message["kind"] == "durable":
                self.durable = max(self.durable, message["number"])
            elif message["kind"] == "stop":
                self.stop = True
            self.change.notify_all()

    def _send(self, kind: str, **content: Any) -> None:
        try:
            self.channel.send(kind, **content)
        except OSError as error:
            raise DriverGone from error


def written_batch(batch: Batch) -> dict[str, Any]:
    """A batch as plain values."""
    members = [{"number": m.number, "seed": m.seed, "experiment": to_dict(m.experiment)} for m in batch.members]
    return {"number": batch.number, "members": members}


def read_batch(written: dict[str, Any]) -> Batch:
    """The batch that `written_batch` wrote."""
    members = [Member(m["number"], m["seed"], from_dict(m["experiment"])) for m in written["members"]]
    return Batch(written["number"], tuple(members))


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


def work(channel: Channel) -> None:
    """Train what the driver sends until it says that there is no more."""
    sink, orders, trainers = RemoteSink(channel), queue.SimpleQueue[Message | None](), Trainers()

    def listen() -> None:
        for message in channel.messages():
            orders.put(message) if message["kind"] == "train" else sink.hear(message)
        sink.hear(None)
        orders.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while (order := orders.get()) is not None:
        batch = read_batch(order["batch"])
        stored = {int(member): set(steps) for member, steps in order["stored"].items()}
        run = BatchRun(batch, trainers.of(batch), Path(order["folder"]), sink, order["checkpoint_seconds"])
        channel.send("batch", number=batch.number, complete=run.run(stored))


def main() -> None:
    """Talk over the socket whose number is the only argument."""
    # Ctrl-C reaches the whole process group; the driver is the one to answer it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    try:
        work(channel)
    except DriverGone:
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - whatever ends a worker is told to the user before it ends
        traceback.print_exc()
        channel.send("failed", error=f"{type(error).__name__}: {error}".splitlines()[0])
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
