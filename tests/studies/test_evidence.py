"""Tables that take long: kept as they grow, gone on with, and begun anew when they are of something else."""

import importlib
import json
from collections import Counter
from types import SimpleNamespace

import pandas as pd
import pytest

from afterfit.studies import evidence as module
from afterfit.studies.evidence import Evidence, kept_steps, sources

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


def test_a_table_is_of_the_source_of_all_that_computes_it(tmp_path, monkeypatch):
    texts = {
        "made_up_readings": "def half(x):\n    return x / 2\n",
        "made_up_tables": "from made_up_readings import half\n\ndef table():\n    return half(3)\n",
        "made_up_claims": "import made_up_tables\n",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "COMPUTING", ("made_up_",))
    tables = importlib.import_module("made_up_tables")
    before = sources(tables)
    (tmp_path / "made_up_claims.py").write_text("import made_up_tables\nBAND = 3\n")
    assert sources(tables) == before, "what only reads the table changes nothing"
    (tmp_path / "made_up_readings.py").write_text("def half(x):\n    return x / 2.0\n")
    assert sources(tables) != before


def test_where_a_run_diverged_nothing_can_be_looked_at():
    members = [SimpleNamespace(status="diverged", step=300), SimpleNamespace(status="finished", step=300)]
    runs = SimpleNamespace(members=members, snapshots=lambda member: [0, 100, 300])
    assert kept_steps(runs, 0) == [0, 100]
    assert kept_steps(runs, 1) == [0, 100, 300]
