"""A Ray cluster: how it is connected to, and what its nodes say of themselves."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from afterfit.engine.actor import about_here
from afterfit.engine.places import Place
from afterfit.engine.rooms import Room
from afterfit.parts import SpecError, require

REACH_SECONDS = 5.0  # how long an address may take to answer
ANSWER_SECONDS = 120.0  # how long a node may take to start a process and say what it is
HOW_TO_START = "start one with `ray start --head`, and give further machines `ray start --address=HOST:PORT`"


class Node:
    """A machine of the cluster, as it describes itself.

    Args:
        resources: what Ray says that it has.
        about: what it says of itself.
    """

    def __init__(self, resources: Mapping[str, float], about: Mapping[str, Any]):
        self.name, self.about = about["name"], about
        self.cores, self.gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))

    def rooms(self) -> Iterator[Room]:
        """The workers that it has room for."""
        if self.gpus and self.about["accelerator_bytes"]:
            yield Room(self.gpus, self.about["accelerator_bytes"], is_accelerator=True)
        if self.cores:
            yield Room(self.cores, self.about["bytes"] / self.cores)


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """A Ray cluster, from a machine that belongs to it; what a script has connected to already is used and left as is.

    Args:
        address: "auto" for the cluster that this machine belongs to, or HOST:PORT of its head.

    Raises:
        SpecError: there is none, or Ray is not installed.
    """
    # What Ray says of its machines would stand between the lines of the progress: of nodes that are lost, we tell.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
    try:
        import ray
        from ray.exceptions import RayError
    except ImportError as error:
        raise SpecError("cluster", address, "needs Ray: pip install 'afterfit[ray]'") from error
    if ray.is_initialized():
        yield Cluster(address)
        return
    _require_reachable(address)
    with _signals_kept():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
        except (OSError, RuntimeError, ValueError, AssertionError, RayError) as error:
            ray.shutdown()
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise SpecError("cluster", address, f"cannot be used ({reason}): {HOW_TO_START}") from error
    try:
        yield Cluster(address)
    finally:
        with _signals_kept():
            ray.shutdown()


def _require_reachable(address: str) -> None:
    """Refuse at once what Ray would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    well_formed = bool(re.fullmatch(r"[\w.\-]+:\d+", address)) and 0 < int(port) < 65536
    require(well_formed, "cluster", address, "must be auto or HOST:PORT, such as 10.0.0.5:6379")
    try:
        socket.create_connection((host, int(port)), timeout=REACH_SECONDS).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpecError("cluster", address, f"cannot be reached ({reason}): {HOW_TO_START}") from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray sets handlers of its own; how a run answers Ctrl-C is ours."""
    in_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if in_main}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


class Cluster:
    """The cluster that this process is connected to.

    Args:
        address: as it was asked for.
    """

    def __init__(self, address: str):
        self.address = address

    def nodes(self, place: Place | None = None, mark: str = "") -> list[Node]:
        """The machines that can train, each asked what it is, and whether it sees a file at a place.

        Raises:
            SpecError: a node cannot run this library, or does not answer.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        able = [n for n in ray.nodes() if n["Alive"] and (n["Resources"].get("CPU") or n["Resources"].get("GPU"))]
        ask = ray.remote(num_cpus=0)(_described)
        where = place.address if place else ""
        asked = [
            ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                where, mark
            )
            for node in able
        ]
        answers = [self._answer(node, reference) for node, reference in zip(able, asked, strict=True)]
        return [
            Node(node["Resources"], json.loads(answer))
            for node, answer in zip(able, answers, strict=True)
            if answer is not None
        ]

    def _answer(self, node: Mapping[str, Any], reference: Any) -> bytes | None:
        """What a node says; None of one that says nothing, as it has gone meanwhile perhaps."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        try:
            return ray.get(reference, timeout=ANSWER_SECONDS)
        except RayTaskError as error:
            name = f"{node['NodeManagerHostname']} ({node['NodeID'][:6]})"
            raise SpecError("cluster", self.address, f"node {name} cannot train: {reason_of(error)}") from error
        except RayError:
            return None

    def rooms(self) -> list[Room]:
        """The workers that the cluster has room for, those with most memory first; refuses one without any."""
        found: dict[bool, list[Room]] = {}
        for room in (room for node in self.nodes() for room in node.rooms()):
            found.setdefault(room.is_accelerator, []).append(room)
        require(bool(found), "cluster", self.address, f"has no node that can train: {HOW_TO_START}")
        return [
            Room(sum(room.workers for room in found[kind]), min(room.bytes for room in found[kind]), kind)
            for kind in (True, False)
            if kind in found
        ]


def _described(place: str, mark: str) -> bytes:
    return json.dumps(about_here(place, mark)).encode()


def reason_of(error: BaseException) -> str:
    """The line of an error of Ray's that says what happened: of an exception on a node, the exception."""
    lines = [line.strip() for line in re.sub(r"\x1b\[\d+m", "", str(error)).splitlines() if line.strip()]
    remote = type(error).__name__.startswith("RayTaskError") or getattr(error, "actor_init_failed", False)
    if remote:
        return lines[-1]
    said = [line for line in lines if line.startswith("The actor") and "before finishing this task" not in line]
    return (said or lines or [type(error).__name__])[0].removesuffix(".")
