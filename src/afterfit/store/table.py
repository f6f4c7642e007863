"""Observations as plain arrays, and the checksum that every row carries.

The checksum of a row is CRC-32 over: member and step (int64), the CRC-32 of the names of its measures (sorted, joined
by a zero byte) and their values (float64) in that order; all little-endian. A NaN is kept as an absent value and takes
no part, so a column that is added later leaves the checksum of every older row as it was.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_KEYS = 3  # member, step, crc come before the measures in every stored row
_HEAD = struct.Struct("<qqI")


@dataclass(frozen=True, eq=False)
class Table:
    """Stored rows, sorted by (member, step).

    Attributes:
        measures: the m names.
        member: int64, shape (n,).
        step: int64, shape (n,).
        values: float64, shape (n, m); NaN where a row has no such measure.
    """

    measures: tuple[str, ...]
    member: np.ndarray
    step: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.member)


def row_crc(member: int, step: int, values: Mapping[str, float]) -> int:
    """The checksum of one row; `values` holds no NaN."""
    names = sorted(values)
    floats = struct.pack(f"<{len(names)}d", *(values[name] for name in names))
    return zlib.crc32(_HEAD.pack(member, step, _names_crc(names)) + floats)


def _names_crc(names: Sequence[str]) -> int:
    return zlib.crc32("\0".join(names).encode())


def checked(measures: Sequence[str], rows: Sequence[Sequence]) -> tuple[Table, int]:
    """Split rows `(member, step, crc, *values)` into a table of the good ones and the number of bad ones.

    Rows whose checksum does not hold are bad; of rows with the same key the last good one counts. Cost: O(n m), without
    a Python operation per value.
    """
    block, unreadable = _to_floats(rows, _KEYS + len(measures))
    keys, values = block[:, :_KEYS], block[:, _KEYS:]
    sound = np.all((np.abs(keys) < 2.0**53), axis=1)
    member, step, crc = (np.where(sound, column, 0).astype("<i8") for column in keys.T)
    good = sound & (_crcs(measures, member, step, values) == crc)
    table = _sorted(Table(tuple(measures), member[good], step[good], values[good]))
    return table, unreadable + int(np.sum(~good))


def _to_floats(rows: Sequence[Sequence], width: int) -> tuple[np.ndarray, int]:
    """Rows as float64 of shape (n, width), None as NaN, and how many rows hold something that is no number."""
    if not len(rows):
        return np.empty((0, width)), 0
    try:
        return np.array(rows, dtype=np.float64).reshape(len(rows), width), 0
    except (ValueError, TypeError, OverflowError):
        kept = [row for row in rows if all(value is None or isinstance(value, int | float) for value in row)]
        fits = [row for row in kept if all(not isinstance(value, int) or abs(value) < 2**63 for value in row)]
        if len(fits) == len(rows):
            raise
        return _to_floats(fits, width)[0], len(rows) - len(fits)


def _crcs(measures: Sequence[str], member: np.ndarray, step: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The checksum of every row, shape (n,): rows with the same measures present are packed and hashed together."""
    order = sorted(range(len(measures)), key=lambda i: measures[i])
    ordered = values[:, order]
    present = ~np.isnan(ordered)
    result = np.zeros(len(member), dtype=np.int64)
    if not len(result):
        return result
    patterns, which = _distinct_rows(present)
    by_pattern = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which, minlength=len(patterns)))[:-1])
    for pattern, rows in zip(patterns, by_pattern, strict=True):
        names = [measures[i] for i, there in zip(order, pattern, strict=True) if there]
        packed = np.empty((len(rows), _HEAD.size + 8 * len(names)), dtype=np.uint8)
        packed[:, :8], packed[:, 8:16] = _bytes(member[rows]), _bytes(step[rows])
        packed[:, 16:20] = np.frombuffer(struct.pack("<I", _names_crc(names)), dtype=np.uint8)
        packed[:, 20:] = _bytes(ordered[rows][:, pattern].astype("<f8"))
        result[rows] = [zlib.crc32(row.data) for row in packed]
    return result


def _distinct_rows(present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of a boolean matrix (n, m) and, for every row, which of them it is."""
    if not present.size:
        return present[:1], np.zeros(len(present), dtype=int)
    bits = np.packbits(present, axis=1)
    whole = np.ascontiguousarray(bits).view(f"V{bits.shape[1]}").ravel()
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    return present[first], which


def _bytes(column: np.ndarray) -> np.ndarray:
    """The bytes of 8-byte numbers, shape (n, 8 × columns)."""
    flat = np.ascontiguousarray(column)
    return flat.view(np.uint8).reshape(len(flat), flat.itemsize * (flat.size // max(len(flat), 1)))


def _sorted(table: Table) -> Table:
    """The rows by (member, step), the last of every key."""
    if len(table) < 2:
        return table
    order = np.lexsort((np.arange(len(table)), table.step, table.member))
    member, step = table.member[order], table.step[order]
    last = np.append((np.diff(member) != 0) | (np.diff(step) != 0), True)
    return Table(table.measures, member[last], step[last], table.values[order[last]])


def joined(first: Table, *others: Table) -> Table:
    """The rows of tables with the same measures; the last table counts where several have a row."""
    tables = (first, *others)
    parts = ([getattr(table, part) for table in tables] for part in ("member", "step", "values"))
    return _sorted(Table(first.measures, *map(np.concatenate, parts)))
