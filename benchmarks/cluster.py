"""`python -m benchmarks.cluster`: what a cluster costs, what one writer takes, and what losses do to a study.

    --overhead [--seconds 60]   two nodes of one core against two local workers, batches of so many seconds
    --capacity [--members …]    one writer, and workers that only pretend to train: rows a second
    --scaling                   from that capacity, by simulation: how many workers one writer serves
    --losses N                  a study with N losses of a node, each at a random moment: same results?

`--write` puts the tables that were asked for into docs/performance.md. The cluster is one of this machine; nothing of
it is open to other machines.
"""

from __future__ import annotations

import argparse
import heapq
import json
import queue
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.machines import Machines
from benchmarks.tables import Table, digits

PAGE = Path(__file__).parents[1] / "docs/performance.md"
MEASURES = 12  # of a row that is pretended: about what a preset observes
CHECKPOINT_SECONDS = 30.0


def main() -> None:
    """Measure what is asked for."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__.splitlines()[0])
    p.add_argument("--overhead", action="store_true")
    p.add_argument("--seconds", type=float, default=60.0, help="length of a batch (default: 60)")
    p.add_argument("--rounds", type=int, default=3, help="of --overhead (default: 3)")
    p.add_argument("--capacity", action="store_true")
    p.add_argument("--members", type=int, nargs="+", default=[100, 1_000, 10_000])
    p.add_argument("--scaling", action="store_true")
    p.add_argument("--losses", type=int, default=0)
    p.add_argument("--seed", type=int, default=0, help="of --losses and --scaling (default: 0)")
    p.add_argument("--json", type=Path, metavar="FILE")
    p.add_argument("--write", action="store_true", help="into docs/performance.md")
    options, found = p.parse_args(), dict[str, tuple[Table, Any]]()
    if options.overhead:
        found["overhead"] = overhead(options.seconds, options.rounds)
    if options.capacity or options.scaling:
        found["capacity"] = capacity(options.members)
    if options.scaling:
        found["scaling"] = scaling(found["capacity"][1], options.seed)
    if options.losses:
        found["losses"] = losses(options.losses, options.seed)
    for kind, (table, _) in found.items():
        table.show(Console(width=100))
        if options.write:
            write(kind, table)
    if options.json:
        options.json.write_text(json.dumps({kind: raw for kind, (_, raw) in found.items()}, indent=1), encoding="utf-8")


def write(kind: str, table: Table) -> None:
    """Put a table in its place on the page."""
    begin, end = f"<!-- cluster {kind}: written by benchmarks/cluster.py -->", f"<!-- end of cluster {kind} -->"
    before, rest = PAGE.read_text(encoding="utf-8").split(begin)
    PAGE.write_text(f"{before}{begin}\n\n{table.markdown()}\n{end}{rest.split(end)[1]}", encoding="utf-8")


# --- what a cluster costs ---------------------------------------------------------------------------------------------


def overhead(seconds: float, rounds: int) -> tuple[Table, dict[str, Any]]:
    """Wall time of a study on two nodes against two local workers, two batches each, of so many seconds.

    In pairs whose order alternates, since machines are not equally fast all the time; a short study of each kind before
    compiles and is not counted. Nobody stops before the last step. What it costs to begin on a cluster is in it.
    """
    import afterfit as af

    def timed(batches: int, cluster: str | None, steps: int) -> float:
        folder = Path(tempfile.mkdtemp(prefix="afterfit-cluster-"))
        began = time.monotonic()
        af.run(
            "modular-addition", seeds=2 * batches, batch_size=1, steps=steps, workers=2, cluster=cluster,
            out=folder / "run", changes={"stop_when": None},
        )  # fmt: skip
        taken = time.monotonic() - began
        shutil.rmtree(folder)
        return taken

    steps = _steps_of(seconds)
    walls: dict[str, list[float]] = {"local": [], "cluster": []}
    with Machines() as machines:
        machines.be(2)
        where = {"local": None, "cluster": machines.address}
        for kind in walls:
            timed(1, where[kind], 200)
        for number in range(rounds):
            for kind in ("local", "cluster")[:: 1 if number % 2 == 0 else -1]:
                walls[kind].append(timed(2, where[kind], steps))
    pairs = list(zip(walls["local"], walls["cluster"], strict=True))
    more = [there / here - 1 for here, there in pairs]
    table = Table("Two nodes against two local workers", ("pair", "local, s", "cluster, s", "more"))
    for number, (here, there) in enumerate(pairs):
        table.rows.append((f"{number + 1}", f"{here:.1f}", f"{there:.1f}", f"{more[number]:+.1%}"))
    table.notes.append(
        f"4 batches of {steps:,} steps; median {median(more):+.1%}; wanted: at most 5 % for batches of a minute"
    )
    return table, {"steps": steps, "walls": walls}


def _steps_of(seconds: float) -> int:
    """So many steps of one member take that long here, once compiled."""
    import afterfit as af
    from afterfit.lab.progress import Silent

    class Speed(Silent):
        found = 1.0

        def message(self, message: Any) -> None:
            if message["kind"] == "progress":
                self.found = message["steps_per_second"]

    speed, folder = Speed(), Path(tempfile.mkdtemp(prefix="afterfit-cluster-"))
    af.run("modular-addition", seeds=1, steps=600, workers=1, out=folder / "run", progress=speed)
    shutil.rmtree(folder)
    return max(400, 100 * round(seconds * speed.found / 100))


# --- what one writer takes --------------------------------------------------------------------------------------------


class Pretending:
    """A worker that sends rows of its batch as soon as those before are durable, a number of times."""

    def __init__(self, rows: int):
        self.rows, self.inbox = rows, queue.SimpleQueue()

    def send(self, kind: str, **content: Any) -> None:
        """Hear."""
        self.inbox.put((kind, content))

    def messages(self) -> Iterator[dict[str, Any]]:
        """Say what a worker would, as JSON."""
        while (heard := self.inbox.get())[0] != "end":
            if heard[0] != "train":
                continue
            batch = heard[1]["batch"]
            numbers = [member["number"] for member in batch["members"]]
            values = {f"train/measure_{i}": 0.123456789 * i for i in range(MEASURES)}
            lines = [
                json.dumps({"kind": "rows", "rows": [(n, step, values) for n in numbers], "number": step + 1})
                for step in range(self.rows)
            ]
            for line in lines:  # read here, as the driver does; written on a worker's own machine
                yield json.loads(line)
                while self.inbox.get()[0] != "durable":
                    pass
            for number in numbers:
                yield {"kind": "status", "member": number, "status": "finished", "step": self.rows - 1}
            yield {"kind": "batch", "number": batch["number"], "complete": True}

    def gone(self) -> Any:
        """It never is."""
        raise AssertionError


class Pretended:
    """Hires all at once."""

    look_seconds = None

    def __init__(self, rows: int):
        self.rows = rows

    def open(self) -> Any:
        """Nothing."""
        return nullcontext()

    def hire(self, lines: Sequence[Any], waiting: Sequence[Any]) -> Any:
        """One more."""
        return Pretending(self.rows)

    def is_ready(self, line: Any) -> bool:
        """Always."""
        return True

    def suits(self, line: Any, batch: Any) -> bool:
        """Always."""
        return True

    def welcome(self, line: Any, hello: Any) -> None:
        """Nothing."""

    def dismiss(self, lines: Sequence[Any]) -> None:
        """Let them end."""
        for line in lines:
            line.send("end")


def capacity(members: Sequence[int], rows: int = 20, batch_size: int = 4) -> tuple[Table, list[dict[str, float]]]:
    """Rows a second that one crew with its store makes durable, from workers that wait for nothing else."""
    found = [_capacity(count, rows if count < 5_000 else max(2, rows // 5), batch_size) for count in members]
    table = Table("What one writer takes", ("members at once", "workers", "rows/s", "messages/s", "members ended/s"))
    for each in found:
        names = ("members", "workers", "rows_per_second", "messages_per_second", "ends_per_second")
        table.rows.append(tuple(digits(each[name]) for name in names))
    table.notes.append(
        f"rows of {MEASURES} measures, {batch_size} members a message; a worker sends the next when one is durable"
    )
    return table, found


def _capacity(members: int, rows: int, batch_size: int) -> dict[str, float]:
    from afterfit.engine.crew import Crew
    from afterfit.engine.members import Batch, Member
    from afterfit.lab.keeper import Keeper
    from afterfit.lab.progress import Silent
    from afterfit.spec.presets import preset
    from afterfit.spec.written import to_dict
    from afterfit.store import MemberRecord, RunStore

    experiment = preset("modular-addition").experiment
    everybody = [Member(number, number, experiment) for number in range(members)]
    batches = [
        Batch(i, tuple(everybody[low : low + batch_size])) for i, low in enumerate(range(0, members, batch_size))
    ]
    records = [MemberRecord(m.number, m.seed, {}, to_dict(experiment), b.number) for b in batches for m in b.members]
    folder = Path(tempfile.mkdtemp(prefix="afterfit-cluster-"))
    moments: dict[str, list[float]] = {"rows": [], "status": []}
    with RunStore.create(folder / "run", meta={}, members=records) as store:
        keeper = Keeper(store, Silent())

        def keep(message: dict[str, Any]) -> None:
            keeper.keep(message)
            sent = len(message["rows"]) / batch_size if message["kind"] == "rows" else 1
            moments.setdefault(message["kind"], []).extend([time.monotonic()] * int(sent))

        Crew(Pretended(rows), folder / "run", checkpoint_seconds=CHECKPOINT_SECONDS).train(batches, {}, keep)
    shutil.rmtree(folder)
    # The first row of a member sets its status too; the middle half of all is what goes on most of the time.
    messages = _rate(moments["rows"], 0.25, 0.75)
    return {
        "members": members, "workers": len(batches), "rows_per_second": messages * batch_size,
        "messages_per_second": messages, "ends_per_second": _rate(moments["status"], 0.0, 1.0),
    }  # fmt: skip


def _rate(moments: Sequence[float], low: float, high: float) -> float:
    """Moments a second between two shares of them."""
    first, last = int(low * len(moments)), max(int(high * len(moments)) - 1, int(low * len(moments)) + 1)
    return (last - first) / (moments[last] - moments[first])


# --- where it stops ---------------------------------------------------------------------------------------------------


def scaling(measured: Sequence[dict[str, float]], seed: int) -> tuple[Table, list[dict[str, float]]]:
    """How much of their time workers train, by their number and the time between observations, with one writer.

    A queue with one server: every worker sends a message after each interval, and waits at each checkpoint until its
    last message is durable. A message takes what it took in --capacity, at the most members that were tried.
    """
    takes = 1 / measured[-1]["messages_per_second"]
    intervals, counts = (1.0, 5.0, 20.0), (10, 100, 1_000, 3_000, 10_000)
    table = Table("Share of their time in which workers train", ("workers", *(f"every {t:g} s" for t in intervals)))
    found = []
    for count in counts:
        shares = [busy_share(count, interval, takes, seed) for interval in intervals]
        table.rows.append((f"{count:,}", *(f"{share:.0%}" for share in shares)))
        found += [{"workers": count, "interval": t, "share": s} for t, s in zip(intervals, shares, strict=True)]
    limits = ", ".join(f"{t / takes:,.0f} at {t:g} s" for t in intervals)
    table.notes.append(
        f"a message takes {1e3 * takes:.2f} ms; on paper the writer is full with {limits} between observations"
    )
    return table, found


def busy_share(workers: int, interval: float, takes: float, seed: int, seconds: float = 300.0) -> float:
    """Simulated: the share of `seconds` in which workers train and do not wait for the writer."""
    rng = np.random.default_rng(seed)
    moments = [(start, number, 0.0) for number, start in enumerate(rng.uniform(0, interval, workers))]
    heapq.heapify(moments)
    checkpoints = rng.uniform(0, CHECKPOINT_SECONDS, workers)
    free_at, waited = 0.0, 0.0
    while moments and moments[0][0] < seconds:
        now, number, _ = heapq.heappop(moments)
        free_at = max(free_at, now) + takes
        goes_on = now
        if now >= checkpoints[number]:
            goes_on, checkpoints[number] = free_at, now + CHECKPOINT_SECONDS
            waited += min(free_at, seconds) - now
        heapq.heappush(moments, (goes_on + interval, number, 0.0))
    return 1 - waited / (workers * seconds)


# --- what losses do ---------------------------------------------------------------------------------------------------


def losses(times: int, seed: int) -> tuple[Table, dict[str, Any]]:
    """A study over and over, each time with a node lost at another random moment: its results against a run here."""
    import afterfit as af
    from afterfit.lab.progress import Silent
    from afterfit.store import read

    class Losing(Silent):
        def __init__(self, at: int):
            self.at, self.rows, self.texts = at, 0, []

        def message(self, message: Any) -> None:
            self.texts += [message["text"]] if "text" in message else []
            self.rows += len(message["rows"]) if message["kind"] == "rows" else 0
            if 0 <= self.at <= self.rows:
                self.at = -1
                machines.lose()

    study = {"seeds": 4, "steps": 600, "batch_size": 1, "checkpoint_seconds": 1.0, "changes": {"schedule.steps": 10}}
    folder, moment, outcomes = Path(tempfile.mkdtemp(prefix="afterfit-cluster-")), random.Random(seed), []
    whole = read(af.run("modular-addition", out=folder / "whole", workers=1, **study).folder).table
    with Machines() as machines:
        for number in range(times):
            machines.be(2)
            losing = Losing(moment.randrange(4, len(whole) - 20))
            at, began = losing.at, time.monotonic()
            runs = af.run(
                "modular-addition",
                out=folder / f"{number}",
                cluster=machines.address,
                progress=losing,
                retries=0,
                **study,
            )
            table = read(runs.folder).table
            same = table.values.tobytes() == whole.values.tobytes() and bool((table.step == whole.step).all())
            told = [text for text in losing.texts if "lost with its node" in text or "goes on from step" in text]
            outcomes.append({"at_row": at, "same": same, "seconds": time.monotonic() - began, "told": told})
    shutil.rmtree(folder)
    table = Table("A node lost at a random moment", ("what was told", "at row", "same bits", "s"))
    for each in outcomes:
        table.rows.append(
            ("; ".join(each["told"]), f"{each['at_row']:,}", "yes" if each["same"] else "no", f"{each['seconds']:.0f}")
        )
    same = sum(each["same"] for each in outcomes)
    table.notes.append(f"{same} of {times} studies of {len(whole):,} rows ended with the bits of a run on one machine")
    return table, {"study": study, "outcomes": outcomes}


if __name__ == "__main__":
    main()
