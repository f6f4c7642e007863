"""However a run is ended early, the same command goes on, and ends bit-identical to a run without a break."""

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

import afterfit as af
from afterfit.store import read

LONG = ("--seeds", 4, "--batch-size", 2, "--steps", 6_000, "--checkpoint-seconds", 0.2)


def is_row(line: dict) -> bool:
    return line["kind"] == "observation"


@pytest.fixture(scope="module")
def whole(tiny_toml, tmp_path_factory) -> Path:
    """The folder of the same run without a break."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    af.run(tiny_toml, out=folder, seeds=4, batch_size=2, steps=6_000, workers=0)
    return folder


@pytest.fixture
def begin(start, tiny_toml, tmp_path):
    """Start the long run, or let it go on, in the test's folder."""
    return lambda workers=1, *more: start(tiny_toml, *LONG, "--workers", workers, "--out", tmp_path / "run", *more)


@pytest.fixture
def assert_goes_on(tiny_toml, tmp_path, whole, contents):
    """The same run goes on and ends the same; here, which is quicker than in a process."""

    def check() -> None:
        af.run(tiny_toml, out=tmp_path / "run", seeds=4, steps=6_000, workers=0)
        assert contents(tmp_path / "run") == contents(whole)

    return check


def test_a_run_that_is_killed_at_random_moments_ends_bit_identical_to_one_that_was_not(
    begin, are_gone, tmp_path, whole, contents
):
    moment = random.Random(0)
    for rows in (0, 1, 30, 100, 60, 1):
        process = begin()
        if rows:
            process.until(is_row, rows)
        time.sleep(moment.uniform(0, 0.3) if rows else 1)
        workers = process.workers()
        process.kill_all()
        assert are_gone(workers, within=3)
    process = begin()
    list(process.lines())
    assert process.ended() == (0, "")
    notes = [line["text"] for line in process.told if line["kind"] == "note"]
    assert any(re.fullmatch(r"batch [01] goes on from step [\d,]+", note) for note in notes)
    assert contents(tmp_path / "run") == contents(whole)


def test_when_the_driver_is_killed_its_workers_end_by_themselves(begin, are_gone, assert_goes_on):
    process = begin(workers=2)
    process.until(is_row, 20)
    workers = process.workers()
    assert len(workers) == 2
    os.kill(process.popen.pid, signal.SIGKILL)
    assert are_gone(workers, within=3)
    assert_goes_on()


def test_when_a_worker_is_killed_its_batch_goes_on_with_another_and_it_is_said(begin, tmp_path, whole, contents):
    process = begin(workers=2)
    process.until(is_row, 20)
    os.kill(process.workers()[0], signal.SIGKILL)
    list(process.lines())
    assert process.ended() == (0, "")
    (said,) = [line["text"] for line in process.told if line["kind"] == "returned"]
    killed = (
        r"the worker of batch [01] was killed by signal 9, perhaps for want of memory; it is tried again \(1 of 1\)"
    )
    assert re.fullmatch(killed, said)
    assert contents(tmp_path / "run") == contents(whole)


def test_when_a_worker_is_killed_and_nothing_is_tried_again_the_others_go_on(begin, tmp_path, assert_goes_on):
    process = begin(2, "--retries", 0)
    process.until(is_row, 20)
    os.kill(process.workers()[0], signal.SIGKILL)
    list(process.lines())
    code, errors = process.ended()
    assert code == 1
    said = "was killed by signal 9, perhaps for want of memory; the rest is kept, the same command tries again\n"
    assert errors in [f"afterfit: the worker of batch {number} {said}" for number in (0, 1)]
    assert sorted(record.status for record in read(tmp_path / "run").members) == ["finished"] * 2 + ["waiting"] * 2
    assert_goes_on()


@pytest.mark.parametrize("request_to_stop", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_the_whole_group_stops_it_soon_with_a_word_on_how_to_go_on(
    begin, are_gone, tmp_path, assert_goes_on, request_to_stop
):
    process = begin(workers=2)
    process.until(is_row, 20)
    workers, asked_at = process.workers(), time.monotonic()
    os.killpg(process.popen.pid, request_to_stop)
    assert process.ended(within=10) == (
        130,
        f"\nafterfit: stopped; everything is kept in {tmp_path / 'run'}; the same command goes on from here\n",
    )
    assert time.monotonic() - asked_at < 5
    assert are_gone(workers, within=1)
    statuses = {record.status for record in read(tmp_path / "run").members}
    assert "waiting" in statuses
    assert "running" not in statuses
    assert_goes_on()


@pytest.mark.parametrize("after", [0.5, 1.5])
def test_ctrl_c_before_anything_is_trained_ends_it_without_many_words(begin, are_gone, after):
    process = begin()
    time.sleep(after)
    workers = process.workers()
    os.killpg(process.popen.pid, signal.SIGINT)
    code, errors = process.ended(within=15)
    assert code in (130, -signal.SIGINT)
    assert "Traceback" not in errors
    assert are_gone(workers, within=1)


def test_a_second_ctrl_c_does_not_wait(begin, are_gone, assert_goes_on):
    process = begin()
    process.until(is_row, 5)
    workers = process.workers()
    for worker in workers:  # it will not answer
        os.kill(worker, signal.SIGSTOP)
    os.killpg(process.popen.pid, signal.SIGINT)
    time.sleep(0.3)
    os.killpg(process.popen.pid, signal.SIGINT)
    code, errors = process.ended(within=10)
    assert code == 130
    assert errors == "afterfit: stopped\n"
    assert are_gone(workers, within=1)
    assert_goes_on()


def test_a_running_folder_is_not_given_to_another_and_the_other_is_told_who_has_it(begin, start, tiny_toml, tmp_path):
    process = begin()
    process.until(is_row)
    other = start(tiny_toml, *LONG, "--out", tmp_path / "run")
    code, errors = other.ended()
    assert code == 1
    assert errors.startswith(f"afterfit: {tmp_path / 'run'} is being written by process {process.popen.pid} on ")
    assert errors.count("\n") == 1
