"""How members are trained, whatever they are: here, by processes of this machine, or by a cluster."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from afterfit.engine.crew import Crew
from afterfit.engine.in_process import InProcess
from afterfit.engine.machine import compilation_cache, cores, has_accelerator
from afterfit.engine.members import Batch, Member, plan
from afterfit.engine.places import Place, place_of
from afterfit.engine.workers import LocalWorkers
from afterfit.lab.progress import Progress
from afterfit.parts import SpecError, require
from afterfit.store import RunStore

if TYPE_CHECKING:
    from afterfit.engine.cluster import Cluster
    from afterfit.engine.rooms import Room

RETRIES = 1


class How(NamedTuple):
    """How members are trained, whatever they are; as `run` says."""

    workers: int | None
    batch_size: int | None
    checkpoint_seconds: float
    progress: Progress
    cluster: str | None = None
    checkpoints: str | Path | None = None
    retries: int = RETRIES

    def check(self) -> None:
        """Refuse what makes no sense, in one line."""
        for name, least in (("workers", 0), ("batch_size", 1), ("retries", 0)):
            value = getattr(self, name)
            whole = (value is None and name != "retries") or (type(value) is int and value >= least)
            require(whole, name, value, f"must be a whole number, {least} or more")
        seconds = self.checkpoint_seconds
        require(0 <= seconds < float("inf"), "checkpoint_seconds", seconds, "must be 0 or more")
        apart = self.cluster is not None or self.checkpoints is not None
        right = "trains in this process: --cluster and --checkpoints need workers, 1 or more"
        require(self.workers != 0 or not apart, "workers", self.workers, right)
        if self.checkpoints is not None:
            _require_writable(self.checkpoints)


def _require_writable(checkpoints: str | Path) -> None:
    """Refuse a place that cannot be written, by writing there."""
    place, trial = place_of(checkpoints), f".trial-{secrets.token_hex(8)}-0"
    try:
        place.write(trial, b"")
        place.remove(trial)
    except OSError as error:
        reason = (error.strerror or str(error)).rstrip(".")
        raise SpecError("checkpoints", str(checkpoints), f"cannot be written: {reason}") from error


@dataclass(frozen=True)
class Hands:
    """Who trains.

    Attributes:
        how: as it was asked for.
        count: workers at the same time; 0 trains here, None as many as the cluster has room for.
        cluster: the cluster, if one trains.
        rooms: the workers that it has room for.
    """

    how: How
    count: int | None
    cluster: Cluster | None = None
    rooms: Sequence[Room] = ()

    def plan(self, members: Sequence[Member], first_number: int = 0) -> list[Batch]:
        """Cut members into batches for those who train."""
        if self.cluster is None:
            return plan(members, max(1, self.count or 0), self.how.batch_size, first_number)
        from afterfit.engine.rooms import plan_in

        rooms = [room._replace(workers=min(room.workers, self.count or room.workers)) for room in self.rooms]
        return plan_in(members, rooms, self.how.batch_size, first_number)

    def crew(self, store: RunStore, folder: Path, free_number: int) -> Crew | InProcess:
        """Those who train.

        Args:
            store: the run's.
            folder: where workers write if no other place was asked for: the run's folder, or one in it.
            free_number: from here on numbers belong to no batch.
        """
        seconds = self.how.checkpoint_seconds
        if self.count == 0:
            return InProcess(folder, checkpoint_seconds=seconds)
        place = self._place(store, folder)
        hiring: Any = LocalWorkers(self.count or 1, compilation_cache())
        if self.cluster is not None:
            from afterfit.engine.actors import RayWorkers

            hiring = RayWorkers(self.cluster, place, self.count, self.how.batch_size)
        return Crew(
            hiring, folder, checkpoint_seconds=seconds, where=place, retries=self.how.retries, free_number=free_number
        )

    def _place(self, store: RunStore, folder: Path) -> Place:
        """Where workers write: a folder of the run's own at the address that was asked for, or the run's folder."""
        if self.how.checkpoints is None:
            return place_of(folder)
        inside = folder.absolute().relative_to(store.folder.absolute()).as_posix()
        own = f"{_own_name(store.folder, store.meta)}{'' if inside == '.' else f'/{inside}'}"
        return place_of(f"{str(self.how.checkpoints).rstrip('/')}/{own}")


def _own_name(folder: Path, meta: Mapping[str, Any]) -> str:
    """A name that no other run has, and that this one keeps: of what was written when it was begun."""
    begun = [meta.get(key) for key in ("name", "experiment", "environment", "command", "created")]
    digest = hashlib.sha256(json.dumps([folder.name, *begun], sort_keys=True).encode()).hexdigest()
    return f"{folder.name}-{digest[:12]}"


@contextmanager
def hands(how: How, members: int) -> Iterator[Hands]:
    """Those who are there to train so many members, for as long as they are needed."""
    how.check()
    if how.cluster is None:
        own = 1 if has_accelerator() else min(cores(), members)
        yield Hands(how, own if how.workers is None else how.workers)
        return
    from afterfit.engine.cluster import connected

    with connected(how.cluster) as cluster:
        yield Hands(how, how.workers, cluster, cluster.rooms())
