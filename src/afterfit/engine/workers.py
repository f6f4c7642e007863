"""Local workers: one process a core, or one for an accelerator. The driver's side."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from afterfit.engine.machine import worker_environment
from afterfit.engine.members import Batch
from afterfit.engine.messages import Channel, Message


class WorkerFailed(RuntimeError):  # noqa: N818 - named for what is the case
    """A worker ended before its work did; one line that says why."""


@dataclass
class Process:
    """A worker process as the driver sees it."""

    popen: subprocess.Popen[bytes]
    channel: Channel
    batch: Batch | None = None
    reason: str | None = None


def start_process(compilation_cache: str | None) -> Process:
    """Start a worker with one end of a socket of its own."""
    ours, theirs = socket.socketpair()
    with theirs:
        popen = subprocess.Popen(
            [sys.executable, "-m", "afterfit.engine.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=worker_environment(compilation_cache),
            stdin=subprocess.DEVNULL,
        )
    return Process(popen, Channel(ours))


class LocalWorkers:
    """Trains batches on this machine, `count` at a time, and hands all that they send to one function.

    Args:
        count: processes.
        folder: the run's folder.
        checkpoint_seconds: time between a batch's checkpoints.
        compilation_cache: folder in which compiled programs are kept between runs, or None.
    """

    def __init__(self, count: int, folder: Path, *, checkpoint_seconds: float, compilation_cache: str | None = None):
        self.count, self.folder = count, folder
        self.checkpoint_seconds, self.compilation_cache = checkpoint_seconds, compilation_cache
        self.inbox: queue.SimpleQueue[tuple[Process | None, Message | None]] = queue.SimpleQueue()

    def train(
        self, batches: Sequence[Batch], stored: Mapping[int, Sequence[int]], handle: Callable[[Message], None]
    ) -> bool:
        """Train all batches: True when every member has ended, False when stopped before.

        Args:
            batches: in the order in which they are begun.
            stored: the steps whose rows are kept already, by member.
            handle: called with every message, in the thread that calls this; rows are durable when it returns.

        Raises:
            WorkerFailed: after all other batches are through, if the worker of one ended before its work did.
        """
        waiting, stopping, complete = deque(batches), False, True
        failures: list[str] = []
        processes: list[Process] = []
        try:
            while waiting or any(process.batch for process in processes):
                while waiting and not stopping and sum(p.batch is not None for p in processes) < self.count:
                    process = next((p for p in processes if p.batch is None and p.popen.poll() is None), None)
                    self._order(process or self._started(processes), waiting.popleft(), stored)
                process, message = self.inbox.get()
                if process is None:
                    stopping = True
                    self._tell_to_stop(processes)
                elif message is None:
                    failures += self._lost(process)
                elif message["kind"] == "batch":
                    complete &= message["complete"]
                    process.batch = None
                else:
                    self._take(process, message, handle)
                if stopping and not any(process.batch for process in processes):
                    break
        finally:
            _end(processes)
        if failures:
            raise WorkerFailed("; ".join(failures))
        return complete and not waiting

    def stop(self) -> None:
        """Ask all workers to end soon, each with a checkpoint. May be called from a signal handler."""
        self.inbox.put((None, None))

    def _started(self, processes: list[Process]) -> Process:
        process = start_process(self.compilation_cache)
        processes.append(process)
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: Process) -> None:
        for message in process.channel.messages():
            self.inbox.put((process, message))
        self.inbox.put((process, None))

    def _order(self, process: Process, batch: Batch, stored: Mapping[int, Sequence[int]]) -> None:
        from afterfit.engine.worker import written_batch

        process.batch = batch
        own = {str(m.number): list(map(int, stored.get(m.number, ()))) for m in batch.members}
        with suppress(OSError):  # gone already: the listener says so
            process.channel.send(
                "train", batch=written_batch(batch), stored=own, folder=str(self.folder),
                checkpoint_seconds=self.checkpoint_seconds,
            )  # fmt: skip

    def _take(self, process: Process, message: Message, handle: Callable[[Message], None]) -> None:
        if message["kind"] == "failed":
            process.reason = message["error"]
            return
        handle(message)
        if message["kind"] == "rows":
            with suppress(OSError):  # gone already: the listener says so
                process.channel.send("durable", number=message["number"])

    @staticmethod
    def _tell_to_stop(processes: list[Process]) -> None:
        for process in processes:
            with suppress(OSError):  # gone already: the listener says so
                process.channel.send("stop")

    @staticmethod
    def _lost(process: Process) -> list[str]:
        """Why a worker is gone, if it had work; its batch is no longer waited for."""
        if process.batch is None:
            return []
        code, number, process.batch = process.popen.wait(), process.batch.number, None
        why = process.reason or (f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}")
        return [f"the worker of batch {number} {why}"]


def _end(processes: Sequence[Process]) -> None:
    """Let all processes go: they end by themselves when the driver's end of the line is closed."""
    for process in processes:
        with suppress(OSError):
            process.channel.connection.shutdown(socket.SHUT_RDWR)
    for process in processes:
        try:
            process.popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()
        process.channel.connection.close()
