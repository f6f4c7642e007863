"""Look at a run folder: what is stored, what is damaged, and all that can still be read."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from . import manifest, schema
from .errors import NotARun, StoreDamaged, explained, is_damage
from .manifest import Manifest
from .pages import LogFrames, log_frames, raw_rows
from .records import LogEntry, MemberRecord
from .table import Table, checked, joined

DATABASE = "runs.sqlite"
_UNREADABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_UNREAD = (sqlite3.Error, ValueError, TypeError)  # what reading a damaged database may raise
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Attributes:
        meta, members: None when neither the database nor `run.json` has them any more.
        log: empty when it is unreadable.
        table: every row whose checksum holds.
        faults: what is damaged, one phrase each; empty for a sound database.
        source: the database that was looked at.
        manifest: what `run.json` holds, None when it is missing or damaged.
    """

    meta: dict[str, Any] | None
    members: list[MemberRecord] | None
    log: list[LogEntry]
    table: Table
    faults: tuple[str, ...]
    source: Path
    manifest: Manifest | None

    def damage(self) -> str:
        """One line: the file, what is wrong with it, and how many rows are good."""
        return f"{self.source} is damaged ({'; '.join(self.faults)}): {len(self.table):,} rows are good"


def is_run(folder: Path) -> bool:
    """Whether the folder holds a run, sound or damaged."""
    return any((folder / name).exists() for name in (DATABASE, manifest.NAME))


def survey(folder: Path) -> Survey:
    """Read and check everything in the folder, possibly while another process writes it.

    Checked are the checksum of every record, the order of the keys, every page of the database, and the chain of
    checksums in its write-ahead log. Where SQLite no longer finds a way, rows are read straight from the pages.

    Raises:
        NotARun: nothing of a run is here.
        StoreError: it is here and cannot be opened.
    """
    with explained(folder):
        if not is_run(folder):
            raise NotARun(f"{folder} holds no run: neither {DATABASE} nor {manifest.NAME} is there")
    source = _source(folder)
    faults: list[str] = []
    copy = _manifest(folder)
    frames = _frames(source)
    if frames.lost:
        faults.append("its write-ahead log breaks off before its end")
    with explained(source):
        meta, members, log, table = _through_sqlite(source, faults)
    meta, members = _completed(meta, members, copy, faults)
    if faults:
        table = _through_pages(source, frames, table, copy)
    if members is not None:
        table = _of_members(table, members, faults)
    return Survey(meta, members, log, table, tuple(faults), source, copy)


def _completed(meta, members, copy: Manifest | None, faults: list[str]) -> tuple:
    """Meta and members, from the second copy where the database has lost some; it is never ahead of the database."""
    if copy is None:
        return meta, members
    if meta is not None and copy.meta.keys() - meta.keys():
        faults.append("entries of meta are gone")
        meta = None
    if members is not None and len(members) < len(copy.members):
        faults.append("members are gone")
        members = None
    return copy.meta if meta is None else meta, copy.members if members is None else members


def _of_members(table: Table, members: list[MemberRecord], faults: list[str]) -> Table:
    """The rows of members that are known: without its record a row says nothing."""
    known = np.isin(table.member, [record.member for record in members])
    if known.all():
        return table
    faults.append(f"{np.sum(~known):,} rows are of members that are gone")
    return Table(table.measures, table.member[known], table.step[known], table.values[known])


def _source(folder: Path) -> Path:
    """The database; when a repair was cut short, the damaged one that it had put aside."""
    database = folder / DATABASE
    last = last_put_aside(folder)
    return put_aside_path(folder, last) if last and not database.exists() else database


def put_aside_path(folder: Path, number: int) -> Path:
    """Where the damaged database of a repair is kept."""
    return folder / f"{DATABASE}.damaged-{number}"


def last_put_aside(folder: Path) -> int:
    """The number of the last repair, 0 before the first."""
    ends = (path.name.rpartition("-")[2] for path in folder.glob(f"{DATABASE}.damaged-*"))
    return max((int(end) for end in ends if end.isdecimal()), default=0)


def _manifest(folder: Path) -> Manifest | None:
    """What `run.json` holds; damage to this second copy counts only where the first one is gone too."""
    try:
        return manifest.load(folder)
    except StoreDamaged:
        return None


def _frames(source: Path) -> LogFrames:
    """The write-ahead log beside `source`, read as one piece even while a writer starts it over."""
    path = source.with_name(source.name + "-wal")
    while True:
        try:
            log = path.read_bytes()
            with path.open("rb") as file:
                unchanged = file.read(32) == log[:32]
        except FileNotFoundError:
            return LogFrames()
        except OSError:
            with explained(path):
                raise
        if unchanged:
            return log_frames(log)


def _through_sqlite(source: Path, faults: list[str]) -> tuple:
    if not source.exists():
        faults.append("it is missing")
        return None, None, [], _empty(())
    with source.open("rb") as file:
        if file.read(20)[18:] not in (b"\1\1", b"\2\2"):  # SQLite would read it, and refuse to write
            faults.append("its header is not that of a run")
    try:
        with _opened(source) as connection:
            return _all_of(connection, faults)
    except _UNREAD as error:
        if not is_damage(error):
            raise
        faults.append(_one_line(error))
        return None, None, [], _empty(())


def _all_of(connection: sqlite3.Connection, faults: list[str]) -> tuple:
    def attempt(get: Callable[[sqlite3.Connection], _Read]) -> _Read | None:
        try:
            return get(connection)
        except _UNREAD as error:
            if not is_damage(error):
                raise
            faults.append(_one_line(error))
            return None

    connection.execute("BEGIN")  # one moment of the run, whatever a writer adds meanwhile
    meta, members = attempt(schema.get_meta), attempt(schema.get_members)
    log = attempt(schema.get_log) or []
    measures = attempt(schema.get_measures) or ()
    table = _rows(connection, measures, faults) if measures or not faults else _empty(measures)
    faults += [f"the declaration of {name} is not what was written" for name in attempt(schema.altered) or ()]
    if not faults:
        complaint = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        faults += [] if complaint == "ok" else [_one_line(complaint)]
    return meta, members, log, table


def _one_line(said: object) -> str:
    return "text cannot be decoded" if isinstance(said, UnicodeError) else " ".join(str(said).split())


def _rows(connection: sqlite3.Connection, measures: tuple[str, ...], faults: list[str]) -> Table:
    """The good rows up to the first place where SQLite gets stuck."""
    cursor = connection.execute("SELECT * FROM observations ORDER BY member, step")
    parts, bad, met = [_empty(measures)], 0, 0
    try:
        while rows := cursor.fetchmany(20_000):
            met += len(rows)
            table, wrong = checked(measures, rows)
            parts, bad = [*parts, table], bad + wrong
    except _UNREAD as error:
        if not is_damage(error):
            raise
        faults.append(_one_line(error))
    table = joined(*parts)
    if bad:
        faults.append(f"the checksums of {bad:,} rows do not hold")
    elif len(table) < met:
        faults.append("some rows are there twice")
    return table


def _empty(measures: tuple[str, ...]) -> Table:
    return checked(measures, [])[0]


def _through_pages(source: Path, frames: LogFrames, known: Table, copy: Manifest | None) -> Table:
    """The rows that SQLite found together with those that it can no longer reach."""
    with explained(source):
        database = source.read_bytes() if source.exists() else b""
    candidates = {known.measures, copy.measures if copy else known.measures}  # names may be what is damaged
    most = known
    for measures in candidates:
        found, _ = checked(measures, list(raw_rows(database, frames.pages, len(measures))))
        both = joined(found, known) if measures == known.measures else found
        most = both if len(both) > len(most) else most
    return most


@contextmanager
def _opened(source: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, where need be to a copy: SQLite wants to write beside a file it reads."""
    with ExitStack() as stack:
        try:
            connection = _connect(source, "mode=ro")
        except sqlite3.Error as error:
            if (getattr(error, "sqlite_errorcode", 0) & 0xFF) not in _UNREADABLE:
                raise
            connection = _connect(_copied(source, stack.enter_context(tempfile.TemporaryDirectory())), "mode=rw")
        yield stack.enter_context(closing(connection))


def _copied(source: Path, folder: str) -> Path:
    for path in (source, source.with_name(source.name + "-wal")):
        if path.exists():
            shutil.copyfile(path, Path(folder, path.name))
    return Path(folder, source.name)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=30)
    try:
        connection.execute("PRAGMA query_only=1")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()  # opens the file, or says why not
    except BaseException:
        connection.close()
        raise
    return connection
