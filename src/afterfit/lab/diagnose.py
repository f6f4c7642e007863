"""`diagnose`: the preconditions of delayed generalisation, checked on a spec before it runs, or on a stored run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from afterfit.analysis import preconditions as check
from afterfit.analysis.diagnosis import USUAL, Bounds, Diagnosis, Finding
from afterfit.analysis.phases import PhaseRules
from afterfit.analysis.signatures import signatures
from afterfit.lab.request import Request, Seeds, resolve
from afterfit.lab.runs import Runs, open_runs
from afterfit.lab.tally import ENDED, shown
from afterfit.spec import Experiment
from afterfit.spec.presets import PRESETS
from afterfit.spec.written import from_dict
from afterfit.store import MemberRecord
from afterfit.tasks.files import DataError

DECAY: Mapping[str, check.Decay] = {"AdamW": "decoupled", "Adam": "l2 through moments", "SGD": "l2"}
NEEDED = ("accuracy", "rnc1", "weight_norm")


def diagnose(
    what: str | Path | Experiment | Runs,
    *,
    seeds: Seeds | None = None,
    vary: Mapping[str, Iterable[Any]] | None = None,
    changes: Mapping[str, Any] | None = None,
    bounds: Bounds = USUAL,
) -> Diagnosis:
    """Look an experiment or a run over for what is known to stand in the way of delayed generalisation.

    Nothing is trained. An experiment's task is built to look at its data; where its files are missing, that is said. A
    run folder is judged by its experiments and by what was observed of every member; a watched loop's folder, which
    knows no optimiser, by the latter alone.

    Args:
        what: a preset's name, a TOML file, an `Experiment`, a run folder, or an opened one.
        seeds, vary, changes: as in `run`; for experiments only.
        bounds: the thresholds.

    Raises:
        SpecError: one line with the field, the value and what would be right.
        StoreError: the folder cannot be read.
    """
    if isinstance(what, Runs) or is_folder(what):
        runs = what if isinstance(what, Runs) else open_runs(what)  # type: ignore[arg-type]
        arms, members = {_arm(record.varied) for record in runs.members}, set(map(_named, runs.members))
        return Diagnosis.of(_of_runs(runs, bounds), wholes=(arms, members))
    request = resolve(what, seeds=seeds, vary=vary, changes=changes)
    arms = {_arm(varied) for _, varied in request.members()}
    return Diagnosis.of(_of_request(request, bounds), wholes=(arms,))


def is_folder(what: Any) -> bool:
    """Whether this names a folder, and not a preset or a TOML file."""
    if isinstance(what, Experiment) or str(what) in PRESETS or str(what).endswith(".toml"):
        return False
    return isinstance(what, Path) or "/" in str(what) or Path(what).is_dir()


def _of_request(request: Request, bounds: Bounds) -> Iterator[Finding]:
    """Every arm's preconditions, at its first seed."""
    arms = {_arm(varied): member for member, varied in reversed(request.members())}
    for arm, member in reversed(arms.items()):
        yield from (_of_arm(finding, arm) for finding in preconditions(member.experiment, member.seed, bounds))


def _of_runs(runs: Runs, bounds: Bounds) -> Iterator[Finding]:
    """The preconditions of a run's arms, then the signatures of its members."""
    if runs.meta.get("watched"):
        rule = "a folder of a watched loop knows what was observed, and not the loop"
        change = "call watch.doctor(optimizer, planned_steps) in the loop for its preconditions"
        yield Finding("preconditions", "note", "not looked at: this run was watched, not trained here", rule, change)
    else:
        arms = {_arm(record.varied): record for record in reversed(runs.members)}
        for arm, record in reversed(arms.items()):
            found = preconditions(from_dict(record.experiment), record.seed, bounds)
            yield from (_of_arm(finding, arm) for finding in found)
    rules = PhaseRules.declared(runs.meta.get("rules", ()))
    for record in runs.members:
        name = _named(record) if len(runs.members) > 1 else ""
        found = signatures(record_of(runs, record.member), rules, bounds, ended=record.status in ENDED)
        yield from (_of_arm(finding, name) for finding in found)


def record_of(runs: Runs, member: int) -> dict[str, np.ndarray]:
    """One member's observations as rules take them: {"step": (n,), measure: (n,), …}."""
    table = runs.table
    rows = table.member == member
    columns = {name: table.values[rows, column] for column, name in enumerate(table.measures)}
    return {"step": table.step[rows]} | columns


def preconditions(experiment: Experiment, seed: int = 0, bounds: Bounds = USUAL) -> list[Finding]:
    """What an experiment brings of what delayed generalisation needs.

    Args:
        experiment: one member's.
        seed: of its split.
        bounds: the thresholds.
    """
    found = _of_optimizer(experiment, bounds)
    scale = getattr(experiment.model, "init_scale", None)
    if scale is not None:
        found.append(check.initial_norm(scale, f"model.init_scale = {scale:g}", bounds))
    kind, task = type(experiment.task).__name__, experiment.task
    if kind in check.SMALLEST_FRACTIONS:
        found.append(check.train_fraction(kind, task.train_fraction, task.sizes()))  # type: ignore[attr-defined]
    missing = [name for name in NEEDED if name not in experiment.measures]
    rule = f"{', '.join(NEEDED)} are observed, by which a run's failure is known"
    if missing:
        change = f"add {', '.join(missing)} to measures"
        found.append(Finding("measures", "note", f"not observed: {', '.join(missing)}", rule, change))
    if experiment.interventions:
        named = ", ".join(type(each).__name__ for each in experiment.interventions)
        rule = "interventions may change rate, decay and labels; what is judged is what is written beside them"
        found.append(Finding("interventions", "note", f"there are: {named}", rule))
    return found + _of_data(experiment, seed, bounds)


def _of_optimizer(experiment: Experiment, bounds: Bounds) -> list[Finding]:
    optimizer = experiment.optimizer
    name, decay = type(optimizer).__name__, DECAY[type(optimizer).__name__]
    found = [check.weight_decay(name, decay, optimizer.weight_decay)]
    if optimizer.weight_decay and decay != "l2 through moments":
        steps = _at_full_rate(experiment.steps, optimizer.warmup_steps)
        momentum = getattr(optimizer, "momentum", 0.0)
        rate = optimizer.learning_rate
        found.append(check.decay_clock(rate, optimizer.weight_decay, steps, momentum=momentum, bounds=bounds))
    return found


def _at_full_rate(steps: int, warmup: int) -> float:
    """Steps at the full rate that decay as much as these, whose rate rises linearly at first: Σ_t min(1, (t+1)/w)."""
    rising = min(steps, warmup)
    return steps - rising + rising * (rising + 1) / (2 * warmup) if warmup else steps


def _of_data(experiment: Experiment, seed: int, bounds: Bounds) -> list[Finding]:
    """Leakage, contradictions, balance and the size of the test split."""
    try:
        table = experiment.task.table()
    except DataError as error:
        rule = "the examples can be looked at"
        return [Finding("data", "note", f"not looked at: {error}", rule, "bring the files, and ask again")]
    train, test = experiment.task.split(table, seed)
    inputs = check.fingerprints(table.inputs[train])
    labels = [label.tobytes() for label in table.labels[train]]
    counts = np.bincount(table.labels[train], minlength=table.num_classes).tolist()
    where = f" (seed {seed})"
    rise = PhaseRules().rise
    return [
        check.leakage(inputs, check.fingerprints(table.inputs[test]), where, bounds=bounds),
        check.contradictions(inputs, labels, where),
        check.balance(counts, where, bounds=bounds),
        check.resolution(len(test), rise),
    ]


def _of_arm(finding: Finding, arm: str) -> Finding:
    return replace(finding, of=arm)


def _arm(varied: Mapping[str, Any]) -> str:
    """An arm in words: "weight_decay 0.3"."""
    return ", ".join(f"{field.rpartition('.')[2]} {shown(value)}" for field, value in varied.items())


def _named(record: MemberRecord) -> str:
    """A member in words: "seed 0, weight_decay 0.3"."""
    return ", ".join(filter(None, (f"seed {record.seed}", _arm(record.varied))))
