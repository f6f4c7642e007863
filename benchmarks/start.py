"""How long a user waits: from `afterfit run modular-addition` to the first numbers, on all cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.settings import Result, Settings
from benchmarks.tables import Floor, Table

FLOOR = 15.0
PRESET = "modular-addition"
ENTRY = "import sys; from afterfit.cli import main; sys.exit(main())"
PATIENCE = 60.0  # seconds that a command has to end after it was asked to


def measure(settings: Settings) -> Result:
    """Once with an empty compilation cache, then with what that left."""
    with tempfile.TemporaryDirectory() as folder:
        cold = first_rows(Path(folder), "cold")
        warm = [first_rows(Path(folder), f"warm-{n}") for n in range(settings.rounds)]
    best = sorted(warm, key=lambda seconds: seconds["first"])[len(warm) // 2]
    table = Table(
        f"From the command `afterfit run {PRESET}`, in seconds", ("compilation cache", "to step 0", "to the next row")
    )
    for name, seconds in (("empty", cold), ("warm", best)):
        table.rows.append((name, f"{seconds['first']:.1f}", f"{seconds['next']:.1f}"))
    first = best["first"]
    result = Result(raw={"cold": cold, "warm": warm})
    floor = Floor("first result, on a warm compilation cache", f"< {FLOOR:.0f} s", f"{first:.1f} s", first < FLOOR)
    result.add(table, [floor])
    settings.show(table)
    return result


def first_rows(folder: Path, name: str) -> dict[str, float]:
    """Seconds to the first observation and to the first one after step 0; then the command is stopped."""
    began, seconds = time.perf_counter(), {}
    command = [sys.executable, "-c", ENTRY, "run", PRESET, "--json-lines", "--out", str(folder / name)]
    environment = {**os.environ, "AFTERFIT_CACHE": str(folder / "cache")}
    with (
        (folder / f"{name}.errors").open("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            message: dict[str, Any] = json.loads(line)
            if message["kind"] == "observation":
                seconds.setdefault("next" if message["step"] else "first", time.perf_counter() - began)
            if "next" in seconds:
                break
        process.terminate()
        process.stdout.read()
        process.wait(PATIENCE)
        if "next" not in seconds:
            errors.seek(0)
            raise RuntimeError(f"afterfit run {PRESET} ended without results: {errors.read().strip()}")
    return seconds
