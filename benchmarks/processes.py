"""The benchmark's side of its worker processes: one core and one thread each, asked one at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from afterfit.engine.machine import SINGLE_THREAD

ROOT = Path(__file__).parents[1]
BUSY = 1.05  # wall time over processor time from which on a number is not to be believed


def environment() -> dict[str, str]:
    """One thread, on the processor, whatever library."""
    return {
        **os.environ,
        **SINGLE_THREAD,
        "MKL_NUM_THREADS": "1",
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }


def cores() -> Sequence[int | None]:
    """The cores that this process may use; [None] where they cannot be chosen."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [None]


class Worker:
    """A worker process that has been told its job."""

    def __init__(self, job: Mapping[str, Any]):
        self.job, self.members = job, int(job.get("members", 1))
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps(job)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT,
        )  # fmt: skip

    def send(self, do: str, **arguments: Any) -> None:
        """Ask for something."""
        assert self.popen.stdin
        print(json.dumps({"do": do, **arguments}), file=self.popen.stdin, flush=True)

    def receive(self) -> Any:
        """The answer."""
        assert self.popen.stdout
        line = self.popen.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker of {dict(self.job)} ended with exit code {self.popen.wait()}")
        return json.loads(line)

    def ask(self, do: str, **arguments: Any) -> Any:
        """Ask, and wait for the answer."""
        self.send(do, **arguments)
        return self.receive()

    def close(self) -> None:
        """No more requests: the process ends."""
        assert self.popen.stdin
        assert self.popen.stdout
        self.popen.stdin.close()
        try:
            self.popen.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self.popen.stdout.close()


@contextmanager
def working(*jobs: Mapping[str, Any]) -> Iterator[list[Worker]]:
    """Workers for these jobs, ended at the end."""
    workers: list[Worker] = []
    try:
        for job in jobs:
            workers.append(Worker(job))
        yield workers
    finally:
        for worker in workers:
            worker.close()


@dataclass(frozen=True)
class Timing:
    """Repeats of the same work.

    Attributes:
        wall: seconds of each repeat, divided by what was done in it.
        processor: the same in processor time.
    """

    wall: tuple[float, ...]
    processor: tuple[float, ...]

    @classmethod
    def of(cls, repeats: list[dict[str, float]], done: float) -> Timing:
        """From what a worker answered; `done` is how often the timed thing was done in a repeat."""
        return cls(*(tuple(repeat[kind] / done for repeat in repeats) for kind in ("wall", "processor")))

    @property
    def seconds(self) -> float:
        """The median over the repeats, wall time."""
        return median(self.wall)

    @property
    def is_busy(self) -> bool:
        """Whether the machine had something else to do."""
        return self.seconds > BUSY * median(self.processor)


def interleaved(workers: list[Worker], *, seconds: float, rounds: int) -> list[Timing]:
    """Time per member and step of training workers, each in every round so that the machine's drift hits all alike."""
    steps = [worker.ask("warm", seconds=seconds)["steps"] for worker in workers]
    repeats: list[list[dict[str, float]]] = [[] for _ in workers]
    for _ in range(rounds):
        for worker, count, found in zip(workers, steps, repeats, strict=True):
            found.append(worker.ask("time", steps=count))
    done = [count * worker.members for worker, count in zip(workers, steps, strict=True)]
    return [Timing.of(found, n) for found, n in zip(repeats, done, strict=True)]
