"""`run.json`: a small second copy of what a run is, from which a damaged database is rebuilt."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import StoreDamaged, explained
from .files import written_whole
from .records import MemberRecord, text_crc, to_json

NAME = "run.json"


@dataclass(frozen=True)
class Manifest:
    """What `run.json` keeps: meta, the members as they were when added, and the measure columns in their order."""

    meta: dict[str, Any]
    members: list[MemberRecord]
    measures: tuple[str, ...]


def write(folder: Path, meta: Mapping[str, Any], members: Sequence[MemberRecord], measures: Sequence[str]) -> None:
    """Write `run.json` by write-then-rename, with a CRC-32 of its content."""
    content = {"meta": meta, "members": [asdict(record) for record in members], "measures": list(measures)}
    text = to_json(content, NAME)
    with explained(folder / NAME), written_whole(folder / NAME) as partial:
        partial.write_text(f'{{"crc":{text_crc(text)},\n"run":{text}}}\n', encoding="utf-8")


def load(folder: Path) -> Manifest | None:
    """The manifest, None when there is none; `StoreDamaged` when its checksum does not hold."""
    path = folder / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        intact = found["crc"] == text_crc(to_json(found["run"], NAME))
    except FileNotFoundError:
        return None
    except OSError:
        with explained(path):
            raise
    except (ValueError, KeyError, TypeError):
        intact, found = False, {}
    if not intact:
        raise StoreDamaged(f"{path} is damaged: its checksum does not hold")
    run = found["run"]
    members = [MemberRecord(**record) for record in run["members"]]
    return Manifest(run["meta"], members, tuple(run["measures"]))
