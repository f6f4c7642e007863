"""Nodes come and go, the driver dies, disks fill: the study ends, with the results of one machine."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

import afterfit as af
from afterfit.store import StoreFull, read

LONG = {"seeds": 4, "steps": 4_000, "batch_size": 1, "checkpoint_seconds": 0.3}


@pytest.fixture(scope="module")
def whole(tiny_toml, tmp_path_factory):
    """The folder of the same run on this machine alone."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    af.run(tiny_toml, out=folder, workers=1, **LONG)
    return folder


def assert_whole(folder, whole, contents):
    """Same results, no row missing and none twice, all members ended."""
    assert contents(folder) == contents(whole)
    table = read(folder).table
    keys = list(zip(table.member.tolist(), table.step.tolist(), strict=True))
    assert len(keys) == len(set(keys)) == 4 * 81


@pytest.mark.parametrize("seed", [0, 1])
def test_a_node_is_lost_at_a_random_moment_and_the_study_ends_the_same(
    machines, tiny_toml, tmp_path, told, whole, contents, seed
):
    begun = set()  # batches that have a checkpoint when the node is lost

    def lose():
        begun.update(path.parent.name for path in (tmp_path / "run/checkpoints").glob("batch-*/*.safetensors"))
        machines.lose()

    seen = told(at=random.Random(seed).randrange(20, 250), then=lose)
    af.run(tiny_toml, out=tmp_path / "run", cluster=machines.address, progress=seen, retries=0, **LONG)
    (lost,) = seen.texts("lost")
    assert "was lost with its node" in lost
    number = int(re.findall(r"batch (\d+)", lost)[0])
    resumed = [text for text in seen.texts("resumed") if f"batch {number} goes on from step" in text]
    assert resumed or f"batch-{number:05d}" not in begun  # not from step 0
    assert_whole(tmp_path / "run", whole, contents)


def comes(true: Callable[[], bool], within: float = 15.0) -> bool:
    """Whether something comes true in time."""
    until = time.monotonic() + within
    while not true() and time.monotonic() < until:
        time.sleep(0.1)
    return true()


def test_a_node_that_joins_late_gets_work(machines, tiny_toml, tmp_path, told, whole, contents):
    machines.be(1)

    def join():
        machines.add()
        assert comes(lambda: len(machines.workers()) == 2)
        time.sleep(4)  # until it has imported what it needs, so that there is work left for it

    seen = told(at=5, then=join)
    af.run(tiny_toml, out=tmp_path / "run", cluster=machines.address, progress=seen, **LONG)
    assert len(seen.texts("cluster")) == 2  # both nodes have trained
    assert_whole(tmp_path / "run", whole, contents)


@pytest.fixture
def started(machines, tiny_toml, tmp_path):
    """The same run from the command line, in a process of its own, once it has stored some rows."""
    of_run = ["--seeds", "4", "--steps", "4000", "--batch-size", "1", "--checkpoint-seconds", "0.3", "--json-lines"]
    command = [sys.executable, "-m", "afterfit.cli", "run", str(tiny_toml), *of_run]
    hearing = "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", hearing, *command, "--out", str(tmp_path / "run"), "--cluster", machines.address],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    rows = (line for line in process.stdout if '"observation"' in line)
    for _ in range(40):
        assert next(rows, None), process.communicate()[1]
    yield process
    process.kill()
    process.communicate()


def test_the_driver_is_killed_and_started_again_here_or_there(
    started, machines, tiny_toml, tmp_path, told, whole, contents
):
    assert len(machines.workers()) == 2
    started.kill()
    assert comes(lambda: not machines.workers())
    seen = told()
    af.run(tiny_toml, out=tmp_path / "run", workers=1, progress=seen, **LONG)  # what a cluster began ends here
    assert [text for text in seen.texts("resumed") if "goes on from step" in text]
    assert_whole(tmp_path / "run", whole, contents)


def test_ctrl_c_leaves_a_study_that_can_go_on_and_nobody_who_works_for_it(
    started, machines, tiny_toml, tmp_path, whole, contents
):
    os.kill(started.pid, signal.SIGINT)
    _, errors = started.communicate(timeout=30)
    assert started.returncode == 130
    assert (
        errors == f"\nafterfit: stopped; everything is kept in {tmp_path / 'run'}; the same command goes on from here\n"
    )
    assert comes(lambda: not machines.workers())
    assert {record.status for record in read(tmp_path / "run").members} <= {"waiting", "finished"}
    af.run(tiny_toml, out=tmp_path / "run", cluster=machines.address, **LONG)
    assert_whole(tmp_path / "run", whole, contents)


def test_the_writers_disk_is_full_for_a_while(machines, tiny_toml, tmp_path, told, small_disk, whole, contents):
    with small_disk(tmp_path / "disk", "4m") as disk:
        out, ballast = disk / "run", disk / "ballast"
        seen = told(at=60, then=lambda: fill(ballast))
        with pytest.raises(StoreFull, match="free some space"):
            af.run(tiny_toml, out=out, cluster=machines.address, progress=seen, checkpoints=tmp_path / "kept", **LONG)
        ballast.unlink()
        af.run(tiny_toml, out=out, cluster=machines.address, checkpoints=tmp_path / "kept", **LONG)
        assert_whole(out, whole, contents)


def fill(path):
    """Take all the space that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
