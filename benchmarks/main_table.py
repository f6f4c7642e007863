"""Ours, PyTorch and plain JAX, on one core, side by side."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case
from benchmarks.processes import Timing, Worker, interleaved, working
from benchmarks.settings import Result, Settings
from benchmarks.tables import Floor, Table, busy_notes, digits, duration, spread

NAMES = {
    "torch": "PyTorch eager",
    "torch-fused": "PyTorch eager, fused AdamW",
    "torch-compile": "torch.compile",
    "plain-jax": "plain JAX, same formulas",
}
COLUMNS = ("version", "ms a member-step", "range", "× eager", "GFLOP", "GFLOP/s", "of peak")
GUARD_TOLERANCE = 3e-5  # of the loss: rounding gives 5e-6, training without weight decay 1e-4
COUNT_TOLERANCE = 0.02  # between the formula and the count of our own program


class DifferentWork(RuntimeError):  # noqa: N818 - named for what is the case
    """The versions do not compute the same thing, so that comparing their times would mean nothing."""


def measure(settings: Settings) -> Result:
    """The peak, then all cases."""
    peak, peaks = measure_peak(settings)
    result = Result(raw={"peak": peaks, "cases": {}})
    shown = {name.removeprefix("peak-"): f"{digits(max(found) / 1e9)} GFLOP/s" for name, found in peaks.items()}
    result.tables.append(Table("Fastest matrix product", ("float32", *shown), [("reached", *shown.values())]))
    settings.show(result.tables[-1])
    for name in settings.cases:
        raw = measure_case(name, settings)
        result.raw["cases"][name] = raw
        result.add(case_table(CASES[name], raw, peak), [floor_of(CASES[name], raw, peak)])
        settings.show(result.tables[-1])
    return result


def measure_peak(settings: Settings) -> tuple[float, dict[str, list[float]]]:
    """The machine's peak in operations a second, and what each library reached in each round."""
    versions = ("peak-jax", "peak-torch")
    with working(*(settings.job(version) for version in versions)) as workers:
        found = [[w.ask("peak", seconds=settings.seconds / 5) for w in workers] for _ in range(settings.rounds)]
    peaks = {version: [row[i] for row in found] for i, version in enumerate(versions)}
    return max(map(max, found)), peaks


def measure_case(name: str, settings: Settings) -> dict[str, Any]:
    """All versions of one case: seconds, operations and losses, as plain values."""
    first, *rest = (settings.job("ours", case=name, members=members) for members in settings.members)
    rest += [settings.job(version, case=name) for version in settings.others]
    with tempfile.TemporaryDirectory() as folder, working(first) as author:
        path = str(Path(folder) / "reference.npz")
        needed = author[0].ask("save", path=path)["needed"]
        with working(*(job | {"reference": path} for job in rest)) as others:
            workers = author + others
            guards = [{"loss": worker.ask("guard"), "operations": worker.ask("operations")} for worker in workers]
            check_same_work(workers, guards, needed)
            timings = interleaved(workers, seconds=settings.seconds, rounds=settings.rounds)
    versions = [
        {"version": label(worker), "members": worker.members, **guard, **asdict(timing)}
        for worker, guard, timing in zip(workers, guards, timings, strict=True)
    ]
    return {"needed": needed, "versions": versions}


def label(worker: Worker) -> str:
    """A version in words."""
    ours = "ours, one member" if worker.members == 1 else f"ours, ensemble of {worker.members}"
    return NAMES.get(worker.job["version"], ours)


def check_same_work(workers: Sequence[Worker], guards: Sequence[Any], needed: int) -> None:
    """Refuse to compare versions that do not come to the same loss, or operations that were counted wrongly."""
    expected = guards[0]["loss"]
    for worker, guard in zip(workers, guards, strict=True):
        if not abs(guard["loss"] - expected) <= GUARD_TOLERANCE * abs(expected):
            raise DifferentWork(f"{label(worker)} comes to the loss {guard['loss']}, ours to {expected}")
    counted = guards[0]["operations"]["products"]
    if abs(counted - needed) > COUNT_TOLERANCE * needed:
        raise DifferentWork(f"our program takes {counted:,} operations a step, the formula says {needed:,}")


def case_table(case: Case, raw: dict[str, Any], peak: float) -> Table:
    """One case for people."""
    table = Table(case.title, COLUMNS)
    timings = {v["version"]: Timing(v["wall"], v["processor"]) for v in raw["versions"]}
    eager = timings[NAMES["torch"]].seconds
    for version in raw["versions"]:
        timing, operations = timings[version["version"]], version["operations"]["products"]
        rate = operations / timing.seconds
        table.rows.append(
            (
                version["version"], duration(timing.seconds), spread(timing), f"{eager / timing.seconds:.2f}",
                digits(operations / 1e9), digits(rate / 1e9), f"{rate / peak:.0%}",
            )
        )  # fmt: skip
    floor = raw["needed"] / peak
    table.rows.append(
        (
            "needed arithmetic at the peak", duration(floor), "", f"{eager / floor:.1f}",
            digits(raw["needed"] / 1e9), digits(peak / 1e9), "100%",
        )
    )  # fmt: skip
    losses = [v["loss"] for v in raw["versions"]]
    table.notes = [
        f"After the same first steps all come to the loss {losses[0]:.6g}, within {relative_range(losses):.0e} of it.",
        *busy_notes(timings),
    ]
    return table


def relative_range(values: Sequence[float]) -> float:
    """(largest − smallest) / first."""
    return (max(values) - min(values)) / abs(values[0])


def floor_of(case: Case, raw: dict[str, Any], peak: float) -> Floor:
    """How much faster than PyTorch eager the largest ensemble has to be, and is."""
    seconds = {v["version"]: Timing(v["wall"], v["processor"]).seconds for v in raw["versions"]}
    members = max(v["members"] for v in raw["versions"])
    ours = next(v["version"] for v in raw["versions"] if v["members"] == members)
    ratio = seconds[NAMES["torch"]] / seconds[ours]
    what = f"{case.short}: {ours}, over PyTorch eager"
    most = seconds[NAMES["torch"]] * peak / raw["needed"]  # at the peak, with nothing but the needed products
    return Floor(what, f"{case.floor:.1f}×", f"{ratio:.2f}× of {most:.1f}× possible", ratio >= case.floor)
