"""One writer a folder: an exclusive lock that ends with the process, however it ends."""

import contextlib
import fcntl
import os
import socket
import weakref
from pathlib import Path

from .errors import FolderInUse, explained


class FolderLock:
    """An exclusive `flock` on `folder/lock`, with pid and host written inside for the message.

    The file itself stays when the lock is released: deleting it would let two processes lock two files of one name.
    """

    def __init__(self, folder: Path):
        """Take the lock, or raise `FolderInUse` naming who has it."""
        path = folder / "lock"
        with explained(path):
            self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
            except BlockingIOError:
                holder = os.pread(self._file, 300, 0).decode(errors="replace").split()
                self.release()
                raise FolderInUse(_in_use(folder, holder)) from None
            except OSError:
                self.release()
                raise
        # A forked child inherits the descriptor, and with it the lock: it would outlive the death of this process.
        here = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: (lock := here()) and lock.release())

    def release(self) -> None:
        """Let the folder go; harmless when it is already released."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)


def _in_use(folder: Path, holder: list[str]) -> str:
    who = f"process {holder[0]} on {holder[1]}" if len(holder) == 2 else "another process"
    return f"{folder} is being written by {who}; wait for it, stop it, or choose another folder"
