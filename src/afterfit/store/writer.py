"""Write a run folder: one process at a time, durable row by row."""

import json
import sqlite3
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np

from . import manifest, schema
from .errors import FolderMismatch, StoreDamaged, StoreError, explained
from .lock import FolderLock
from .records import LogEntry, MemberRecord, check_measure_names, checked_members, to_json
from .survey import DATABASE, Survey, is_run, last_put_aside, put_aside_path, survey

Row = tuple[int, int, Mapping[str, float]]


class RunStore:
    """The writer of a run folder; holds its lock until it is closed or the process ends.

    Made by `RunStore.create` or `RunStore.resume`; a context manager. Every method that stores something returns when
    it is durable, and stores all of it or nothing.

    Attributes:
        folder: the run folder.
        meta: what is said about the run; JSON by key.
        members: the members with their present status and step, in the order of their numbers.
        measures: the names of the measures stored so far.
        repaired: what was repaired when it was opened, in one line; None when all was sound.
    """

    repaired: str | None = None

    def __init__(self, folder: Path, lock: FolderLock):
        """Open the sound database in `folder`, whose lock is held; use `create` or `resume`."""
        self.folder = folder
        self._path = folder / DATABASE
        self._lock = lock
        self._one_at_a_time = threading.RLock()
        with explained(self._path):
            self._connection = sqlite3.connect(
                self._path, isolation_level=None, timeout=60, check_same_thread=False, cached_statements=16
            )
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=FULL")
                self.meta = schema.get_meta(self._connection)
                self.members = schema.get_members(self._connection)
                self.measures = schema.get_measures(self._connection)
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def create(cls, folder: str | PathLike[str], *, meta: Mapping[str, Any], members: Sequence[MemberRecord]) -> Self:
        """Make a run in a folder that holds none; the folder is made where need be.

        Raises:
            FolderMismatch: the folder holds a run already.
            FolderInUse: another process writes the folder.
            StoreError: something cannot be stored, or the folder cannot be written.
        """
        folder = Path(folder)
        kept = checked_members(members)
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder) as lock:
            if is_run(folder):
                raise FolderMismatch(f"{folder} holds a run already: resume it or choose another folder")
            with explained(folder / DATABASE):
                schema.build(folder / DATABASE, meta=meta, members=kept)
            return cls(folder, lock)._with_manifest(None)

    @classmethod
    def resume(cls, folder: str | PathLike[str]) -> Self:
        """Open a run for writing; a damaged database is put aside and rebuilt from every row whose checksum holds.

        What was repaired is told by an entry of kind `repaired` in the log. Rows that are lost are simply not there:
        ask `steps`.

        Raises:
            NotARun: the folder holds no run.
            FolderInUse: another process writes the folder.
            StoreDamaged: neither the database nor `run.json` says any more what the run was.
            StoreError: the folder cannot be written.
        """
        folder = Path(folder)
        with explained(folder):
            there = is_run(folder)
        if not there:
            survey(folder)  # says what is missing
        with _locked(folder) as lock:
            found = survey(folder)
            repaired = _repair(folder, found) if found.faults or found.source != folder / DATABASE else None
            run = cls(folder, lock)._with_manifest(found.manifest)
            run.repaired = repaired
            return run

    def append(self, rows: Iterable[Row]) -> None:
        """Store observations `(member, step, {measure: value})`; returns when they are durable.

        A row with the member and step of an older one replaces it. Measures that are new get a column, in which older
        rows read NaN. Values are kept as float64, bit for bit (every NaN as the same NaN).
        """
        rows = [(int(member), int(step), values) for member, step, values in rows]
        self._places(sorted({member for member, *_ in rows}))
        names = dict.fromkeys(name for *_, values in rows for name in values)
        new = tuple(name for name in names if name not in set(self.measures))
        if new:
            check_measure_names(new, self.measures, (name for record in self.members for name in record.varied))
        with self._transaction() as connection:
            schema.add_columns(connection, new)
            schema.put_rows(connection, self.measures + new, rows)
        if new:
            self.measures += new
            self._write_manifest()

    def forget_after(self, member: int, step: int) -> None:
        """Drop a member's observations later than a step, for one that went back to it."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM observations WHERE member=? AND step>?", (member, step))

    def set_status(self, member: int, status: str, step: int) -> None:
        """Store how far a member is: one of waiting, running, finished, stopped, diverged, and its last step."""
        self._change([member], status=status, step=int(step))

    def set_running(self, members: Sequence[int], step: int) -> None:
        """Store that members train, and the last step that they have reached."""
        self._change(members, status="running", step=int(step))

    def set_batch(self, members: Sequence[int], batch: int) -> None:
        """Store in which batch members train from now on."""
        self._change(members, batch=int(batch))

    def _change(self, members: Sequence[int], **fields: Any) -> None:
        """Give some members other values, all of them or none."""
        places = self._places(members)
        records = checked_members([replace(self.members[place], **fields) for place in places])
        with self._transaction() as connection:
            schema.put_members(connection, records)
        for place, record in zip(places, records, strict=True):
            self.members[place] = record

    def _places(self, members: Sequence[int]) -> list[int]:
        """Where members stand among all; `StoreError` for one that is not of the run."""
        places = [bisect_left(self.members, member, key=lambda record: record.member) for member in members]
        for place, member in zip(places, members, strict=True):
            if place == len(self.members) or self.members[place].member != member:
                raise StoreError(f"member {member} is not one of the {len(self.members)} of {self.folder}")
        return places

    def set_events(self, events: Iterable[schema.EventRow]) -> None:
        """Store when events happened, `(member, event, step, last observed step before it)`, in place of all before.

        A step of None says that the event was not seen by the end, and the step after it where the observations end.
        """
        with self._transaction() as connection:
            schema.put_events(connection, events)

    def log(self, kind: str, text: str) -> None:
        """Store that something happened now, such as `resumed` or `interrupted`."""
        with self._transaction() as connection:
            schema.put_log(connection, [_entry(kind, text)])

    def steps(self, member: int) -> np.ndarray:
        """The steps stored for a member: int64, increasing."""
        with self._one_at_a_time, explained(self._path):
            found = self._connection.execute("SELECT step FROM observations WHERE member=? ORDER BY step", (member,))
            return np.array([step for (step,) in found], dtype=np.int64)

    def add_members(self, members: Sequence[MemberRecord], *, meta: Mapping[str, Any] | None = None) -> None:
        """Extend the run, for instance by more seeds; entries of `meta` replace those of the same key."""
        kept = checked_members(members, taken=(record.member for record in self.members))
        check_measure_names(self.measures, (), (name for record in kept for name in record.varied))
        with self._transaction() as connection:
            schema.put_members(connection, kept)
            schema.put_meta(connection, meta or {})
        self.members = sorted([*self.members, *kept], key=lambda record: record.member)
        self.meta = schema.get_meta(self._connection)
        self._write_manifest()

    def require(self, meta: Mapping[str, Any]) -> None:
        """Raise `FolderMismatch`, naming the first difference, unless the run has these entries of meta."""
        for key, asked in meta.items():
            difference = _difference(key, self.meta.get(key), _as_stored(asked))
            if difference:
                raise FolderMismatch(f"{self.folder} holds another run: {difference}; choose another folder")

    def close(self) -> None:
        """Close the database and let the folder go; harmless when it is closed already."""
        with suppress(
            sqlite3.Error
        ):  # everything is durable; what may fail here, for a reader or a full disk, is tidying
            self._connection.execute("PRAGMA busy_timeout=1000")
            # At rest one file without a write-ahead log: it can be copied, and read where nothing can be written.
            self._connection.execute("PRAGMA journal_mode=DELETE")
        self._connection.close()
        self._lock.release()

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside the block is durable after it; nothing is when it fails."""
        with self._one_at_a_time, explained(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _with_manifest(self, copy: manifest.Manifest | None) -> Self:
        """Bring `run.json`, which holds `copy`, up to date."""
        here = (self.meta, self.measures, len(self.members))
        if copy is None or (copy.meta, copy.measures, len(copy.members)) != here:
            try:
                self._write_manifest()
            except BaseException:
                self.close()
                raise
        return self

    def _write_manifest(self) -> None:
        manifest.write(self.folder, self.meta, self.members, self.measures)


@contextmanager
def _locked(folder: Path) -> Iterator[FolderLock]:
    """The lock of the folder; let go only when the block fails."""
    lock = FolderLock(folder)
    try:
        yield lock
    except BaseException:
        lock.release()
        raise


def _repair(folder: Path, found: Survey) -> str:
    """Put the damaged database aside, build a new one from what is good, and say so in one line."""
    if found.meta is None or found.members is None:
        raise StoreDamaged(f"{found.damage()}, but what the run was is lost with run.json; use another copy of it")
    database = folder / DATABASE
    with explained(database):
        aside = _put_aside(database) if database.exists() else found.source
        kept = f"; the damaged file is kept as {aside.name}" if aside.exists() else ""
        entry = _entry("repaired", f"{found.damage()}{kept}")
        schema.build(database, meta=found.meta, members=found.members, log=[*found.log, entry], table=found.table)
    return entry.text


def _put_aside(database: Path) -> Path:
    aside = put_aside_path(database.parent, last_put_aside(database.parent) + 1)
    database.with_name(database.name + "-shm").unlink(missing_ok=True)
    log = database.with_name(database.name + "-wal")
    if log.exists():
        log.replace(aside.with_name(aside.name + "-wal"))
    return database.replace(aside)


def _entry(kind: str, text: str) -> LogEntry:
    return LogEntry(datetime.now(UTC).isoformat(timespec="seconds"), kind, text)


def _as_stored(value: Any) -> Any:
    return json.loads(to_json(value, "meta"))


def _difference(name: str, there: Any, asked: Any) -> str | None:
    """The first place where two JSON values differ, as text; None when they are equal."""
    if isinstance(there, dict) and isinstance(asked, dict):
        for key in dict.fromkeys([*asked, *there]):
            difference = _difference(f"{name}.{key}", there.get(key), asked.get(key))
            if difference:
                return difference
        return None
    return None if there == asked else f"{name} is {there!r} there, {asked!r} was asked for"
