"""Runs in processes of their own, which tests end in every way there is."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Where the tests run in the background, they ignore Ctrl-C, and what they start would too.
HEARING_CTRL_C = "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


class Started:
    """A command line in a process group of its own, telling all in JSON lines."""

    def __init__(self, command: list[str]):
        self.popen = subprocess.Popen(
            [sys.executable, "-c", HEARING_CTRL_C, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.told: list[dict] = []

    def lines(self) -> Iterator[dict]:
        """What it tells, as it comes."""
        assert self.popen.stdout
        for line in self.popen.stdout:
            self.told.append(json.loads(line))
            yield self.told[-1]

    def until(self, enough: Callable[[dict], bool], times: int = 1) -> None:
        """Read until so many lines are of the kind that is waited for; fail if it ends before."""
        for line in self.lines():
            times -= enough(line)
            if times <= 0:
                return
        pytest.fail(f"it ended before: {self.popen.communicate()[1]}")

    def workers(self) -> list[int]:
        """The processes that it has started."""
        tasks = Path(f"/proc/{self.popen.pid}/task").iterdir()
        return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]

    def kill_all(self) -> None:
        os.killpg(self.popen.pid, signal.SIGKILL)
        self.ended()

    def ended(self, within: float = 30.0) -> tuple[int, str]:
        """Its exit code and what it wrote to standard error."""
        _, errors = self.popen.communicate(timeout=within)
        return self.popen.returncode, errors


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _are_gone(pids: list[int], within: float) -> bool:
    """Whether all these processes end in time."""
    until = time.monotonic() + within
    while any(map(_is_alive, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(_is_alive, pids))


@pytest.fixture
def are_gone():
    """Whether processes end within some seconds."""
    return _are_gone


@pytest.fixture
def start(command):
    """Start `afterfit run` with these arguments; nothing of it outlives the test."""
    begun: list[Started] = []

    def one(*arguments) -> Started:
        begun.append(Started([*command, "run", *map(str, arguments), "--json-lines"]))
        return begun[-1]

    yield one
    for process in begun:
        if process.popen.poll() is None:
            process.kill_all()
        process.popen.stdout.close()
        process.popen.stderr.close()


@pytest.fixture
def afterfit(capsys):
    """Run a command line here: its exit code, standard output and standard error."""

    def run(*arguments) -> tuple[int, str, str]:
        from afterfit.cli import main

        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        return ended.value.code or 0, *capsys.readouterr()

    return run
