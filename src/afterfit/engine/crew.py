"""The driver's side of training: who gets which batch, what comes back, and what becomes of a batch that does not.

One loop serves processes of this machine and actors of a cluster alike: they differ in how they are hired
(`workers.py`, `actors.py`).
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from afterfit.engine.hiring import Far, Hiring
from afterfit.engine.inbox import Inbox
from afterfit.engine.members import Batch
from afterfit.engine.messages import Message
from afterfit.engine.mirror import Mirror
from afterfit.engine.places import Place, place_of
from afterfit.engine.returned import halves, returned
from afterfit.store import StoreDamaged

STOP_SECONDS = 8.0  # how long after a request to stop the workers' last words are waited for
LISTEN_SECONDS = 20.0  # how long the end of a worker that was let go may take to be heard of
STILLBORN = 3  # workers in a row that end before they say anything: no other will do better


class WorkerFailed(RuntimeError):  # noqa: N818 - named for what is the case
    """A batch could not be trained; one line that says why."""


@dataclass(eq=False)
class Worker:
    """A worker as the crew sees it."""

    line: Far
    batch: Batch | None = None
    failure: Message | None = None
    has_spoken: bool = False
    is_gone: bool = False


class Crew:
    """Trains batches with all the workers that there are, and hands all that they send to one function.

    A batch whose worker was lost with its machine goes on elsewhere, before all others, from its last checkpoint. One
    that fails for a reason of its own is tried again after the others, so many times. One that found too little
    memory is halved, until a member alone has too little.

    Args:
        hiring: where workers come from.
        folder: the run's folder.
        checkpoint_seconds: time between a batch's checkpoints.
        where: the place to which workers write; the run's folder unless it is another.
        retries: how often a batch that failed is tried again.
        free_number: from here on numbers belong to no batch of the run; halves get them.
    """

    def __init__(
        self, hiring: Hiring, folder: Path, *, checkpoint_seconds: float, where: Place | None = None, retries: int = 0,
        free_number: int | None = None,
    ):  # fmt: skip
        self.hiring, self.checkpoint_seconds, self.retries = hiring, checkpoint_seconds, retries
        self.free_number = free_number
        self.place = place_of(where or folder)
        self.mirror = Mirror(folder, self.place, self._warn)
        self.inbox = Inbox[Worker]()

    def train(
        self, batches: Sequence[Batch], stored: Mapping[int, Sequence[int]], handle: Callable[[Message], None]
    ) -> bool:
        """Train all batches: True when every member has ended, False when stopped before.

        Args:
            batches: in the order in which they are begun.
            stored: the steps whose rows are kept already, by member.
            handle: called with every message, in the thread that calls this; rows are durable when it returns.

        Raises:
            WorkerFailed: after all other batches are through, if one could not be trained.
        """
        self.waiting, self.handle, self.complete = deque(batches), handle, True
        self.stored = {m.number: set(map(int, stored.get(m.number, ()))) for b in batches for m in b.members}
        self.next_number = self.free_number or 1 + max((batch.number for batch in batches), default=0)
        self.ended: set[int] = set()
        self.failed: dict[int, int] = {}  # times, by batch
        self.failures: list[str] = []
        self.workers: list[Worker] = []
        self.listeners: list[threading.Thread] = []
        self.stillborn, self.give_up = 0, None
        with self.hiring.open():
            self._work()
        if self.give_up is not None:
            return self.complete and not self.waiting and not self.failures
        if self.failures:
            raise WorkerFailed("; ".join(self.failures))
        return self.complete

    def _work(self) -> None:
        """Until nothing is left to do, or time is over after a request to stop."""
        try:
            while any(worker.batch for worker in self.workers) or (self.waiting and self.give_up is None):
                self._give_work()
                while self._answer(*self._next()):  # what changes nothing about who works
                    continue
        except queue.Empty:  # a worker that compiles cannot answer, and has nothing to lose
            self.complete = False
        finally:
            self.hiring.dismiss([worker.line for worker in self.workers])
            for listener in self.listeners:  # one who listened to a cluster that is let go would read freed memory
                listener.join(timeout=LISTEN_SECONDS)

    def stop(self) -> None:
        """Ask all workers to end soon, each with a checkpoint. May be called from a signal handler."""
        self.inbox.put(None, {"kind": "stop"})

    def _next(self) -> tuple[Worker | None, Message | None]:
        """What comes next, or nothing if it is time to look for workers; `queue.Empty` when all time is over."""
        if self.give_up is not None:
            return self.inbox.next(max(0, self.give_up - time.monotonic()))
        try:
            return self.inbox.next(self.hiring.look_seconds if self.waiting else None)
        except queue.Empty:
            return None, None

    def _give_work(self) -> None:
        """Give waiting batches to workers who are free, and hire as there is room; let those go who have no use."""
        while self.waiting and self.give_up is None:
            for worker in self.workers:
                if worker.batch is None and self.hiring.is_ready(worker.line) and self._order_first(worker):
                    break
            else:
                self._let_go([worker for worker in self.workers if self._has_no_use(worker)])
                line = self.hiring.hire([worker.line for worker in self.workers], self.waiting)
                if line is None:
                    return
                worker = Worker(line)
                self.workers.append(worker)
                self.listeners.append(threading.Thread(target=self._listen, args=(worker,), daemon=True))
                self.listeners[-1].start()
        if not self.waiting:
            self._let_go([worker for worker in self.workers if worker.batch is None])

    def _has_no_use(self, worker: Worker) -> bool:
        """Whether a worker could work, but at nothing that waits."""
        free = worker.batch is None and self.hiring.is_ready(worker.line)
        return free and not any(self.hiring.suits(worker.line, batch) for batch in self.waiting)

    def _let_go(self, workers: Sequence[Worker]) -> None:
        for worker in workers:
            worker.is_gone = True
            self.workers.remove(worker)
        if workers:
            self.hiring.dismiss([worker.line for worker in workers])

    def _listen(self, worker: Worker) -> None:
        for message in worker.line.messages():
            self.inbox.put(worker, message)
        self.inbox.put(worker, None)

    def _order_first(self, worker: Worker) -> bool:
        """Give a worker the first waiting batch that suits it; False if there is none."""
        batch = next((batch for batch in self.waiting if self.hiring.suits(worker.line, batch)), None)
        if batch is None:
            return False
        from afterfit.engine.worker import written_batch

        self.waiting.remove(batch)
        try:
            self.mirror.lend(batch)
        except (OSError, StoreDamaged) as error:
            self._failed(batch, f"batch {batch.number} could not be begun: {error}", memory=False, hopeless=False)
            return True
        worker.batch = batch
        with suppress(OSError):  # gone already: the listener says so
            worker.line.send(
                "train", batch=written_batch(batch), place=self.place.address,
                stored={str(m.number): sorted(self.stored[m.number]) for m in batch.members},
                checkpoint_seconds=self.checkpoint_seconds,
            )  # fmt: skip
        return True

    def _answer(self, worker: Worker | None, message: Message | None) -> bool:
        """Do what a message asks for; True if it is one of many, after which all work as they did."""
        if worker is None:
            if message:
                self._stop()
        elif worker.is_gone:  # was let go, and may have said something before
            return False
        elif message is None:
            self._lost(worker)
        elif message["kind"] == "hello":
            self.stillborn = 0
            worker.has_spoken = True
            if text := self.hiring.welcome(worker.line, message):
                self.handle({"kind": "note", "about": "cluster", "text": text})
        else:
            worker.has_spoken = True
            self._take(worker, message)
            return message["kind"] in ("rows", "progress", "note", "status")
        return False

    def _stop(self) -> None:
        self.give_up = self.give_up or time.monotonic() + STOP_SECONDS
        self.handle({"kind": "stopping"})
        for worker in self.workers:
            with suppress(OSError):  # gone already: the listener says so
                worker.line.send("stop")

    def _take(self, worker: Worker, message: Message) -> None:
        """Keep what a worker sends."""
        match message["kind"]:
            case "rows":
                others = [(sender, rows) for sender, rows in self.inbox.more_rows() if not sender.is_gone]
                return self._keep_rows([(worker, message), *others])
            case "failed":
                worker.failure = message
                if message["trace"]:
                    sys.stderr.write(message["trace"])
                return None
            case "batch":
                self.complete &= message["complete"]
                batch, worker.batch = worker.batch, None
                if batch:
                    self._bring_home(batch, self.mirror.fetch)
                return None
            case "status":
                member, batch = message["member"], worker.batch
                if batch and not self._bring_home(batch, partial(self.mirror.fetch_member, member=member)):
                    return self._let_go([worker])
                self.ended.add(member)
        return self.handle(message)

    def _bring_home(self, batch: Batch, fetch: Callable[[Batch], None]) -> bool:
        """Copy what a batch leaves into the run's folder; where that fails, the batch has failed."""
        try:
            fetch(batch)
        except (OSError, StoreDamaged) as error:
            text = f"what batch {batch.number} leaves could not be copied into the run's folder: {error}"
            self._failed(batch, text, memory=False, hopeless=False)
            return False
        return True

    def _warn(self, text: str) -> None:
        self.handle({"kind": "note", "about": "damaged", "text": text})

    def _keep_rows(self, sent: Sequence[tuple[Worker, Message]]) -> None:
        """Make rows durable, one write for all, before the workers are told so."""
        self.handle({"kind": "rows", "rows": [row for _, message in sent for row in message["rows"]]})
        for worker, message in sent:
            for number, step, _ in message["rows"]:
                self.stored[number].add(step)
            with suppress(OSError):  # gone already: the listener says so
                worker.line.send("durable", number=message["number"])

    def _lost(self, worker: Worker) -> None:
        """A worker is no more: decide what becomes of its batch."""
        gone = worker.line.gone()
        self._let_go([worker])
        batch, failure = worker.batch, worker.failure
        if batch and failure:
            text = f"batch {batch.number} could not be trained: {failure['error']}"
            self._failed(batch, text, memory=failure["memory"], hopeless=failure["hopeless"])
        elif not worker.has_spoken and (gone.why == "error" or (batch is None and gone.why != "lost")):
            self._never_worked(f"the worker of batch {batch.number} {gone.text}" if batch else f"a worker {gone.text}")
        elif batch and gone.why == "lost":
            text = f"the worker of batch {batch.number} {gone.text}; the batch goes on elsewhere"
            self.handle(returned(batch, self.ended, "lost", text))
            self.waiting.appendleft(batch)
        elif batch:
            text = f"the worker of batch {batch.number} {gone.text}"
            self._failed(batch, text, memory=gone.why == "memory", hopeless=False)

    def _never_worked(self, text: str) -> None:
        """A worker could not even begin. Nor would the next one, unless machines differ: then some are tried."""
        self.stillborn += 1
        if self.hiring.look_seconds is None or self.stillborn >= STILLBORN:
            self.failures.append(text)
            self.waiting.clear()
        else:
            self.handle({"kind": "note", "about": "cluster", "text": text})

    def _failed(self, batch: Batch, text: str, *, memory: bool, hopeless: bool) -> None:
        """Halve a batch that found too little memory, try another again, and give up what has failed often enough."""
        self.failed[batch.number] = self.failed.get(batch.number, 0) + 1
        parts = halves(batch, self.ended, self.next_number) if memory else []
        if parts:
            self.next_number += len(parts)
            try:
                told = self.mirror.divide(batch, parts, text)
            except (OSError, StoreDamaged) as error:
                self.failures.append(f"{text}; it could not be halved: {error}")
            else:
                self.handle(told)
                self.waiting.extend(parts)
        elif hopeless or self.failed[batch.number] > self.retries:
            self.failures.append(text)
        else:
            said = f"{text}; it is tried again ({self.failed[batch.number]} of {self.retries})"
            self.handle(returned(batch, self.ended, "failed", said))
            self.waiting.append(batch)
