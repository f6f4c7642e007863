"""`plan`: which weight decay generalises within a budget, from short pilots, with a check on fresh seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterfit.lab.how import RETRIES
from afterfit.lab.progress import Progress
from afterfit.lab.request import Seeds, resolve
from afterfit.lab.run import run
from afterfit.lab.runs import Runs
from afterfit.parts import SpecError, require
from afterfit.spec import Experiment
from afterfit.spec.written import leaves_and_fields

if TYPE_CHECKING:
    from afterfit.analysis.planning import Plan
    from afterfit.analysis.results import Quantity

AROUND = (1 / 8, 1 / 4, 1 / 2, 1, 2, 4)  # of the preset's own value, where no values are given


@dataclass(frozen=True)
class Planned:
    """A plan, what it was made from, and what became of it.

    Attributes:
        plan: the answer, its candidates and its cost.
        pilots: the runs that it was made from.
        check: the runs on fresh seeds, or None.
        outcome: the share of those that had the event within the budget, and what it says of the plan, or None.
    """

    plan: Plan
    pilots: Runs
    check: Runs | None
    outcome: Quantity | None

    def __str__(self) -> str:
        """The answer in some lines."""
        outcome = f"\nOn fresh seeds: {self.outcome}" if self.outcome else ""
        return f"{self.plan}{outcome}"


def plan(
    what: str | Path | Experiment,
    budget: int,
    *,
    out: str | Path,
    values: Mapping[str, Sequence[float]] | None = None,
    seeds: Seeds = 3,
    pilot_steps: int | None = None,
    probability: float = 0.9,
    event: str = "generalised",
    check_seeds: int = 10,
    changes: Mapping[str, Any] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    cluster: str | None = None,
    checkpoints: str | Path | None = None,
    retries: int = RETRIES,
) -> Planned:
    """Find the values with which a run has an event within a budget of steps, and check them on seeds never used.

    Pilots are trained at each combination of values until they have the event or their steps are over; a scaling law
    with what is not known of it (`afterfit.analysis.planning`) gives the answer; and fresh seeds at the chosen values
    say whether it holds. Everything lies in `out`; the same call again goes on from there.

    Args:
        what: a preset's name, a TOML file, or an `Experiment`.
        budget: steps that a run may take.
        out: the folder: pilots/ and check/ in it are runs.
        values: the pilots' values by dotted field, two or more of each; by default weight decays from an eighth to four
            times the experiment's own.
        seeds: of the pilots.
        pilot_steps: steps of a pilot at most; half of the budget by default.
        probability: with which a run is to have the event.
        event: a declared event.
        check_seeds: fresh seeds; 0 for no check.
        changes: values by dotted field, for all runs.
        workers: as for `run`.
        progress: as for `run`.
        cluster: as for `run`.
        checkpoints: as for `run`.
        retries: as for `run`.

    Raises:
        SpecError: the request makes no sense; one line, before any work.
    """
    for name, value, least in (("budget", budget, 2), ("check_seeds", check_seeds, 0)):
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= least
        require(whole, name, value, f"must be a whole number, {least} or more")
    require(0 < probability < 1, "probability", probability, "must lie between 0 and 1")
    experiment = resolve(what, changes=changes).experiment
    declared = [rule.name for rule in experiment.events]
    require(event in declared, "event", event, f"must be one of the declared events: {', '.join(declared) or 'none'}")
    varied = _values(experiment, values)
    steps = max(1, budget // 2) if pilot_steps is None else pilot_steps
    require(1 <= steps <= budget, "pilot_steps", steps, f"must be 1 to the budget of {budget:,}")
    common: dict[str, Any] = {
        "workers": workers, "progress": progress, "cluster": cluster, "checkpoints": checkpoints, "retries": retries,
    }  # fmt: skip
    settings = dict(changes or {}) | {"stop_when": event}
    pilots = run(what, seeds=seeds, vary=varied, changes=settings, steps=steps, out=Path(out) / "pilots", **common)
    made = _plan(pilots, budget, probability, tuple(varied), event, check_seeds)
    if not check_seeds or made.check is None:
        return Planned(made, pilots, None, None)
    from afterfit.analysis.planning import check_plan

    chosen = settings | dict(made.check.values)
    fresh = run(what, seeds=made.check.seeds, changes=chosen, steps=budget, out=Path(out) / "check", **common)
    return Planned(made, pilots, fresh, check_plan(made, fresh.observations, fresh.events()))


def _plan(pilots: Runs, budget: int, probability: float, fields: tuple[str, ...], event: str, check_seeds: int) -> Plan:
    from afterfit.analysis import planning

    try:
        return planning.plan(
            pilots.observations, pilots.events(), budget=budget, probability=probability, fields=fields, event=event,
            check_seeds=max(1, check_seeds),
        )  # fmt: skip
    except ValueError as error:
        raise SpecError("pilots", str(pilots.folder), str(error)) from error


def _values(experiment: Experiment, values: Mapping[str, Sequence[float]] | None) -> dict[str, tuple[float, ...]]:
    """The pilots' values, each above 0 and two at least of a field."""
    if values is None:
        field = "optimizer.weight_decay"
        own = leaves_and_fields(experiment)[field][1]
        right = "is the experiment's own, around which there is nothing to try: give values"
        require(own > 0, field, own, right)
        return {field: tuple(float(f"{own * factor:.3g}") for factor in AROUND)}
    for field, listed in values.items():
        fine = len(set(map(float, listed))) >= 2 and all(0 < float(value) < math.inf for value in listed)
        require(fine, f"values of {field}", list(listed), "must be two or more different numbers above 0")
    return {field: tuple(map(float, listed)) for field, listed in values.items()}
