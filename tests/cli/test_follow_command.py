"""`afterfit show --follow` beside a process that writes."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

WRITER = """
import sys, time
from afterfit.store import MemberRecord, RunStore

rules = [{"name": "memorised", "measure": "train/accuracy", "at_least": 0.99}]
store = RunStore.create(sys.argv[1], meta={"rules": rules}, members=[MemberRecord(0, 7, {}, {})])
print("made", flush=True)
for i in range(12):
    sys.stdin.readline()  # one observation when it is asked for
    values = {"train/accuracy": min(1.0, i / 3), "test/accuracy": 0.1 if i < 8 else 1.0, "weight_norm": 30.0 - i}
    store.append([(0, 100 * i, values)])
    store.set_status(0, "running", 100 * i)
    print("wrote", flush=True)
sys.stdin.readline()
store.set_status(0, "finished", 1100)
store.close()
"""


@pytest.fixture
def writer(tmp_path):
    """A process that writes a run, an observation each time it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "made\n"
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def write(process, times=1):
    for _ in range(times):
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "wrote\n"


def end(process):
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.wait(timeout=30) == 0


def started(command, folder, **options):
    # Where the tests run in the background, they ignore Ctrl-C, and what they start would too.
    hearing = "import os, signal, sys; signal.signal(2, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    return subprocess.Popen([sys.executable, "-c", hearing, *command, "show", "--follow", str(folder)], **options)


def test_plain_lines_tell_each_change_while_another_process_writes_and_end_with_it(command, writer, tmp_path):
    following = started(command, tmp_path / "run", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert following.stdout.readline() == f"following {tmp_path / 'run'}: 0 of 1 member ended\n"
        write(writer)
        assert following.stdout.readline().startswith("seed 7: step 0, fitting: training accuracy was 0.000")
        write(writer, 3)
        assert following.stdout.readline().startswith("seed 7: step 300, memorised: training accuracy 1.000 has")
        write(writer, 5)
        assert following.stdout.readline().startswith("seed 7: step 800, generalised: test accuracy 1.000")
        write(writer, 3)
        end(writer)
        rest, errors = following.communicate(timeout=30)
    finally:
        following.kill()
        following.communicate()
    assert (following.returncode, errors) == (0, "")
    assert rest == "seed 7 finished at step 1,100\n1 of 1 member ended, step 1,100, 1 generalised\n"


def test_a_terminal_shows_a_table_that_ctrl_c_ends_and_the_training_goes_on(command, writer, tmp_path):
    write(writer, 6)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}
    following = started(command, tmp_path / "run", stdout=theirs, stderr=theirs, stdin=theirs, env=environment)
    os.close(theirs)
    shown = read(ours, until="weight norm")
    write(writer, 4)
    shown += read(ours, until="generalised")
    following.send_signal(signal.SIGINT)
    shown += read(ours, until="no longer following")
    assert following.wait(timeout=30) == 0
    os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert re.search(r"seed +step +status +phase +test accuracy +weight norm", plain)
    assert re.search(r"7 +500 +running +memorised +▂+ +0\.1 → +[▁▂▃▄▅▆▇█]{10} +25 ↘", plain)
    assert "0 of 1 member ended, step 500, 1 memorised; last written" in " ".join(plain.split())
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back
    write(writer, 2)
    end(writer)


def test_a_run_that_has_ended_is_shown_once(afterfit, writer, tmp_path):
    write(writer, 12)
    end(writer)
    code, output, errors = afterfit("show", "--follow", tmp_path / "run")
    assert (code, errors) == (0, "")
    assert output.splitlines()[-1] == "1 of 1 member ended, step 1,100, 1 generalised"


def test_a_folder_without_a_run_is_refused_in_a_line(afterfit, tmp_path):
    code, output, errors = afterfit("show", "--follow", tmp_path)
    assert (code, output) == (1, "")
    assert errors.count("\n") == 1


def read(descriptor: int, until: str, within: float = 60.0) -> str:
    """What a pseudo-terminal shows until this is in it."""
    content, last = b"", time.monotonic() + within
    while time.monotonic() < last and until not in content.decode(errors="ignore"):
        if select.select([descriptor], [], [], 0.5)[0]:
            try:
                content += os.read(descriptor, 65536)
            except OSError:  # the other side is closed
                break
    found = content.decode(errors="ignore")
    assert until in found, found
    return found
