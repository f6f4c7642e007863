"""Local workers: one process a core, or one for an accelerator. The driver's side."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, cast

from afterfit.engine.hiring import Far, Gone
from afterfit.engine.machine import worker_environment
from afterfit.engine.members import Batch
from afterfit.engine.messages import Channel, Message

END_SECONDS = 5.0  # how long a process may take to end by itself once it is let go


class Process:
    """A worker process as the driver sees it.

    Args:
        compilation_cache: folder in which compiled programs are kept between runs, or None.
    """

    def __init__(self, compilation_cache: str | None):
        ours, theirs = socket.socketpair()
        self.channel, self.out_of_memory = Channel(ours), _out_of_memory_kills()
        with theirs, _requests_to_stop_blocked():
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "afterfit.engine.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=worker_environment(compilation_cache),
                stdin=subprocess.DEVNULL,
            )

    def send(self, kind: str, **content: Any) -> None:
        """Send a message; raises OSError when the process is gone."""
        self.channel.send(kind, **content)

    def messages(self) -> Iterator[Message]:
        """All that it says, until it is gone."""
        return self.channel.messages()

    def gone(self) -> Gone:
        """Why it is no more."""
        code = self.popen.wait()
        if code >= 0:
            return Gone("error", f"ended with exit code {code}")
        if code == -signal.SIGKILL and _out_of_memory_kills() > self.out_of_memory:
            return Gone("memory", "was killed for want of memory")
        perhaps = ", perhaps for want of memory" if code == -signal.SIGKILL else ""
        return Gone("killed", f"was killed by signal {-code}{perhaps}")


def _out_of_memory_kills() -> int:
    """How many processes of this machine the kernel has killed for want of memory so far; 0 where it does not say."""
    with suppress(OSError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


@contextmanager
def _requests_to_stop_blocked() -> Iterator[None]:
    """What is started inside never sees Ctrl-C or SIGTERM, which may reach a whole process group: we are to answer."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class LocalWorkers:
    """Hires processes of this machine, `count` at a time.

    Args:
        count: processes.
        compilation_cache: folder in which compiled programs are kept between runs, or None.
    """

    look_seconds = None

    def __init__(self, count: int, compilation_cache: str | None = None):
        self.count, self.compilation_cache = count, compilation_cache

    def open(self) -> AbstractContextManager[None]:
        """Nothing to be done before and after."""
        return nullcontext()

    def hire(self, lines: Sequence[Far], waiting: Sequence[Batch]) -> Far | None:
        """Start another process, if there are fewer than `count`."""
        return Process(self.compilation_cache) if len(lines) < self.count else None

    def is_ready(self, line: Far) -> bool:
        """Always: what it is told before it listens waits in its socket."""
        return True

    def suits(self, line: Far, batch: Batch) -> bool:
        """Always: batches were made for this machine, or must be trained on it."""
        return True

    def welcome(self, line: Far, hello: Message) -> str | None:
        """Nothing: local workers begin without a word."""

    def dismiss(self, lines: Sequence[Far]) -> None:
        """Let processes go: they end by themselves when the driver's end of the line is closed."""
        processes = [cast(Process, line) for line in lines]
        for process in processes:
            with suppress(OSError):
                process.channel.connection.shutdown(socket.SHUT_RDWR)
        for process in processes:
            try:
                process.popen.wait(timeout=END_SECONDS)
            except subprocess.TimeoutExpired:
                process.popen.kill()
                process.popen.wait()
            process.channel.connection.close()
