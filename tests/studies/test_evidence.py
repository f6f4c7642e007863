"""Tables that take long: kept as they grow, gone on with, and begun anew when they are of something else."""

import json
from collections import Counter

import pandas as pd
import pytest

from afterfit.studies import evidence as module
from afterfit.studies.evidence import Evidence

ITEMS = [("main", member, 0.1 * member) for member in range(8)]


class Work:
    """Counts what it computes, and stops when it is told to."""

    def __init__(self):
        self.asked = Counter()
        self.stop_at = None

    def of(self, item):
        sweep, member, strength = item
        if member == self.stop_at:
            raise KeyboardInterrupt
        self.asked[member] += 1
        return [{"sweep": sweep, "member": member, "half": half, "value": strength / 3} for half in (0, 1)]

    def table(self, evidence):
        return pd.DataFrame(evidence.rows("slow", iter(ITEMS), self.of))


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 1)
    return Work(), Evidence("quick", tmp_path, {}, {})


EXPECTED = pd.DataFrame([row for item in ITEMS for row in Work().of(item)])


def test_rows_that_were_computed_before_a_stop_are_not_computed_again(work):
    work, evidence = work
    work.stop_at = 5
    with pytest.raises(KeyboardInterrupt):
        evidence.table("slow", work.table, needs=())
    assert not (evidence.folder / "record/tables/slow.csv").exists()
    work.stop_at = None
    found = evidence.table("slow", work.table, needs=())
    pd.testing.assert_frame_equal(found, EXPECTED)
    assert work.asked == Counter(range(8))
    assert [path.name for path in (evidence.folder / "keys").iterdir()] == ["slow.json"], "nothing unfinished is left"


def test_a_row_that_was_cut_off_by_a_kill_is_computed_again(work):
    work, evidence = work
    work.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        evidence.table("slow", work.table, needs=())
    rows = evidence.folder / "keys/slow.rows.jsonl"
    *whole, last = rows.read_text().splitlines()
    rows.write_text("\n".join([*whole, last[:-9]]))
    work.stop_at = None
    pd.testing.assert_frame_equal(evidence.table("slow", work.table, needs=()), EXPECTED)
    assert work.asked == Counter(range(8)) + Counter([json.loads(last)[0][1]])


def test_unfinished_rows_of_something_else_are_of_no_use(work, monkeypatch):
    work, evidence = work
    work.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        evidence.table("slow", work.table, needs=())
    work.stop_at, before = None, Counter(work.asked)
    monkeypatch.setattr(module, "__version__", "another")
    evidence.table("slow", work.table, needs=())
    assert work.asked == Counter(range(8)) + before


def test_rows_keep_their_order_on_many_cores(work, monkeypatch):
    work, evidence = work
    monkeypatch.setattr(module, "cores", lambda: 4)
    pd.testing.assert_frame_equal(evidence.table("slow", work.table, needs=()), EXPECTED)


def test_a_value_that_is_not_plain_is_refused(work):
    _, evidence = work

    def compute(evidence):
        return pd.DataFrame(evidence.rows("odd", [1], lambda item: [{"value": object()}]))

    with pytest.raises(TypeError, match="not JSON serializable"):
        evidence.table("odd", compute, needs=())
    assert json.loads((evidence.folder / "keys/odd.begun.json").read_text())["runs"] == {}
