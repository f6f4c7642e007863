"""Read a run folder: any number of processes, also while another one writes."""

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import DamageWarning, StoreDamaged
from .records import LogEntry, MemberRecord
from .survey import survey
from .table import Table

if TYPE_CHECKING:
    import pandas
    import xarray


@dataclass(frozen=True, eq=False)
class Contents:
    """What a run folder held at the moment of reading.

    Attributes:
        folder: where it was read.
        meta: what was said about the run when it was made; JSON by key.
        members: in the order of their numbers.
        log: what happened to the run, oldest first.
        table: the observations as plain arrays, one row a member and step.
    """

    folder: Path
    meta: dict[str, Any]
    members: list[MemberRecord]
    log: list[LogEntry]
    table: Table

    @cached_property
    def observations(self) -> "xarray.Dataset":
        """One variable a measure, dims (member, step); NaN where a member has no row at a step.

        `step` is the union of the steps of all members. Coordinates on `member`: `seed`, `status` and every varied
        field. `attrs` holds meta, as JSON where it is not text.
        """
        from .labelled import dataset

        return dataset(self)

    @cached_property
    def rows(self) -> "pandas.DataFrame":
        """One row an observation: member, seed, varied fields, status, step, then one column a measure."""
        from .labelled import frame

        return frame(self)


def read(folder: str | PathLike[str], *, damaged: Literal["raise", "warn"] = "raise") -> Contents:
    """Read a run folder; nothing in it is changed.

    Args:
        folder: the run folder.
        damaged: "raise" refuses a damaged run and says how to repair it; "warn" gives every row whose checksum holds,
            with a `DamageWarning`.

    Raises:
        NotARun: the folder holds no run.
        StoreDamaged: the run is damaged; with "warn" only where it is lost what the run was.
        StoreError: the folder cannot be read.
    """
    folder = Path(folder)
    found = survey(folder)
    if found.meta is None or found.members is None:
        raise StoreDamaged(f"{found.damage()}, but what the run was is lost with run.json; use another copy of it")
    if found.faults:
        advice = "start the same run again to repair it and to train what is lost"
        if damaged == "raise":
            raise StoreDamaged(f'{found.damage()}; {advice}, or read the good rows with damaged="warn"')
        warnings.warn(f"{found.damage()}; {advice}", DamageWarning, stacklevel=2)
    return Contents(folder, found.meta, found.members, found.log, found.table)


def attributes(meta: dict[str, Any]) -> dict[str, str]:
    """Meta as attributes of a data set: text as it is, anything else as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in meta.items()}
