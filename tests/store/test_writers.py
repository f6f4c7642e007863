"""One writer at a time, whatever becomes of it; what was appended stays."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from afterfit.store import FolderInUse, RunStore, StoreError, read

APPEND_FOREVER = """
import itertools, sys
from afterfit.store import MemberRecord, RunStore
folder, start = sys.argv[1], int(sys.argv[2])
with RunStore.resume(folder) as run:
    for step in itertools.count(start):
        run.append([(m, step, {"x": step + m / 8, f"y{step // 50}": float(step)}) for m in range(3)])
        print(step, flush=True)
"""


def start_writer(folder, first: int) -> subprocess.Popen:
    command = [sys.executable, "-c", APPEND_FOREVER, str(folder), str(first)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed_after(writer: subprocess.Popen, appends: int, more_seconds: float) -> int:
    """The last step whose append returned, in a writer that is killed without warning."""
    lines = [writer.stdout.readline() for _ in range(appends)]
    time.sleep(more_seconds)
    writer.send_signal(signal.SIGKILL)
    lines += writer.stdout.readlines()
    writer.stdout.close()
    assert writer.wait() == -signal.SIGKILL
    return int([line for line in lines if line.endswith("\n")][-1])


def test_every_append_that_returned_survives_a_kill_at_any_moment(tmp_path, members):
    RunStore.create(tmp_path, meta={}, members=members(3)).close()
    moments, first = random.Random(0), 0
    for round in range(10):
        last = killed_after(start_writer(tmp_path, first), moments.randint(1, 20), moments.uniform(0, 0.02))
        if round % 2:
            assert read(tmp_path).table.step.max() >= last  # a reader may come before the writer does
        with RunStore.resume(tmp_path) as run:
            steps = [run.steps(member).tolist() for member in range(3)]
            assert steps[0] == steps[1] == steps[2] == list(range(len(steps[0])))  # an append is there whole
            assert len(steps[0]) > last
            first = len(steps[0])
    table = read(tmp_path).table
    assert (table.values[:, table.measures.index("x")] == table.step + table.member / 8).all()
    assert not list(tmp_path.glob("*.damaged-*"))


def test_a_second_writer_is_told_who_writes(tmp_path, members, refused):
    RunStore.create(tmp_path, meta={}, members=members(3)).close()
    writer = start_writer(tmp_path, 0)
    writer.stdout.readline()
    for opened in (lambda: RunStore.resume(tmp_path), lambda: RunStore.create(tmp_path, meta={}, members=[])):
        with refused(FolderInUse, str(tmp_path), str(writer.pid), os.uname().nodename):
            opened()
    killed_after(writer, 1, 0)
    RunStore.resume(tmp_path).close()


def test_a_second_writer_in_the_same_process_is_refused_until_the_first_closes(tmp_path, members, refused):
    run = RunStore.create(tmp_path, meta={}, members=members(1))
    with refused(FolderInUse, str(os.getpid())):
        RunStore.resume(tmp_path)
    run.close()
    run.close()
    RunStore.resume(tmp_path).close()


FORKING = """
import os, sys
from afterfit.store import MemberRecord, RunStore
run = RunStore.create(sys.argv[1], meta={}, members=[MemberRecord(member=0, seed=0, varied={}, experiment={})])
(wait, done), (started, say) = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.close(done)
    os.write(say, b".")
    os.read(wait, 1)
    os._exit(0)
os.read(started, 1)
run.close()
RunStore.resume(sys.argv[1]).close()
os.close(done)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_that_lives_on_does_not_keep_the_folder(tmp_path):
    # In a process of its own: forking one in which other tests have started JAX or PyTorch is not safe.
    subprocess.run([sys.executable, "-c", FORKING, str(tmp_path)], check=True, timeout=60)


def test_a_failed_start_lets_the_folder_go(tmp_path, members, refused):
    with refused(StoreError, "JSON"):
        RunStore.create(tmp_path, meta={"x": object()}, members=members(1))
    RunStore.create(tmp_path, meta={}, members=members(1)).close()


def test_reading_goes_on_while_a_writer_writes(tmp_path, members):
    RunStore.create(tmp_path, meta={}, members=members(3)).close()
    writer = start_writer(tmp_path, 0)
    writer.stdout.readline()
    counts = []
    for _ in range(15):
        table = read(tmp_path).table
        assert (table.values[:, table.measures.index("x")] == table.step + table.member / 8).all()
        assert len(table) % 3 == 0
        counts.append(len(table))
    killed_after(writer, 1, 0)
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]


@pytest.fixture
def as_nobody():
    """Run as a user without rights, where this process may choose."""
    if os.geteuid() != 0:
        yield
        return
    import pandas  # noqa: F401 - what is imported later may not be readable for that user
    import xarray  # noqa: F401

    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that any user can enter, unlike those of pytest; read-only for users without rights once filled."""
    import tempfile
    from pathlib import Path

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("state", ["closed", "crashed", "crashed without index"])
def test_a_folder_that_cannot_be_written_can_be_read(open_folder, fill, values, request, refused, state):
    fill(open_folder / "run", count=2)
    folder = open_folder / "run"
    if state != "closed":
        with RunStore.resume(folder) as run:
            run.append([(0, 5000, values(0, 5000))])
            folder = shutil.copytree(folder, open_folder / "copy")
        if state == "crashed without index":
            (folder / "runs.sqlite-shm").unlink()
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    open_folder.chmod(0o555)
    request.getfixturevalue("as_nobody")
    assert len(read(folder).table) == (200 if state == "closed" else 201)
    with refused(StoreError, "permission denied"):
        RunStore.resume(folder)
    with refused(StoreError, "permission denied"):
        RunStore.create(open_folder / "new", meta={}, members=[])


def test_a_run_at_rest_is_one_file_and_reading_leaves_nothing_behind(tmp_path, fill):
    fill(tmp_path)
    read(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"runs.sqlite", "run.json", "lock"}
