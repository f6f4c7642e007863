"""`branch`: arms that leave a stored run at a step, with all that came before in common."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from afterfit.engine.batch import CHECKPOINT_SECONDS
from afterfit.engine.checkpoints import Parameters
from afterfit.engine.members import Batch, Member, Origin
from afterfit.engine.messages import Message
from afterfit.lab.how import RETRIES, Hands, How
from afterfit.lab.keeper import stopping
from afterfit.lab.progress import Progress, Silent
from afterfit.lab.request import Request, checked_vary
from afterfit.lab.run import Interrupted, carry_out, changed_versions, free_number
from afterfit.lab.runs import Runs, open_runs
from afterfit.parts import SpecError, require
from afterfit.spec.written import changed, from_dict
from afterfit.store import MemberRecord, RunStore

# What a branch has in common with its parent for ever: else its state, or its rows, would not fit.
SHARED = ("task", "model", "schedule", "measures", "probe", "events")


def branch(
    parent: str | Path | Runs,
    at: int,
    *,
    out: str | Path,
    vary: Mapping[str, Iterable[Any]] | None = None,
    changes: Mapping[str, Any] | None = None,
    workers: int | None = None,
    batch_size: int | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress | None = None,
    cluster: str | None = None,
    checkpoints: str | Path | None = None,
    retries: int = RETRIES,
) -> Runs:
    """Continue every member of a stored run from a step on, each in as many ways as there are values.

    Up to that step a branch *is* its parent, to the last bit: the parent's program is run again to that step, from a
    checkpoint where there is one, and its state there is what the arms begin with, with what its interventions
    remember if the arms have the same kind at the same place. Observations up to it are the parent's. The same call
    again goes on from where the folder stands.

    Args:
        parent: the folder of a run, or the run.
        at: the step after which branches differ. Every member of the parent must have come so far.
        out: the folder of the branches.
        vary: values by dotted field; an arm for each combination, beside what the parent varied.
        changes: values by dotted field, for all arms.
        workers: as for `run`.
        batch_size: as for `run`.
        checkpoint_seconds: as for `run`.
        progress: as for `run`.
        cluster: as for `run`.
        checkpoints: as for `run`.
        retries: as for `run`.

    Raises:
        SpecError: the parent has not come so far, or what is changed must be shared; one line, before any work.
        StoreError: a folder cannot be used; one line.
        Interrupted: Ctrl-C or SIGTERM; everything is kept.
    """
    runs, folder = parent if isinstance(parent, Runs) else open_runs(parent), Path(out)
    require(folder.resolve() != runs.folder.resolve(), "out", str(out), "is the parent's own folder: choose another")
    parents = _parents(runs, at)
    request = _request(runs, at, dict(vary or {}), dict(changes or {}))
    asked = [(_with_origin(member, varied, runs, at), varied) for member, varied in request.members()]
    by_number = {record.member: record for record in parents}
    for member, _ in asked:
        assert member.origin
        _require_continuing(member, by_number[member.origin.member], at)
    how = How(workers, batch_size, checkpoint_seconds, progress or Silent(), cluster, checkpoints, retries)

    def prepare(store: RunStore, those: Hands) -> None:
        _reach(runs, parents, store, at, those)
        _copy_rows(runs, store, at)

    return carry_out(request, asked, folder, how, prepare)


def _parents(runs: Runs, at: int) -> list[MemberRecord]:
    """The parent's members; refuses a step that one of them has not reached."""
    require(isinstance(at, int) and at >= 1, "at", at, "must be a step of the parent, 1 or more")
    first = runs.meta.get("branch", {}).get("at", 1)
    require(at >= first, "at", at, f"must be {first} or more, where {runs.folder} left its own parent: branch that one")
    for record in runs.members:
        right = (
            f"member {record.member} of {runs.folder} is {record.status} at step {record.step}: choose a step up to it"
        )
        require(record.step >= at, "at", at, right)
    return runs.members


def _request(runs: Runs, at: int, vary: dict[str, Iterable[Any]], changes: dict[str, Any]) -> Request:
    """The parent's request with what the arms change; refuses what they cannot change."""
    before = runs.experiment
    for field in (*vary, *changes):
        right = "a branch has it in common with its parent: start another run for that"
        require(field.partition(".")[0] not in SHARED, field, _shown(changes, vary, field), right)
        require(field not in runs.meta["vary"], field, _shown(changes, vary, field), "was varied by the parent already")
    experiment = changed(before, changes)
    for field in runs.meta["vary"]:
        right = f"must be of the parent's kind, which varied {field}"
        owner = field.rpartition(".")[0]
        require(_kind_at(experiment, owner) == _kind_at(before, owner), owner, _kind_at(experiment, owner), right)
    varied = {field: tuple(values) for field, values in runs.meta["vary"].items()} | checked_vary(experiment, vary)
    origin = {"parent": str(runs.folder.resolve()), "at": at}
    return Request(runs.meta["name"], experiment, varied, tuple(runs.meta["seeds"]), origin)


def _shown(changes: Mapping[str, Any], vary: Mapping[str, Any], field: str) -> Any:
    return changes[field] if field in changes else vary[field]


def _kind_at(part: Any, path: str) -> str | None:
    """The name of the type of what stands at a dotted path, None for nothing."""
    for name in filter(None, path.split(".")):
        if isinstance(part, tuple):
            part = part[int(name)] if int(name) < len(part) else None
        else:
            part = getattr(part, name, None)
    return None if part is None else type(part).__name__


def _require_continuing(member: Member, parent: MemberRecord, at: int) -> None:
    """Refuse an arm that cannot go on from its parent's state, or that would be over already."""
    ours, theirs = member.experiment.optimizer, from_dict(parent.experiment).optimizer
    right = f"a branch goes on with its parent's moments, so with {type(theirs).__name__}"
    require(type(ours) is type(theirs), "optimizer", type(ours).__name__, right)
    steps = member.experiment.steps
    require(steps > at, "steps", steps, f"must be above {at}, where the branches begin")


def _with_origin(member: Member, varied: Mapping[str, Any], runs: Runs, at: int) -> Member:
    own = {field: varied[field] for field in runs.meta["vary"]}
    for record in runs.members:
        if record.seed == member.seed and record.varied == own:
            return replace(member, origin=Origin(record.member, at))
    raise SpecError("seeds", member.seed, f"{runs.folder} has no member with this seed and {own}")


def _reach(runs: Runs, parents: list[MemberRecord], store: RunStore, at: int, those: Hands) -> None:
    """Train the parent's batches, as they were, up to the step, and keep the states there."""
    folder, progress = store.folder, those.how.progress
    kept, trunk = Parameters(folder, "origins"), folder / "trunk"
    lacking = {record.batch for record in parents if not kept.is_intact(record.member)}
    if not lacking:
        shutil.rmtree(trunk, ignore_errors=True)
        return
    members = _members(runs, trunk)
    batches = [
        Batch(number, tuple(members[record.member] for record in parents if record.batch == number), at)
        for number in sorted(lacking)
    ]
    for batch in batches:
        _use_checkpoints(runs.folder, trunk, batch.number, at)
    crew = those.crew(store, trunk, free_number(parents))
    stored = {record.member: runs.steps(record.member) for record in parents}
    watched = Comparison(runs, at, progress.message)
    with progress.over(parents, batches, folder, []), stopping(crew.stop) as is_asked:
        progress.message({"kind": "note", "about": "branch", "text": f"going to step {at:,} of {runs.folder}"})
        if changed := changed_versions(runs.meta["versions"]):
            progress.message({"kind": "note", "about": "versions", "text": f"{runs.folder} {changed}"})
        complete = crew.train(batches, stored, watched.message)
        if text := watched.found():
            store.log("differs", text)
            progress.message({"kind": "note", "about": "differs", "text": text})
        if not complete:
            raise Interrupted(f"stopped on the way to step {at:,}; everything is kept in {folder}")
    for path in (trunk / "kept").iterdir():
        kept.folder.mkdir(exist_ok=True)
        path.replace(kept.folder / path.name)
    shutil.rmtree(trunk)
    if is_asked():
        raise Interrupted(f"stopped at step {at:,}; everything is kept in {folder}")


class Comparison:
    """Holds what is observed on the way to the split against the parent's rows: they are the same to the last bit.

    Unless library versions or the machine are others, that is: then branches begin where the parent was to rounding.

    Args:
        runs: the parent.
        at: the split.
        tell: who gets the messages.
    """

    def __init__(self, runs: Runs, at: int, tell: Callable[[Message], None]):
        self.runs, self.at, self.tell = runs, at, tell
        self.parents = {member: dict(rows) for member, rows in runs.rows_until(at).items()}
        self.compared = self.differing = 0
        self.largest = 0.0, ""

    def message(self, message: Message) -> None:
        """Compare the rows of a message, and hand it on."""
        for member, step, values in message["rows"] if message["kind"] == "rows" else ():
            before = self.parents[member][step]
            gaps = [(_gap(before[name], value), name) for name, value in values.items()]
            gap, name = max(gaps)
            self.compared += 1
            self.differing += gap > 0
            self.largest = max(self.largest, (gap, f"{name} of member {member} at step {step:,}"))
        self.tell(message)

    def found(self) -> str | None:
        """What differed, in one line."""
        if not self.differing:
            return None
        gap, where = self.largest
        return (
            f"{self.differing} of {self.compared} observations on the way to step {self.at:,} are not those of "
            f"{self.runs.folder} to the last bit: {where} is off by {gap:.1e} of its value, the most of all"
        )


def _gap(before: float, now: float) -> float:
    """How far two numbers lie apart, relative to the larger; 0 for two NaN, inf for one."""
    if before == now or (math.isnan(before) and math.isnan(now)):
        return 0.0
    gap = abs(before - now) / max(abs(before), abs(now))
    return math.inf if math.isnan(gap) else gap


def _members(runs: Runs, trunk: Path) -> dict[int, Member]:
    """The parent's members by number; where they are branches themselves, with what they began with in the trunk."""
    members = {r.member: Member(r.member, r.seed, from_dict(r.experiment)) for r in runs.members}
    before = runs.meta.get("branch")
    if not before:
        return members
    shutil.copytree(runs.folder / "origins", trunk / "origins", dirs_exist_ok=True)
    return {
        r.member: replace(members[r.member], origin=Origin(_origin(runs.folder, r), before["at"])) for r in runs.members
    }


def _origin(folder: Path, record: MemberRecord) -> int:
    """The number that a branch's parent has in its own folder."""
    if record.origin is None:
        right = "holds branches of an earlier version, which do not say what they began as: branch their parent again"
        raise SpecError("parent", str(folder), right)
    return record.origin


def _use_checkpoints(parent: Path, trunk: Path, batch: int, at: int) -> None:
    """Copy those of the parent's checkpoints of a batch that come before the step."""
    for path in (parent / "checkpoints" / f"batch-{batch:05d}").glob("step-*.safetensors"):
        if int(path.name.split("-")[1]) <= at:
            target = trunk / "checkpoints" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _copy_rows(runs: Runs, store: RunStore, at: int) -> None:
    """Give every arm the observations of its parent up to the step."""
    rows = runs.rows_until(at)
    for record in store.members:
        known, began_as = set(store.steps(record.member).tolist()), rows[_origin(store.folder, record)]
        store.append([(record.member, step, values) for step, values in began_as if step not in known])
