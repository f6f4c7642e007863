"""What factoring the first block by vocabulary gives: the same trainer with it and without."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from benchmarks.cases import CASES
from benchmarks.processes import Timing, interleaved, working
from benchmarks.settings import Result, Settings
from benchmarks.tables import Table, busy_notes, digits, duration, spread

NAMES = {"ours": "factored", "ours-plain": "plain"}


def measure(settings: Settings) -> Result:
    """Both ways, alone and as the largest ensemble of the main table."""
    columns = ("first block", "ms a member-step", "range", "× plain", "GFLOP", "GFLOP/s")
    result = Result()
    for case in ("minibatch", "full-batch"):
        table, timings, plain = Table(f"First block: {CASES[case].title}", columns), {}, {}
        for row in reversed(rows := measure_case(case, settings)):
            timing = Timing(row["wall"], row["processor"])
            timings[row["name"]] = timing
            plain.setdefault(row["members"], timing.seconds)
            times = f"{plain[row['members']] / timing.seconds:.2f}"
            cells = duration(timing.seconds), spread(timing), times, digits(row["operations"] / 1e9)
            table.rows.insert(0, (row["name"], *cells, digits(row["operations"] / timing.seconds / 1e9)))
        result.raw[case] = rows
        table.notes = busy_notes(timings)
        result.add(table)
        settings.show(table)
    return result


def measure_case(case: str, settings: Settings) -> list[dict[str, Any]]:
    """Factored versions first, plain ones last."""
    kinds = [(version, members) for version in NAMES for members in settings.members]
    jobs = [settings.job(version, case=case, members=members) for version, members in kinds]
    with working(*jobs) as workers:
        counted = [worker.ask("operations")["products"] for worker in workers]
        timings = interleaved(workers, seconds=settings.seconds, rounds=settings.rounds)
    return [
        {"name": f"{NAMES[v]}, {m} member" + "s" * (m > 1), "members": m, "operations": operations, **asdict(timing)}
        for (v, m), operations, timing in zip(kinds, counted, timings, strict=True)
    ]
