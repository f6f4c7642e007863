"""What `show --follow` makes of a folder at one moment; the command itself is tested beside the other commands."""

import hashlib
import io

import numpy as np
import pytest
from rich.console import Console

from afterfit.report.follow import Reader, follow, members_table, whole
from afterfit.report.sparklines import sparkline
from afterfit.store import MemberRecord, NotARun, RunStore

RULES = [
    {"name": "memorised", "measure": "train/accuracy", "at_least": 0.99},
    {"name": "generalised", "measure": "test/accuracy", "at_least": 0.85},
]


def made(folder, members=2):
    records = [MemberRecord(n, n, {"optimizer.weight_decay": 0.5}, {}) for n in range(members)]
    return RunStore.create(folder, meta={"rules": RULES}, members=records)


def row(member, step, test):
    values = {"train/accuracy": 1.0, "test/accuracy": test, "train/rnc1": 0.5, "weight_norm": 20.0 - step / 100}
    return member, step, values


def text(lines, width=120, height=30):
    console = Console(width=width, height=height, file=io.StringIO())
    console.print(members_table(lines, console))
    return console.file.getvalue()


def test_each_member_is_shown_where_it_is_by_the_bounds_that_the_run_declared(tmp_path):
    with made(tmp_path / "run") as writer:
        writer.append([row(0, step, 0.1) for step in range(0, 1_000, 100)] + [row(1, 0, 0.1), row(1, 100, 0.85)])
        writer.set_status(0, "running", 900)
        reader = Reader(tmp_path / "run")
        assert reader.changed()
        assert [line.phase.name for line in reader.lines] == ["memorised", "generalised"]
        shown = text(reader.lines)
        assert "test accuracy" in shown
        assert "weight norm" in shown
        first = next(line for line in shown.splitlines() if "running" in line)
        assert first.split()[:5] == ["0", "0.5", "900", "running", "memorised"]
        assert "11 ↘" in first  # the norm falls
        assert whole(reader.lines) == "0 of 2 members ended, steps 100 to 900, 1 memorised, 1 generalised"


def test_a_folder_is_read_again_only_when_something_was_written_and_reading_changes_nothing(tmp_path):
    def digest():
        files = sorted(path for path in (tmp_path / "run").iterdir() if not path.name.endswith("-shm"))
        return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]

    with made(tmp_path / "run") as writer:
        writer.append([row(0, 0, 0.1)])
        reader, before = Reader(tmp_path / "run"), digest()
        assert reader.changed()
        assert not reader.changed()
        assert digest() == before
        writer.append([row(0, 100, 0.2)])
        assert reader.changed()
        assert reader.lines[0].step == 100


def test_a_member_without_an_observation_waits(tmp_path):
    with made(tmp_path / "run"):
        reader = Reader(tmp_path / "run")
        reader.changed()
        assert whole(reader.lines) == "0 of 2 members ended"
        assert "waiting" in text(reader.lines)


def test_no_more_is_shown_than_there_is_room_for_and_those_in_training_first(tmp_path):
    with made(tmp_path / "run", members=20) as writer:
        writer.append([row(n, 0, 0.1) for n in range(20)])
        for n in range(20):
            writer.set_status(n, "running" if n >= 15 else "finished", 0)
        reader = Reader(tmp_path / "run")
        reader.changed()
        shown = text(reader.lines, width=70, height=11)
        assert [line.split()[0] for line in shown.splitlines() if "running" in line] == ["15", "16", "17", "18", "19"]
        assert "and 15 more" in shown
        assert "weight norm" not in shown


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(NotARun):
        follow(tmp_path, Console())


# Sparklines


def test_heights_are_where_the_values_lie():
    assert sparkline(np.arange(8), np.arange(8.0), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.arange(8), -np.arange(8.0), 8) == "█▇▆▅▄▃▂▁"
    assert sparkline(np.arange(3), np.array([0.0, 0.5, 1.0]), 3, (0.0, 2.0)) == "▁▃▅"
    assert sparkline(np.arange(4), np.full(4, 7.0), 4) == "▄▄▄▄"


def test_a_character_is_the_last_value_by_its_step_however_unevenly_it_was_observed():
    steps, values = np.array([0, 1, 2, 3, 4, 100]), np.array([0.0, 0, 0, 0, 0, 1])
    assert sparkline(steps, values, 5) == "▁▁▁▁█"


def test_what_spans_decades_is_drawn_by_its_logarithm():
    values = 10.0 ** -np.arange(8)
    assert sparkline(np.arange(8), values, 8) == "█▇▆▅▄▃▂▁"
    assert sparkline(np.arange(2), np.array([1.0, 0.0]), 2) == "█▁"  # no logarithm of 0


def test_what_is_no_number_is_passed_over():
    assert sparkline(np.arange(3), np.array([np.nan, 0.0, 1.0]), 2) == "▁█"
    assert sparkline(np.arange(3), np.full(3, np.nan), 4) == "    "
    assert sparkline(np.array([5]), np.array([2.0]), 3) == "▄▄▄"
