"""What a worker and the driver say to each other: one JSON object a line, over a socket or through a cluster.

Nothing is pickled, so a worker may as well be another machine's.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any, Protocol

Message = dict[str, Any]
Row = tuple[int, int, dict[str, float]]  # member, step, {measure: value}


class Line(Protocol):
    """One end of a line, whatever carries it. Sending is safe from several threads."""

    def send(self, kind: str, **content: Any) -> None:
        """Send a message; raises OSError when the other end is known to be gone."""
        ...

    def messages(self) -> Iterator[Message]:
        """All that comes, until the other end is gone."""
        ...


def encoded(kind: str, content: Message) -> bytes:
    """A message as it goes over the line."""
    return json.dumps({"kind": kind, **content}).encode()


class Channel:
    """One end of a line over a socket.

    Args:
        connection: a connected stream socket.
    """

    def __init__(self, connection: socket.socket):
        self.connection = connection
        self._lock = threading.Lock()

    def send(self, kind: str, **content: Any) -> None:
        """Send a message; raises OSError when the other end is gone."""
        line = encoded(kind, content) + b"\n"
        with self._lock:
            self.connection.sendall(line)

    def messages(self) -> Iterator[Message]:
        """All that comes, until the other end is gone."""
        try:
            with self.connection.makefile("rb") as lines:
                for line in lines:
                    yield json.loads(line)
        except (OSError, ValueError):  # cut off in the middle of a line: the same as gone
            return
