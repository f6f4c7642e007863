"""A real Ray cluster on this machine: a head that trains nothing, and nodes of one core each."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from afterfit.lab.progress import Silent

pytest.importorskip("ray", reason="these tests need Ray")
# As it will be: a worker without a GPU sees those of its machine; nothing is reported to anybody.
os.environ |= {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"}


class Machines:
    """The nodes of a cluster that come and go. Ray forks to start them, which must not be where JAX is."""

    def __init__(self):
        script = Path(__file__).with_name("machines.py")
        self.process = subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.count = 0
        self.address = self.heard()

    def heard(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline().strip()
        assert line, "the cluster is gone"
        return line

    def tell(self, word: str) -> None:
        assert self.process.stdin
        print(word, file=self.process.stdin, flush=True)
        assert self.heard() == "done"

    def add(self) -> None:
        """A node of one core joins; returns when it is there."""
        self.tell("add")
        self.count += 1

    def lose(self) -> None:
        """A node is gone at once, with all that runs there, as in a power cut."""
        self.tell("lose")
        self.count -= 1

    def be(self, count: int) -> None:
        """See to it that there are so many nodes."""
        while self.count < count:
            self.add()
        while self.count > count:
            self.tell("remove")
            self.count -= 1

    def end(self) -> None:
        """End all of it."""
        self.process.communicate(timeout=60)


@pytest.fixture(scope="session")
def all_machines():
    """One cluster for all tests: starting it takes longer than most of them."""
    machines = Machines()
    yield machines
    machines.end()


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
