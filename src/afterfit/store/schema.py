"""The tables of `runs.sqlite`, and how they are filled and read.

Measure columns are declared without a type: a column declared REAL turns -0.0 into 0.0, one without a type keeps every
float64 bit for bit. SQLite has no NaN: it is stored as NULL, and NULL is read as NaN.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from .errors import StoreError
from .files import sync
from .records import LogEntry, MemberRecord, member_from_json, member_json, text_crc, to_json
from .table import Table, row_crc

PAGE_SIZE = 4096
EventRow = tuple[int, str, int | None, int | None]
_TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT, crc INTEGER);
CREATE TABLE members(member INTEGER PRIMARY KEY, seed INTEGER, batch INTEGER, status TEXT, step INTEGER, record TEXT,
                     crc INTEGER);
CREATE TABLE log(time TEXT, kind TEXT, text TEXT, crc INTEGER);
CREATE TABLE observations(member INTEGER, step INTEGER, crc INTEGER{columns}, PRIMARY KEY(member, step)) WITHOUT ROWID;
"""
# Follows from the observations and the rules in `meta`, and is written anew when a run ends: for readers of SQL.
_EVENTS = """
CREATE TABLE IF NOT EXISTS events(member INTEGER, event TEXT, step INTEGER, after INTEGER, censored INTEGER,
                                  PRIMARY KEY(member, event)) WITHOUT ROWID;
"""


def _quoted(names: Iterable[str]) -> list[str]:
    return [f'"{name}"' for name in names]  # names with a double quote are refused before


def build(
    path: Path,
    *,
    meta: Mapping[str, Any],
    members: Sequence[MemberRecord],
    log: Sequence[LogEntry] = (),
    table: Table | None = None,
) -> None:
    """Write a complete database at `path` by write-then-rename."""
    partial = path.with_name(path.name + ".new")
    remove(partial)
    connection = sqlite3.connect(partial, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size={PAGE_SIZE}")
        connection.execute("BEGIN")
        _fill(connection, meta, members, log, table)
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.close()
        remove(partial)
        raise
    connection.close()
    sync(partial)
    partial.replace(path)
    sync(path.parent)


def _fill(connection, meta, members, log, table: Table | None) -> None:
    measures = table.measures if table else ()
    columns = "".join(f", {name}" for name in _quoted(measures))
    for statement in _TABLES.format(columns=columns).split(";"):
        connection.execute(statement)
    put_meta(connection, meta)
    put_members(connection, members)
    put_log(connection, log)
    if table:
        keys = zip(table.member.tolist(), table.step.tolist(), table.values.tolist(), strict=True)
        rows = ((member, step, dict(zip(measures, values, strict=True))) for member, step, values in keys)
        put_rows(connection, measures, rows)


def altered(connection: sqlite3.Connection) -> list[str]:
    """The tables whose declaration is not the one they were made with; that of observations grows with its columns."""
    known = dict(connection.execute("SELECT name, sql FROM sqlite_schema WHERE type='table'"))
    return [name for name, sql in _declared().items() if name in known and known[name] != sql]


@cache
def _declared() -> dict[str, str]:
    """How tables are declared, as SQLite keeps it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(_TABLES.format(columns="") + _EVENTS)
        kept = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type='table'")
        return {name: sql for name, sql in kept if name != "observations"}


def remove(path: Path) -> None:
    """Delete a database with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def put_meta(connection: sqlite3.Connection, meta: Mapping[str, Any]) -> None:
    """Write entries of `meta`, one row a key."""
    texts = [(key, to_json(value, f"meta {key!r}")) for key, value in meta.items()]
    rows = [(key, text, text_crc(key, text)) for key, text in texts]
    connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", rows)


def put_members(connection: sqlite3.Connection, members: Iterable[MemberRecord]) -> None:
    """Write members whole; their main fields stand in columns of their own for readers of SQL."""
    rows = []
    for each in members:
        text = member_json(each)
        rows.append((each.member, each.seed, each.batch, each.status, each.step, text, text_crc(text)))
    connection.executemany("INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def put_log(connection: sqlite3.Connection, entries: Iterable[LogEntry]) -> None:
    """Add entries to the log."""
    connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?)", ((*entry, text_crc(*entry)) for entry in entries))


def put_events(connection: sqlite3.Connection, events: Iterable[EventRow]) -> None:
    """Replace all events, (member, event, step or None, last observed step before it or None)."""
    connection.execute(_EVENTS)
    connection.execute("DELETE FROM events")
    rows = ((member, event, step, after, step is None) for member, event, step, after in events)
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)


def put_rows(
    connection: sqlite3.Connection, measures: Sequence[str], rows: Iterable[tuple[int, int, Mapping[str, float]]]
) -> None:
    """Write observations; a row with the key of an older one replaces it."""
    names = ["member", "step", "crc", *_quoted(measures)]
    marks = ", ".join("?" * len(names))
    statement = f"INSERT OR REPLACE INTO observations({', '.join(names)}) VALUES ({marks})"
    connection.executemany(statement, (_stored(member, step, values, measures) for member, step, values in rows))


def _stored(member: int, step: int, values: Mapping[str, float], measures: Sequence[str]) -> list:
    floats = {name: _float(name, value) for name, value in values.items()}
    present = {name: value for name, value in floats.items() if value == value}
    return [member, step, row_crc(member, step, present), *map(present.get, measures)]


def _float(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise StoreError(f"measure {name!r} gave {value!r}, which is not one real number") from None


def add_columns(connection: sqlite3.Connection, measures: Sequence[str]) -> None:
    """Add measure columns; older rows read NaN there."""
    for name in _quoted(measures):
        connection.execute(f"ALTER TABLE observations ADD COLUMN {name}")


def get_measures(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The names of the measure columns, in the order of their making."""
    names = [row[1] for row in connection.execute("PRAGMA table_info(observations)")]
    if names[:3] != ["member", "step", "crc"]:
        raise sqlite3.DatabaseError("the table of observations is not there")
    return tuple(names[3:])


def get_meta(connection: sqlite3.Connection) -> dict[str, Any]:
    """All of `meta`; `sqlite3.DatabaseError` when a checksum does not hold."""
    rows = connection.execute("SELECT key, value, crc FROM meta").fetchall()
    _check(all(_intact(row) for row in rows), "meta")
    return {key: json.loads(value) for key, value, _ in rows}


def get_members(connection: sqlite3.Connection) -> list[MemberRecord]:
    """All members in their order; `sqlite3.DatabaseError` when a checksum does not hold."""
    names = ("member", "seed", "batch", "status", "step")
    rows = connection.execute(f"SELECT record, crc, {', '.join(names)} FROM members ORDER BY member").fetchall()
    _check(all(_intact(row[:2]) for row in rows), "members")
    members = [member_from_json(record) for record, *_ in rows]
    _check([tuple(getattr(each, name) for name in names) for each in members] == [row[2:] for row in rows], "members")
    return members


def get_log(connection: sqlite3.Connection) -> list[LogEntry]:
    """The log, oldest first; `sqlite3.DatabaseError` when a checksum does not hold."""
    rows = connection.execute("SELECT time, kind, text, crc FROM log ORDER BY rowid").fetchall()
    _check(all(_intact(row) for row in rows), "the log")
    return [LogEntry(*texts) for *texts, _ in rows]


def _intact(row: Sequence) -> bool:
    *texts, crc = row
    return all(isinstance(text, str) for text in texts) and text_crc(*texts) == crc


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise sqlite3.DatabaseError(f"the checksums of {what} do not hold")
