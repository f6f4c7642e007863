"""Runs on disk: one SQLite file a run folder, one row a member and step, one column a measure.

>>> import tempfile, afterfit.store as store
>>> folder = tempfile.mkdtemp() + "/first"
>>> members = [store.MemberRecord(member=0, seed=7, varied={"optimizer.weight_decay": 1.0}, experiment={})]
>>> with store.RunStore.create(folder, meta={"command": "doctest"}, members=members) as run:
...     run.append([(0, 100, {"train/loss": 0.5}), (0, 200, {"train/loss": 0.25})])
>>> store.read(folder).observations["train/loss"].values
array([[0.5 , 0.25]])
"""

from .errors import (
    DamageWarning,
    FolderInUse,
    FolderMismatch,
    NotARun,
    StoreDamaged,
    StoreError,
    StoreFull,
)
from .export import FORMATS, export
from .reader import Contents, read
from .records import LogEntry, MemberRecord
from .survey import is_run
from .table import Table
from .writer import RunStore

__all__ = [
    "FORMATS",
    "Contents",
    "DamageWarning",
    "FolderInUse",
    "FolderMismatch",
    "LogEntry",
    "MemberRecord",
    "NotARun",
    "RunStore",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "Table",
    "export",
    "is_run",
    "read",
]
