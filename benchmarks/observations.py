"""What observing costs, at the presets' own schedules."""

from __future__ import annotations

from typing import Any

from benchmarks.cases import CASES
from benchmarks.processes import Timing, Worker, interleaved, working
from benchmarks.settings import Result, Settings
from benchmarks.tables import Floor, Table, busy_notes, digits, duration

FLOOR = 0.05
MEASURED = ("minibatch", "mlp")
MEMBERS = 4


def measure(settings: Settings) -> Result:
    """One observation of the default measures, and its share of a whole run's time."""
    columns = ("preset", "ms a step", "ms an observation", "steps between", "share of the time")
    table, result = Table("Observing: all default measures on train and test", columns), Result()
    timings: dict[str, Timing] = {}
    for name in MEASURED:
        case, raw = CASES[name], measure_case(name, settings)
        result.raw[name] = raw
        step, seen = (Timing(raw[kind]["wall"], raw[kind]["processor"]) for kind in ("step", "observation"))
        timings |= {f"{case.preset}, steps": step, f"{case.preset}, observations": seen}
        spent, steps = raw["observations"] * seen.seconds, raw["steps"]
        share = spent / (spent + steps * step.seconds)
        apart = digits(steps / raw["observations"])
        table.rows.append((case.preset, duration(step.seconds), duration(seen.seconds), apart, f"{share:.1%}"))
        what = f"observations of {case.preset}, share of the time"
        result.floors.append(Floor(what, f"< {FLOOR:.0%}", f"{share:.1%}", share < FLOOR))
    table.notes = [
        f"For one member of an ensemble of {MEMBERS}; on average over the preset's schedule.",
        *busy_notes(timings),
    ]
    result.add(table)
    settings.show(table)
    return result


def measure_case(name: str, settings: Settings) -> dict[str, Any]:
    """Seconds of a step and of an observation, a member, and how many there are of each in a run."""
    experiment = CASES[name].experiment()
    with working(settings.job("ours", case=name, members=MEMBERS)) as workers:
        [step] = interleaved(workers, seconds=settings.seconds, rounds=settings.rounds)
        seen = _observation(workers[0], settings)
    count = sum(1 for _ in experiment.observed_steps(experiment.steps))
    return {"step": step.__dict__, "observation": seen.__dict__, "steps": experiment.steps, "observations": count}


def _observation(worker: Worker, settings: Settings) -> Timing:
    once = worker.ask("observe", times=1)["wall"]
    times = max(1, round(settings.seconds / once))
    return Timing.of([worker.ask("observe", times=times) for _ in range(settings.rounds)], times * MEMBERS)
