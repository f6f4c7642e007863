"""The records a run keeps besides its observations, and their JSON."""

import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import StoreError

STATUSES = ("waiting", "running", "finished", "stopped", "diverged")
RESERVED = ("member", "step", "crc", "seed", "status")  # columns, dimensions and coordinates of every run


@dataclass(frozen=True)
class MemberRecord:
    """One training run of a folder: which experiment, which seed, how far it is.

    Attributes:
        member: its number in the folder, 0 or more; unique.
        seed: its seed.
        varied: the fields that differ between members, by dotted name; JSON values.
        experiment: the fully resolved experiment; JSON.
        batch: the number of the batch in which it is trained.
        status: one of waiting, running, finished, stopped, diverged.
        step: the last step it has reached.
        origin: of a branch, the number of the member of the parent's folder that it began as.
    """

    member: int
    seed: int
    varied: dict[str, Any]
    experiment: dict[str, Any]
    batch: int = 0
    status: str = "waiting"
    step: int = 0
    origin: int | None = None


class LogEntry(NamedTuple):
    """Something that happened to the run: UTC time (ISO 8601), a kind such as `resumed`, and a text."""

    time: str
    kind: str
    text: str


def to_json(value: Any, what: str) -> str:
    """`value` as compact JSON, keys in their order; NaN and infinities as Python writes them."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{what} cannot be stored as JSON: {error}") from error


def _plain(value: Any) -> Any:
    """NumPy scalars and arrays, paths and enumerations, as `json` asks for them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON type")


def member_json(record: MemberRecord) -> str:
    """The whole record as JSON."""
    return to_json(vars(record), f"member {record.member}")


def member_from_json(text: str) -> MemberRecord:
    """The record that `member_json` wrote."""
    return MemberRecord(**json.loads(text))


def checked_members(members: Iterable[MemberRecord], taken: Iterable[int] = ()) -> list[MemberRecord]:
    """The members as they will be read back, or a `StoreError` that names the first one that cannot be kept."""
    seen, result = set(taken), []
    for record in members:
        if record.status not in STATUSES:
            raise StoreError(f"member {record.member}: status {record.status!r} is none of {', '.join(STATUSES)}")
        if record.member in seen or record.member < 0:
            raise StoreError(f"member {record.member}: numbers must be unique and not negative")
        clash = set(record.varied) & set(RESERVED)
        if clash:
            raise StoreError(f"member {record.member}: varied field {min(clash)!r} has a reserved name")
        seen.add(record.member)
        result.append(member_from_json(member_json(record)))
    return result


def check_measure_names(names: Sequence[str], columns: Sequence[str], varied: Iterable[str]) -> None:
    """Refuse measure names that cannot be a column beside `columns`, or a variable beside the `varied` fields."""
    folded = {_ascii_lower(column): column for column in columns}
    forbidden = {*RESERVED, *varied}
    for name in names:
        if not isinstance(name, str) or not name or '"' in name or not name.isprintable():
            raise StoreError(f"measure name {name!r} must be printable, not empty and without double quotes")
        if _ascii_lower(name) in RESERVED or name in forbidden:
            raise StoreError(f"measure name {name!r} is taken by a coordinate; choose another")
        other = folded.setdefault(_ascii_lower(name), name)
        if other != name:
            raise StoreError(f"measure names {other!r} and {name!r} differ only in case; SQLite needs them distinct")


def _ascii_lower(name: str) -> str:
    """Lower case for A-Z only: the comparison that SQLite makes between column names."""
    return re.sub("[A-Z]", lambda letter: letter.group().lower(), name)


def text_crc(*parts: str) -> int:
    """CRC-32 over texts, each followed by a zero byte."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part.encode() + b"\0", crc)
    return crc
