"""Workers of a Ray cluster: one actor a core, one a GPU. The driver's side; Ray places them and tells of their end.

What goes over the line is JSON as bytes, so nothing of a node's is unpickled here but bytes, by Ray itself.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, cast

from afterfit.engine.actor import Actor
from afterfit.engine.cluster import Cluster, reason_of
from afterfit.engine.hiring import Far, Gone
from afterfit.engine.machine import versions
from afterfit.engine.members import CPU_BATCH, Batch
from afterfit.engine.messages import Message, encoded
from afterfit.engine.places import Place
from afterfit.parts import require

LOOK_SECONDS = 2.0  # how often the cluster is asked for room

Kind = Literal["core", "gpu"]


class RayWorker:
    """An actor as the driver sees it.

    Args:
        kind: whether it was given a core or a GPU.
        actor: Ray's handle.
    """

    def __init__(self, kind: Kind, actor: Any):
        self.kind: Kind = kind
        self.actor = actor
        self.stream = actor.tell.options(num_returns="streaming").remote()
        self.node: Message | None = None  # what it has said of itself
        self.error: Exception | None = None

    def send(self, kind: str, **content: Any) -> None:
        """Send a message; whether it arrives, the stream of answers tells."""
        self.actor.hear.remote(encoded(kind, content))

    def messages(self) -> Iterator[Message]:
        """All that it says, until it is gone."""
        import ray
        from ray.exceptions import RayError

        try:
            for reference in self.stream:
                yield json.loads(ray.get(reference))
        except RayError as error:
            self.error = error

    def gone(self) -> Gone:
        """Why it is no more: with its node, by Ray's hand or its own."""
        from ray import exceptions

        where, error = (f" on {self.node['name']}" if self.node else ""), self.error
        if error is None:
            return Gone("error", f"{where.lstrip()} ended".lstrip())
        if isinstance(error, exceptions.ActorUnavailableError) or self._node_is_dead() or _preempted(error):
            return Gone("lost", f"was lost with its node{where[3:] and ' ' + where[4:]}")
        if isinstance(error, exceptions.OutOfMemoryError) or "OUT_OF_MEMORY" in str(error):
            return Gone("memory", f"was killed for want of memory{where}")
        if isinstance(error, exceptions.RayTaskError) or getattr(error, "actor_init_failed", False):
            return Gone("error", f"could not begin{where}: {reason_of(error)}")
        return Gone("killed", f"died{where}, perhaps for want of memory: {reason_of(error)}")

    def _node_is_dead(self) -> bool:
        import ray

        return self.node is not None and not any(
            node["Alive"] and node["NodeID"] == self.node["node"] for node in ray.nodes()
        )


def _preempted(error: Exception) -> bool:
    return bool(getattr(error, "preempted", False)) or "node has died" in str(error)


class RayWorkers:
    """Hires actors where the cluster has room, and keeps one asked for beyond that while batches wait.

    That one begins as soon as a node joins or a core is free; to an autoscaler it is the demand that it answers.

    Args:
        cluster: the cluster.
        place: where workers write; every node must see it.
        count: workers at the same time at most; as many as there is room for by default.
        batch_size: members of a batch for a core at most, if the user said so.
    """

    look_seconds = LOOK_SECONDS

    def __init__(self, cluster: Cluster, place: Place, count: int | None = None, batch_size: int | None = None):
        self.cluster, self.place, self.count, self.for_cores = cluster, place, count, max(CPU_BATCH, batch_size or 0)
        self.mark = f".seen-{secrets.token_hex(8)}"
        self.has_gpus = False
        self.openings: list[Kind] = []
        self.looked_at = -LOOK_SECONDS
        self.told: set[str] = set()  # of these nodes the user knows already

    @contextmanager
    def open(self) -> Iterator[None]:
        """The time in which the place carries a mark that every node sees; refuses the first that does not."""
        self.place.write(self.mark, b"seen")
        try:
            for node in self.cluster.nodes(self.place, self.mark):
                right = (
                    f"node {node.name} does not see it: --checkpoints needs a folder that all machines share, or an "
                    "address such as s3://bucket/folder"
                )
                require(node.about["sees"], "checkpoints", self.place.address, right)
            yield
        finally:
            with suppress(OSError):
                self.place.remove(self.mark)

    def hire(self, lines: Sequence[Far], waiting: Sequence[Batch]) -> Far | None:
        """Start an actor where there is room for one, or ask for the one that is to come."""
        workers = [cast(RayWorker, line) for line in lines]
        if self.count is not None and len(workers) >= self.count:
            return None
        if time.monotonic() - self.looked_at >= LOOK_SECONDS:
            self._look(workers)
        pending = [worker for worker in workers if worker.node is None]
        needed: list[Kind] = [kind for kind in self.openings if any(self._is_for(kind, batch) for batch in waiting)]
        if not needed and (pending or not waiting):
            return None
        kind: Kind = needed[0] if needed else self._kind_of(waiting[0])
        if kind in self.openings:
            self.openings.remove(kind)
        return self._started(kind)

    def _look(self, workers: Sequence[RayWorker]) -> None:
        """See what room there is that nobody has been started for."""
        import ray

        self.looked_at = time.monotonic()
        free, all_there_is = ray.available_resources(), ray.cluster_resources()
        self.has_gpus = all_there_is.get("GPU", 0) >= 1
        openings: list[Kind] = []
        resources: dict[Kind, str] = {"gpu": "GPU", "core": "CPU"}
        for kind, resource in resources.items():
            pending = sum(worker.node is None and worker.kind == kind for worker in workers)
            openings.extend(kind for _ in range(int(free.get(resource, 0)) - pending))
        self.openings = openings

    def _kind_of(self, batch: Batch) -> Kind:
        return "gpu" if self.has_gpus and len(batch.members) > self.for_cores else "core"

    def _is_for(self, kind: Kind, batch: Batch) -> bool:
        return kind == "gpu" or self._kind_of(batch) == "core"

    def _started(self, kind: Kind) -> RayWorker:
        import ray

        # A GPU's worker asks for no core, so that those of the cores cannot keep it from its GPU.
        needs: dict[str, Any] = {"num_cpus": 1} if kind == "core" else {"num_cpus": 0, "num_gpus": 1}
        actor: Any = ray.remote(Actor).options(max_concurrency=3, max_restarts=0, **needs)
        return RayWorker(kind, actor.remote(_driver_environment(kind), self.place.address, self.mark))

    def is_ready(self, line: Far) -> bool:
        """Whether it has said hello from a node that sees the place."""
        node = cast(RayWorker, line).node
        return node is not None and node["sees"]

    def suits(self, line: Far, batch: Batch) -> bool:
        """Whether a batch is for a core, or this is a GPU."""
        return self._is_for(cast(RayWorker, line).kind, batch)

    def welcome(self, line: Far, hello: Message) -> str | None:
        """Take in where a worker is; gives what is to be known of a node that was not known before."""
        cast(RayWorker, line).node = hello
        if hello["node"] in self.told:
            return None
        self.told.add(hello["node"])
        if not hello["sees"]:
            return f"node {hello['name']} does not see {self.place.address}: it gets no work"
        here, there = versions(), hello["versions"]
        other = [f"{name} {there.get(name)} (here {here[name]})" for name in here if there.get(name) != here[name]]
        differs = f" with {', '.join(other)}: results are equal to rounding, not to the last bit" if other else ""
        return f"node {hello['name']} trains{differs}"

    def dismiss(self, lines: Sequence[Far]) -> None:
        """End actors, whatever they do."""
        import ray

        for line in lines:
            ray.kill(cast(RayWorker, line).actor, no_restart=True)


def _driver_environment(kind: Kind) -> dict[str, str]:
    """What a worker is to know of the driver's: flags of JAX, but not where it runs; and where modules are found."""
    own = {"JAX_PLATFORMS", "JAX_COMPILATION_CACHE_DIR"}
    given = {name: value for name, value in os.environ.items() if name.startswith("JAX_") or name == "XLA_FLAGS"}
    shared = {name: value for name, value in given.items() if name not in own}
    shared["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    return shared | ({"JAX_PLATFORMS": "cpu"} if kind == "core" else {})
