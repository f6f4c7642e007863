"""What is stored is what is read, bit for bit."""

import math
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterfit.store import FolderMismatch, MemberRecord, RunStore, StoreError, is_run, read

NAMES = st.sampled_from(["train/rnc1", "test/accuracy", "train/entropy@block0", "weight_norm", "Größe", "a b;--"])
FLOATS = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True, width=64)
ROWS = st.dictionaries(
    st.tuples(st.integers(0, 2), st.integers(0, 10**12)), st.dictionaries(NAMES, FLOATS, max_size=6), max_size=12
)
THREE = [MemberRecord(i, i, {}, {}) for i in range(3)]


def bits(value: float) -> bytes:
    """The bits of a float, with one NaN for all."""
    return b"NaN" if math.isnan(value) else struct.pack("<d", value)


def stored(folder: Path) -> dict:
    """Everything in a run as {(member, step): {measure: bits}}, NaN left out."""
    table = read(folder).table
    keys = zip(table.member.tolist(), table.step.tolist(), strict=True)
    rows = [{n: bits(v) for n, v in zip(table.measures, row, strict=True) if v == v} for row in table.values.tolist()]
    return dict(zip(keys, rows, strict=True))


def expected(rows: dict) -> dict:
    return {key: {n: bits(v) for n, v in values.items() if v == v} for key, values in rows.items()}


def written(batches: list[list]) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        with RunStore.create(folder, meta={}, members=THREE) as run:
            for batch in batches:
                run.append(batch)
        return stored(Path(folder))


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, data=st.data())
def test_every_float_survives_in_any_order_of_appends_and_twice(rows, data):
    triples = [(*key, values) for key, values in rows.items()]
    shuffled = data.draw(st.permutations(triples))
    cut = data.draw(st.integers(0, len(triples)))
    assert written([triples]) == expected(rows)
    assert written([shuffled[:cut], shuffled[cut:], shuffled[:cut]]) == expected(rows)


@pytest.mark.parametrize(
    "value", [-0.0, 0.0, 5e-324, -2.2e-308, math.inf, -math.inf, math.nan, 0.1, 2.0**60, 1e308, 1.0]
)
def test_awkward_floats_survive_resuming_too(tmp_path, members, value):
    with RunStore.create(tmp_path, meta={}, members=members(1)) as run:
        run.append([(0, 1, {"x": value})])
    RunStore.resume(tmp_path).close()
    assert bits(read(tmp_path).table.values[0, 0]) == bits(value)


def test_a_row_written_again_replaces_the_one_before(tmp_path, members):
    with RunStore.create(tmp_path, meta={}, members=members(1)) as run:
        run.append([(0, 1, {"x": 1.0, "y": 2.0})])
        run.append([(0, 1, {"x": 3.0})])
    assert stored(tmp_path) == expected({(0, 1): {"x": 3.0}})


def test_a_measure_that_comes_later_leaves_older_rows_valid_and_nan(tmp_path, members):
    with RunStore.create(tmp_path, meta={}, members=members(1)) as run:
        run.append([(0, 1, {"b": 1.0})])
        run.append([(0, 2, {"a": 2.0, "b": 3.0, "c": 4.0})])
        assert run.measures == ("b", "a", "c")
    assert stored(tmp_path) == expected({(0, 1): {"b": 1.0}, (0, 2): {"a": 2.0, "b": 3.0, "c": 4.0}})
    assert np.isnan(read(tmp_path).observations["a"].values[0, 0])


def test_meta_members_status_and_log_are_kept(tmp_path, meta, members):
    with RunStore.create(tmp_path, meta=meta, members=members(3)) as run:
        run.set_status(1, "diverged", 400)
        run.log("interrupted", "by a test")
    contents = read(tmp_path)
    assert contents.meta == meta
    assert [(each.status, each.step) for each in contents.members] == [
        ("waiting", 0),
        ("diverged", 400),
        ("waiting", 0),
    ]
    assert [(entry.kind, entry.text) for entry in contents.log] == [("interrupted", "by a test")]
    with RunStore.resume(tmp_path) as run:
        assert run.meta == meta
        assert run.members == contents.members


def test_steps_are_those_stored_for_the_member(tmp_path, members):
    with RunStore.create(tmp_path, meta={}, members=members(2)) as run:
        run.append([(0, 20, {"x": 1.0}), (0, 10, {}), (1, 5, {"x": 2.0})])
        assert run.steps(0).tolist() == [10, 20]
        assert run.steps(1).tolist() == [5]
        assert run.steps(1).dtype == np.int64


def test_a_run_can_be_extended_by_more_seeds(fill, tmp_path):
    fill(tmp_path, count=2)
    with RunStore.resume(tmp_path) as run:
        run.add_members([MemberRecord(2, 102, {"optimizer.weight_decay": 9.0}, {})], meta={"seeds": 3})
        run.append([(2, 10, {"new": 1.0})])
    contents = read(tmp_path)
    assert [each.seed for each in contents.members] == [100, 101, 102]
    assert contents.meta["seeds"] == 3
    assert contents.observations["new"].sel(member=2, step=10) == 1.0


def test_numpy_scalars_in_meta_and_members_become_json(tmp_path):
    record = MemberRecord(0, 0, {"lr": np.float64(0.5)}, {"shape": (1, 2)})
    with RunStore.create(tmp_path, meta={"seeds": np.int64(3)}, members=[record]) as run:
        assert run.meta == {"seeds": 3}
        assert run.members[0].varied == {"lr": 0.5}
        assert run.members[0].experiment == {"shape": [1, 2]}


@pytest.mark.parametrize(
    "name", ['a"b', "a\nb", "", "step", "Member", "seed", "status", "optimizer.weight_decay", "\ud800"]
)
def test_impossible_measure_names_are_refused_and_nothing_is_stored(tmp_path, members, refused, name):
    with RunStore.create(tmp_path, meta={}, members=members(1)) as run:
        with refused(StoreError, "measure name"):
            run.append([(0, 1, {"fine": 1.0, name: 1.0})])
        assert run.steps(0).size == 0


def test_names_that_differ_only_in_case_are_refused(tmp_path, members, refused):
    with RunStore.create(tmp_path, meta={}, members=members(1)) as run, refused(StoreError, "'loss'", "'Loss'", "case"):
        run.append([(0, 1, {"loss": 1.0, "Loss": 1.0})])


def test_an_append_that_fails_stores_nothing(tmp_path, members, values, refused):
    with RunStore.create(tmp_path, meta={}, members=members(1)) as run:
        with refused(StoreError, "'x'", "'text'"):
            run.append([(0, 1, values(0, 1)), (0, 2, {"x": "text", "y": None})])
        run.append([(0, 3, {"y": 1.0})])
    assert stored(tmp_path) == expected({(0, 3): {"y": 1.0}})


def test_unknown_members_and_statuses_are_refused(tmp_path, members, refused):
    with RunStore.create(tmp_path, meta={}, members=members(2)) as run:
        with refused(StoreError, "member 7", "2"):
            run.append([(7, 1, {"x": 1.0})])
        with refused(StoreError, "'done'", "finished"):
            run.set_status(0, "done", 1)
        with refused(StoreError, "member 1", "unique"):
            run.add_members(members(2)[1:])


def test_what_is_no_json_is_refused_by_name(tmp_path, refused):
    with refused(StoreError, "'rules'", "JSON"):
        RunStore.create(tmp_path, meta={"rules": object()}, members=[])
    assert not is_run(tmp_path)


def test_a_folder_with_a_run_takes_no_other(fill, tmp_path, meta, refused):
    fill(tmp_path, count=1)
    with refused(FolderMismatch, str(tmp_path), "resume"):
        RunStore.create(tmp_path, meta=meta, members=[])
    with RunStore.resume(tmp_path) as run:
        run.require(meta)
        with refused(FolderMismatch, "experiment.task.p is 97 there, 113 was asked for"):
            run.require({"experiment": {"task": {"p": 113}}})
