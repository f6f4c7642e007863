"""A real Ray cluster on this machine: a head that trains nothing, and nodes of one core each."""

import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from afterfit.lab.progress import Silent

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.machines import Machines

pytest.importorskip("ray", reason="these tests need Ray")
# As it will be: a worker without a GPU sees those of its machine; nothing is reported to anybody.
os.environ |= {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="session")
def all_machines():
    """One cluster for all tests: starting it takes longer than most of them."""
    with Machines() as machines:
        yield machines


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
