"""What can go wrong with a run folder, each in one line that says what to do."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# SQLite reports a write that could not grow the file (quota, file-size limit) as an I/O error, not as "full".
_FULL_CODES = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE}
_FULL_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class StoreError(RuntimeError):
    """A run folder could not be used; the message is one line."""


class FolderInUse(StoreError):  # noqa: N818 - named for what is the case
    """Another process writes this folder."""


class FolderMismatch(StoreError):  # noqa: N818
    """The folder holds another run than the one asked for."""


class StoreDamaged(StoreError):  # noqa: N818
    """Stored bytes are not what was written."""


class StoreFull(StoreError):  # noqa: N818
    """The disk, the quota or the file-size limit is exhausted; everything stored before stays valid."""


class NotARun(StoreError):  # noqa: N818
    """The folder holds no run."""


class DamageWarning(UserWarning):
    """Part of a run was read and the rest is damaged."""


def is_damage(error: Exception) -> bool:
    """Whether SQLite says that the file itself is broken (rather than missing, locked or full)."""
    if not isinstance(error, sqlite3.Error):  # text that cannot be decoded, even that of SQLite's own message
        return isinstance(error, ValueError | TypeError)
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the Python module: a value that is no longer what its column declares
        return not isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError)
    # In an intact file our own tables exist: "no such table" (a generic SQLITE_ERROR) means a damaged schema.
    return (code & 0xFF) in _DAMAGE_CODES or code in {sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_ERROR}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def from_sqlite(error: sqlite3.Error, path: Path) -> StoreError:
    """The one-line error of this module for an error of SQLite at `path`."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code in _FULL_CODES:
        return _full(path, error)
    if (code & 0xFF) in _DAMAGE_CODES:
        return StoreDamaged(f"{path} is damaged ({_one_line(error)}); start the same run again to repair it")
    return StoreError(f"{path} cannot be used: {_one_line(error)}")


def _full(path: Path, error: BaseException) -> StoreFull:
    return StoreFull(
        f"{path} cannot grow: the disk, the quota or the file-size limit is exhausted ({_one_line(error)}); "
        "what was stored before is intact, so free some space and start the same run again"
    )


def from_os(error: OSError, path: Path) -> StoreError:
    """The one-line error of this module for an error of the operating system at `path`."""
    if error.errno in _FULL_ERRNOS:
        return _full(path, error)
    reason = (error.strerror or _one_line(error)).lower()
    return StoreError(f"{path} cannot be used: {reason}")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the operating system inside the block into a `StoreError` about `path`."""
    try:
        yield
    except sqlite3.Error as error:
        raise from_sqlite(error, path) from error
    except OSError as error:
        raise from_os(error, path) from error
