"""`run`: from a request to a folder of results, or on from where the folder stands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from afterfit.engine.batch import CHECKPOINT_SECONDS
from afterfit.engine.checkpoints import Parameters, snapshots
from afterfit.engine.members import Batch, Member
from afterfit.engine.messages import Row
from afterfit.lab.environment import describe
from afterfit.lab.how import RETRIES, Hands, How, hands
from afterfit.lab.keeper import Keeper, stopping
from afterfit.lab.progress import Progress, Silent
from afterfit.lab.request import Request, Seeds, resolve
from afterfit.lab.runs import Runs, open_runs
from afterfit.lab.tally import ENDED
from afterfit.parts import require
from afterfit.spec import Experiment
from afterfit.spec.written import to_dict
from afterfit.store import FolderMismatch, MemberRecord, RunStore, is_run, read
from afterfit.store.errors import from_os


class Interrupted(KeyboardInterrupt):
    """Stopped on request; everything up to here is kept, and the same call goes on from it."""


def run(
    what: str | Path | Experiment,
    *,
    seeds: Seeds | None = None,
    vary: Mapping[str, Iterable[Any]] | None = None,
    changes: Mapping[str, Any] | None = None,
    steps: int | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    batch_size: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress | None = None,
    cluster: str | None = None,
    checkpoints: str | Path | None = None,
    retries: int = RETRIES,
) -> Runs:
    """Train every combination of seeds and varied values, observe it, and keep all in a folder.

    The same call again goes on from where the folder stands; with more seeds or more values it trains what is new.

    Args:
        what: a preset's name, a TOML file, or an `Experiment`.
        seeds: how many (0, 1, …), which ("42-46", "1,5" or a list); the preset's own by default.
        vary: values by dotted field, such as {"optimizer.weight_decay": [0.3, 1.0]}.
        changes: values by dotted field, for all members.
        steps: optimiser steps at most, in place of the experiment's.
        out: the folder; runs/<name> by default.
        workers: processes that train at the same time: one a core by default, one for an accelerator; 0 trains here.
            With a cluster, actors at the same time at most: all that it has room for by default.
        batch_size: members that train together in one program at most; chosen by the machine's memory by default.
        checkpoint_seconds: time between checkpoints, so the most that a kill can cost.
        progress: told of everything that happens; silent by default.
        cluster: a Ray cluster that trains, in place of this machine: "auto" or HOST:PORT. See docs/cluster.md.
        checkpoints: where workers write checkpoints: a folder that all of them see, or an address that fsspec knows,
            such as "s3://bucket/folder"; by default the run's folder, which all of them must see.
        retries: how often a batch that fails for a reason of its own is tried again.

    Raises:
        SpecError: the request makes no sense; one line, before any work.
        WorkerFailed: a batch could not be trained; all others are through, and kept.
        StoreError: the folder cannot be used; one line.
        Interrupted: Ctrl-C or SIGTERM; everything is kept.
    """
    changes = dict(changes or {}) | ({} if steps is None else {"steps": steps})
    request = resolve(what, seeds=seeds, vary=vary, changes=changes)
    folder = Path(out) if out is not None else Path("runs") / request.name
    how = How(workers, batch_size, checkpoint_seconds, progress or Silent(), cluster, checkpoints, retries)
    return carry_out(request, request.members(), folder, how)


def carry_out(
    request: Request,
    asked: list[tuple[Member, dict[str, Any]]],
    folder: Path,
    how: How,
    prepare: Callable[[RunStore, Hands], None] = lambda store, those: None,
) -> Runs:
    """Train the members that are asked for, as far as the folder does not hold them.

    Args:
        request: what they share.
        asked: the members and their varied values.
        folder: where results go.
        how: how they are trained.
        prepare: called with the open store and those who train before anything is trained.
    """
    with hands(how, len(asked)) as those:
        if those.count != 0:
            _require_importable(to_dict(request.experiment))
        with _opened(folder, request, asked, those) as store:
            with _full_disks_explained(folder):
                prepare(store, those)
            _train(store, _unfinished(store, asked, folder), those)
    return open_runs(folder)


def _require_importable(written: Mapping[str, Any]) -> None:
    """Refuse parts that no other process could import."""
    kind = written["kind"]
    right = "cannot be imported by a worker process: define it in a module of its own, or train here with workers=0"
    require(not kind.startswith("__main__:") and "<locals>" not in kind, "kind", kind, right)
    for value in written.values():
        for item in value if isinstance(value, list) else (value,):
            if isinstance(item, dict):
                _require_importable(item)


def _opened(folder: Path, request: Request, asked: list[tuple[Member, dict[str, Any]]], those: Hands) -> RunStore:
    """The folder's store: new, or as it stands, with members added that were not asked for before."""
    if not is_run(folder):
        records = _records([member for member, _ in asked], dict(_varied(asked)), those)
        return RunStore.create(folder, meta=request.meta() | describe(), members=records)
    store = RunStore.resume(folder)
    try:
        _extend(store, request, asked, those)
    except BaseException:
        store.close()
        raise
    return store


def _varied(asked: list[tuple[Member, dict[str, Any]]]) -> Iterator[tuple[int, dict[str, Any]]]:
    return ((member.number, varied) for member, varied in asked)


def _records(
    members: Sequence[Member], varied: Mapping[int, dict[str, Any]], those: Hands, first: int = 0
) -> list[MemberRecord]:
    return [
        MemberRecord(
            m.number, m.seed, varied[m.number], to_dict(m.experiment), batch.number, origin=m.origin and m.origin.member
        )
        for batch in those.plan(members, first)
        for m in batch.members
    ]


def _extend(store: RunStore, request: Request, asked: list[tuple[Member, dict[str, Any]]], those: Hands) -> None:
    """Add what is asked for beyond the folder's members; refuse a request that leaves one of them out."""
    meta = request.meta()
    store.require({"experiment": meta["experiment"], "branch": meta.get("branch")})
    if list(meta["vary"]) != list(store.meta["vary"]):
        store.require({"vary": meta["vary"]})
    wanted = {_identity(m.seed, varied): m for m, varied in asked}
    known = {_identity(r.seed, r.varied) for r in store.members}
    if known - wanted.keys():
        store.require({"seeds": meta["seeds"], "vary": meta["vary"]})
        raise FolderMismatch(f"{store.folder} holds members that were not asked for; choose another folder")
    new = [(m, varied) for m, varied in asked if _identity(m.seed, varied) not in known]
    if new:
        numbered = [(replace(m, number=number), varied) for number, (m, varied) in enumerate(new, len(store.members))]
        records = _records([m for m, _ in numbered], dict(_varied(numbered)), those, free_number(store.members))
        store.add_members(records, meta={"seeds": meta["seeds"], "vary": meta["vary"]})
        store.log("extended", f"{len(new)} members added")


def _identity(seed: int, varied: Mapping[str, Any]) -> tuple[int, str]:
    return seed, repr(sorted(varied.items()))


def _unfinished(store: RunStore, asked: list[tuple[Member, dict[str, Any]]], folder: Path) -> list[Batch]:
    """The batches in which somebody still has to train, as they were planned when they were new."""
    wanted = {_identity(m.seed, varied): m for m, varied in asked}
    by_batch: dict[int, list[MemberRecord]] = {}
    for record in store.members:
        by_batch.setdefault(record.batch, []).append(record)

    def as_member(record: MemberRecord) -> Member:
        return replace(wanted[_identity(record.seed, record.varied)], number=record.member)

    def has_ended(record: MemberRecord) -> bool:
        if record.status not in ENDED or not Parameters(folder).is_intact(record.member):
            return False
        member = as_member(record)
        for step in member.experiment.snapshot_steps():
            due = (member.origin.step if member.origin else -1) < step <= record.step
            if due and not snapshots(folder, step).is_intact(record.member):
                return False
        expected = member.experiment.observed_steps(record.step)
        return set(expected) <= set(map(int, store.steps(record.member)))

    return [
        Batch(number, tuple(map(as_member, sorted(records, key=lambda r: r.member))))
        for number, records in sorted(by_batch.items())
        if not all(map(has_ended, records))
    ]


def free_number(members: Sequence[MemberRecord]) -> int:
    """The first number that no batch has had."""
    return 1 + max(record.batch for record in members)


def _train(store: RunStore, batches: list[Batch], those: Hands) -> None:
    """Train the batches, keep what comes, and say how it goes."""
    folder, progress = store.folder, those.how.progress
    crew = those.crew(store, folder, free_number(store.members))
    stored = {member.number: store.steps(member.number).tolist() for batch in batches for member in batch.members}
    keeper = Keeper(store, progress)
    with progress.over(store.members, batches, folder, _past(folder, stored)):
        if store.repaired:
            progress.message({"kind": "note", "about": "repaired", "text": store.repaired})
        if batches and (changed := changed_versions(store.meta["versions"])):
            keeper.keep({"kind": "note", "about": "versions", "text": changed})
        with stopping(crew.stop) as is_asked, keeper, _full_disks_explained(folder):
            complete = not batches or crew.train(batches, stored, keeper.keep)
            store.set_events(_events(open_runs(folder)))
    if not complete or is_asked():  # of all that was to come after this, nothing shall begin
        store.log("interrupted", "stopped on request")
        raise Interrupted(f"stopped; everything is kept in {folder}")


def _events(runs: Runs) -> Iterator[tuple[int, str, int | None, int | None]]:
    """Every member's declared events, as the store keeps them; none before the first observation of a run."""
    if not runs.observations.data_vars:
        return
    names, table = list(runs.rules), runs.events().astype(object)
    for row in table.where(table.notna(), None).reset_index().to_dict("records"):
        for name in names:
            yield row["member"], name, row[name], row[f"{name}_after"]


@contextmanager
def _full_disks_explained(folder: Path) -> Iterator[None]:
    """Tell a checkpoint that could not be written as the store tells a row that could not."""
    try:
        yield
    except OSError as error:
        raise from_os(error, Path(error.filename or folder)) from error


def changed_versions(before: Mapping[str, str]) -> str | None:
    """What is not of the version with which the folder was begun, in one line."""
    now = describe()["versions"]
    changed = [f"{name} {before.get(name)} → {now.get(name)}" for name in now if before.get(name) != now.get(name)]
    return f"goes on with {', '.join(changed)}: results are equal to rounding, not to the last bit" if changed else None


def _past(folder: Path, stored: Mapping[int, Sequence[int]]) -> list[Row]:
    """The rows that are kept already of members that still train."""
    if not any(len(steps) for steps in stored.values()):
        return []
    table = read(folder).table
    rows = zip(table.member.tolist(), table.step.tolist(), table.values.tolist(), strict=True)
    return [
        (number, step, dict(zip(table.measures, row, strict=True))) for number, step, row in rows if number in stored
    ]
