"""A Ray cluster on this machine, whose nodes come and go: for tests and benchmarks.

Run as a script it is the process that starts them, as it is told on standard input: Ray forks for that, which must not
be done where JAX runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

STORE = 80_000_000  # bytes of shared memory of a node, about the least that Ray takes


class Machines:
    """A head that trains nothing, and nodes of one core each; a context manager."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        self.count = 0
        self.address = self._heard()

    def _heard(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline().strip()
        assert line, "the cluster is gone"
        return line

    def _tell(self, word: str) -> None:
        assert self.process.stdin
        print(word, file=self.process.stdin, flush=True)
        assert self._heard() == "done"

    def add(self) -> None:
        """A node of one core joins; returns when it is there."""
        self._tell("add")
        self.count += 1

    def lose(self) -> None:
        """A node is gone at once, with all that runs there, as in a power cut."""
        self._tell("lose")
        self.count -= 1

    def be(self, count: int) -> None:
        """See to it that there are so many nodes."""
        while self.count < count:
            self.add()
        while self.count > count:
            self._tell("remove")
            self.count -= 1

    def workers(self) -> list[int]:
        """The processes that train on its nodes."""
        return [pid for pid in _started_by(self.process.pid) if _command(pid).startswith(b"ray::Actor")]

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all of it."""
        self.process.communicate(timeout=60)


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _started_by(pid: int) -> Iterator[int]:
    """All processes that a process has started, and those that they have, last ones first."""
    with suppress(OSError):
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        for child in [int(child) for task in tasks for child in (task / "children").read_text().split()]:
            yield from _started_by(child)
            yield child


def _kill(pid: int) -> None:
    for each in [*_started_by(pid), pid]:
        with suppress(OSError):
            os.kill(each, signal.SIGKILL)


def main() -> None:
    """Say the address, then do what is asked, word by word, until the input ends."""
    import logging

    from ray.cluster_utils import Cluster

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
    said = os.dup(1)
    os.dup2(2, 1)  # what Ray prints is not for the one who asks
    cluster, nodes = Cluster(initialize_head=True, head_node_args=head), []
    os.write(said, f"{cluster.address}\n".encode())
    for line in sys.stdin:
        match line.strip():
            case "add":
                nodes.append(cluster.add_node(num_cpus=1, object_store_memory=STORE))
            case "remove":
                cluster.remove_node(nodes.pop())
            case "lose":
                node = nodes.pop(0)
                for started in [each for kind in node.all_processes.values() for each in kind]:
                    _kill(started.process.pid)
                cluster.worker_nodes.discard(node)
        os.write(said, b"done\n")
    cluster.shutdown()


if __name__ == "__main__":
    main()
