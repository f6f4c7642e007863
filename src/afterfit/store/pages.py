"""Read the rows of a damaged database straight from its pages, past whatever no longer leads to them.

A table WITHOUT ROWID is a tree of index pages. Every page that still looks like one is read on its own, from the file
and from the frames of its write-ahead log, so that a lost root, a zeroed neighbour or a cut end costs only its rows.
Nothing here decides what is good: that is what the checksum of a row is for.

Source: the SQLite database file format (sqlite.org/fileformat2.html), sections 1.6, 2.1 and 4.
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .schema import PAGE_SIZE

_INTERIOR_INDEX, _LEAF_INDEX = 2, 10
_INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_FRAME_HEADER, _LOG_HEADER = 24, 32


@dataclass(frozen=True)
class LogFrames:
    """The frames of a write-ahead log that belong to its present generation.

    Attributes:
        pages: (page number, page) in the order of writing, intact or not.
        lost: whether a commit lies beyond the first frame whose checksum fails, where SQLite stops reading.
    """

    pages: tuple[tuple[int, bytes], ...] = ()
    lost: bool = False


def log_frames(log: bytes) -> LogFrames:
    """Split a write-ahead log into its frames."""
    if not log:
        return LogFrames()
    if len(log) < _LOG_HEADER:
        return LogFrames(lost=False)
    magic, _, page_size, _, *salt = struct.unpack(">6I", log[:24])
    order = "<" if magic == 0x377F0682 else ">"
    state = _checksum(log[:24], order, (0, 0))
    intact = magic in (0x377F0682, 0x377F0683) and state == struct.unpack(">2I", log[24:32])
    if not intact:  # nothing can be trusted but the usual page size; any salt goes
        page_size, salt = PAGE_SIZE, None
    pages, lost = [], False
    for at in range(_LOG_HEADER, len(log) - _FRAME_HEADER - page_size + 1, _FRAME_HEADER + page_size):
        number, commit, *rest = struct.unpack(">6I", log[at : at + _FRAME_HEADER])
        page = log[at + _FRAME_HEADER : at + _FRAME_HEADER + page_size]
        if salt is not None and rest[:2] != salt:
            intact = False
            continue
        if intact:
            state = _checksum(page, order, _checksum(log[at : at + 8], order, state))
            intact = state == tuple(rest[2:])
        lost |= commit > 0 and not intact
        pages.append((number, page))
    return LogFrames(tuple(pages), lost)


def _checksum(data: bytes, order: str, state: tuple[int, int]) -> tuple[int, int]:
    """The running checksum of a write-ahead log (file format, section 4.2)."""
    first, second = state
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def raw_rows(database: bytes, frames: Iterable[tuple[int, bytes]], measures: int) -> Iterator[list]:
    """Everything in the pages that may be a row of observations: [member, step, crc, *values], None for NULL.

    Args:
        database: the bytes of the database file; may be empty.
        frames: (page number, page) of its write-ahead log, oldest first.
        measures: how many measure columns there are; rows written when there were fewer are filled with None.
    """
    size = _page_size(database)
    pages = [(at // size + 1, database[at : at + size]) for at in range(0, len(database), size)]
    pages += frames
    newest = dict(pages)
    layouts: dict[bytes, list[int] | None] = {}
    for number, page in pages:
        for record in _records(page, number, newest):
            row = _decoded(record, layouts)
            if row is not None and 3 <= len(row) <= 3 + measures:
                yield row + [None] * (3 + measures - len(row))


def _page_size(database: bytes) -> int:
    size = int.from_bytes(database[16:18], "big")
    size = 65536 if size == 1 else size
    return size if size >= 512 and size & (size - 1) == 0 else PAGE_SIZE


def _records(page: bytes, number: int, newest: dict[int, bytes]) -> Iterator[bytes]:
    """The records of one index page; nothing when it does not look like one."""
    start = 100 if number == 1 else 0  # the first page begins with the header of the file
    if len(page) < start + 12 or page[start] not in (_INTERIOR_INDEX, _LEAF_INDEX):
        return
    interior = page[start] == _INTERIOR_INDEX
    first = start + (12 if interior else 8)
    cells = min(int.from_bytes(page[start + 3 : start + 5], "big"), (len(page) - first) // 2)
    for (at,) in struct.iter_unpack(">H", page[first : first + 2 * cells]):
        try:
            yield _record(page, at + (4 if interior else 0), newest)
        except (IndexError, KeyError, ValueError):  # this cell is damaged, the next may not be
            continue


def _record(page: bytes, at: int, newest: dict[int, bytes]) -> bytes:
    """The record of the cell at `at`, with the part of it that spilled into overflow pages (section 1.6)."""
    length, at = _varint(page, at)
    usable = len(page)
    most, least = (usable - 12) * 64 // 255 - 23, (usable - 12) * 32 // 255 - 23
    if length <= most:
        return page[at : at + length]
    local = least + (length - least) % (usable - 4)
    local = local if local <= most else least
    parts, have = [page[at : at + local]], local
    following = int.from_bytes(page[at + local : at + local + 4], "big")
    while have < length:
        spilled = newest[following][4 : 4 + length - have]
        if not spilled:
            raise ValueError("an overflow page is cut")
        parts.append(spilled)
        have += len(spilled)
        following = int.from_bytes(newest[following][:4], "big")
    return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer of at most 8 bytes (all that lengths and types need), and where it ends."""
    value = 0
    for i in range(at, at + 8):
        value = value << 7 | data[i] & 0x7F
        if data[i] < 0x80:
            return value, i + 1
    raise ValueError("not a length")


def _decoded(record: bytes, layouts: dict[bytes, list[int] | None]) -> list | None:
    """The values of a record of numbers and NULLs; None when it holds anything else or is cut."""
    try:
        length, at = _varint(record, 0)
        header = record[:length]
        if header not in layouts:
            layouts[header] = _types(header, at)
        kinds = layouts[header]
        return None if kinds is None else list(_values(record, length, kinds))
    except (IndexError, ValueError, struct.error):
        return None


def _types(header: bytes, at: int) -> list[int] | None:
    kinds = []
    while at < len(header):
        kind, at = _varint(header, at)
        kinds.append(kind)
    return kinds if all(kind <= 9 for kind in kinds) else None


def _values(record: bytes, at: int, kinds: list[int]) -> Iterator[int | float | None]:
    for kind in kinds:
        if kind == 7:
            yield struct.unpack_from(">d", record, at)[0]
            at += 8
        elif kind in _INTEGER_SIZES:
            yield int.from_bytes(record[at : at + _INTEGER_SIZES[kind]], "big", signed=True)
            at += _INTEGER_SIZES[kind]
        else:
            yield {0: None, 8: 0, 9: 1}[kind]
