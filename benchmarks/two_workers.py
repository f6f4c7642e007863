"""Two workers of one thread each, on two cores, against one."""

from __future__ import annotations

from statistics import median

from benchmarks.processes import Worker, working
from benchmarks.settings import Result, Settings
from benchmarks.tables import Floor, Table, digits

FLOOR = 1.85
MEMBERS = 4


def measure(settings: Settings) -> Result:
    """How much more two workers do in the same time; the median over the rounds, each with one and then with two."""
    if len(settings.cores) < 2:
        result = Result(raw={"skipped": "one core only"})
        result.add(Table("Two workers against one", ("", ""), [("skipped: this process may use one core only", "")]))
        settings.show(result.tables[-1])
        return result
    jobs = [{"version": "ours", "case": "minibatch", "members": MEMBERS, "core": c} for c in settings.cores[:2]]
    with working(*jobs) as workers:
        steps = min(worker.ask("warm", seconds=2 * settings.seconds)["steps"] for worker in workers)
        rounds = [(_alone(workers[0], steps), _together(workers, steps)) for _ in range(settings.rounds)]
    ratios = [2 * alone / together for alone, together in rounds]
    ratio = median(ratios)
    one, two = (MEMBERS * count * steps / median(r[count - 1] for r in rounds) for count in (1, 2))
    table = Table("Two workers on two cores against one", ("member-steps a second", "one", "two", "ratio", "range"))
    spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
    table.rows.append((f"transformer, ensembles of {MEMBERS}", digits(one), digits(two), f"{ratio:.2f}×", spread))
    floor = Floor("two workers on two cores, against one", f"{FLOOR}×", f"{ratio:.2f}×", ratio >= FLOOR)
    result = Result(raw={"steps": steps, "seconds": rounds})
    result.add(table, [floor])
    settings.show(table)
    return result


def _alone(worker: Worker, steps: int) -> float:
    return worker.ask("time", steps=steps)["wall"]


def _together(workers: list[Worker], steps: int) -> float:
    """Seconds until the slower one is through."""
    for worker in workers:
        worker.send("time", steps=steps)
    return max(worker.receive()["wall"] for worker in workers)
