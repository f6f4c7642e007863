"""A real Ray cluster on this machine: a head that trains nothing, and nodes of one core each."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from afterfit.lab.progress import Silent

os.environ |= {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"}
cluster_utils = pytest.importorskip("ray.cluster_utils", reason="these tests need Ray")


class Machines:
    """The nodes of a cluster that come and go."""

    def __init__(self):
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 80_000_000}
        self.cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
        self.nodes = []

    @property
    def address(self) -> str:
        return self.cluster.address

    def add(self) -> None:
        """A node of one core joins; returns when it is there."""
        self.nodes.append(self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000))

    def be(self, count: int) -> None:
        """See to it that there are so many nodes."""
        while len(self.nodes) < count:
            self.add()
        while len(self.nodes) > count:
            self.cluster.remove_node(self.nodes.pop())

    def lose(self) -> None:
        """A node is gone at once, with all that runs there."""
        node = self.nodes.pop(0)
        for process in node.all_processes.values():
            for info in process:
                kill_group(info.process.pid)
        self.cluster.worker_nodes.discard(node)


def kill_group(pid: int) -> None:
    """Kill a process and all that it has started, the way a power cut does."""
    for child in children(pid):
        kill_group(child)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


@pytest.fixture(scope="session")
def all_machines():
    """One cluster for all tests: starting it takes longer than most of them."""
    machines = Machines()
    yield machines
    machines.cluster.shutdown()


@pytest.fixture
def machines(all_machines):
    """The cluster with two nodes."""
    all_machines.be(2)
    return all_machines


class Told(Silent):
    """Remembers what it is told, and does something at the n-th row."""

    def __init__(self, at: int = 10**9, then: Callable[[], object] = lambda: None):
        self.at, self.then, self.rows = at, then, 0
        self.messages: list[dict] = []

    @contextmanager
    def over(self, members, batches, folder, past):
        self.batches = list(batches)
        yield

    def message(self, message):
        self.messages.append(message)
        if message["kind"] == "rows":
            self.rows += len(message["rows"])
            if self.rows >= self.at:
                self.at = 10**9
                self.then()

    def texts(self, about: str | None = None) -> list[str]:
        """The news, or those of one kind."""
        kinds = [m for m in self.messages if "text" in m]
        return [m["text"] for m in kinds if about in (None, m["kind"], m.get("about"), m.get("why"))]


@pytest.fixture
def told():
    """Make a progress that remembers."""
    return Told
