"""Damage is found, said in one line, and costs only the rows it hit."""

import shutil
import warnings

import numpy as np
import pytest

from afterfit.store import DamageWarning, NotARun, RunStore, StoreDamaged, StoreError, read

PAGE = 4096


def rows_of(folder, **options) -> dict:
    """The rows of a run, {(member, step): {measure: value}}."""
    return rows_in(read(folder, **options).table)


def rows_in(table) -> dict:
    keys = zip(table.member.tolist(), table.step.tolist(), strict=True)
    rows = (dict(zip(table.measures, row, strict=True)) for row in table.values.tolist())
    return dict(zip(keys, rows, strict=True))


def change(path, edit) -> None:
    data = bytearray(path.read_bytes())
    path.write_bytes(edit(data) or data)


def flip(at: int, bit: int = 0):
    def edit(data):
        data[at] ^= 1 << bit

    return edit


def zero(page: int):
    def edit(data):
        data[PAGE * (page - 1) : PAGE * page] = bytes(PAGE)

    return edit


def keep(share: float):
    return lambda data: data[: int(len(data) * share)]


def damage(folder, edit) -> None:
    change(folder / "runs.sqlite", edit)


def pages(folder, kind: str) -> list[int]:
    """The numbers of the pages of the observations that are of a kind: leaf or internal."""
    marks = {"leaf": 10, "internal": 2}
    data = (folder / "runs.sqlite").read_bytes()
    return [i // PAGE + 1 for i in range(0, len(data), PAGE) if i and data[i] == marks[kind]]


DAMAGES = {
    "a leaf zeroed": lambda folder: zero(pages(folder, "leaf")[3]),
    "the root of the tree zeroed": lambda folder: zero(pages(folder, "internal")[0]),
    "cut to two thirds": lambda folder: keep(2 / 3),
    "cut within a page": lambda folder: keep(0.9001),
    "header zeroed": lambda folder: zero(1),
    "the header forbids writing": lambda folder: flip(18, 2),
    "a value flipped": lambda folder: flip(PAGE * (pages(folder, "leaf")[5] - 1) + PAGE - 100, 3),
    "the number of cells lowered": lambda folder: flip(PAGE * (pages(folder, "leaf")[2] - 1) + 4, 0),
    "a random page": lambda folder: lambda data: data.__setitem__(slice(8 * PAGE, 9 * PAGE), b"\xa5" * PAGE),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_told_in_one_line_and_costs_only_what_it_hit(tmp_path, fill, refused, values, name):
    whole = rows_of(fill(tmp_path / "run"))
    damage(tmp_path / "run", DAMAGES[name](tmp_path / "run"))
    with refused(StoreDamaged, "runs.sqlite is damaged", "rows are good", "start the same run again"):
        read(tmp_path / "run")
    with pytest.warns(DamageWarning, match="rows are good"):
        good = rows_of(tmp_path / "run", damaged="warn")
    assert good.items() <= whole.items()
    lost_at_most = {"cut to two thirds": 0.5, "cut within a page": 0.2}.get(name, 0.1)
    assert len(good) >= (1 - lost_at_most) * len(whole)
    RunStore.resume(tmp_path / "run").close()
    assert rows_of(tmp_path / "run") == good


def test_repair_keeps_the_damaged_file_says_so_and_the_rest_can_be_trained_again(tmp_path, fill, meta, members, values):
    whole = rows_of(fill(tmp_path))
    damage(tmp_path, zero(pages(tmp_path, "leaf")[3]))
    as_it_was = (tmp_path / "runs.sqlite").read_bytes()
    with RunStore.resume(tmp_path) as run:
        assert run.meta == meta
        assert run.members == members(4)
        missing = [(m, s, values(m, s)) for m in range(4) for s in range(0, 1000, 10) if s not in run.steps(m)]
        assert 0 < len(missing) < 40
        run.append(missing)
    assert rows_of(tmp_path) == whole
    assert (tmp_path / "runs.sqlite.damaged-1").read_bytes() == as_it_was
    kinds = {entry.kind: entry.text for entry in read(tmp_path).log}
    assert set(kinds) == {"made", "repaired"}
    assert "runs.sqlite.damaged-1" in kinds["repaired"]


def test_a_second_repair_keeps_both_damaged_files(tmp_path, fill):
    fill(tmp_path)
    for _ in range(2):
        damage(tmp_path, zero(pages(tmp_path, "leaf")[3]))
        RunStore.resume(tmp_path).close()
    assert {path.name for path in tmp_path.glob("*.damaged-*")} == {"runs.sqlite.damaged-1", "runs.sqlite.damaged-2"}


@pytest.mark.parametrize("seed", range(3))
def test_no_flipped_bit_ever_changes_what_is_read_unnoticed(tmp_path, fill, seed):
    fill(tmp_path / "sound", count=2, steps=range(40))
    whole = read(tmp_path / "sound")
    rows, size = rows_of(tmp_path / "sound"), (tmp_path / "sound" / "runs.sqlite").stat().st_size
    random = np.random.default_rng(seed)
    for trial in range(25):
        folder = shutil.copytree(tmp_path / "sound", tmp_path / f"{trial}")
        damage(folder, flip(int(random.integers(100, size)), int(random.integers(8))))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = read(folder, damaged="warn")
        assert rows_in(found.table).items() <= rows.items()
        if not told:
            assert rows_in(found.table) == rows
            assert found.log == whole.log
        assert (found.meta, found.members) == (whole.meta, whole.members)


def test_a_changed_value_of_a_readable_database_is_found(tmp_path, fill, execute, refused):
    fill(tmp_path)
    execute(tmp_path, 'UPDATE observations SET "train/m3@block0" = 0.5 WHERE member = 2 AND step = 50')
    with refused(StoreDamaged, "1 rows", "399 rows are good"):
        read(tmp_path)
    with RunStore.resume(tmp_path) as run:
        assert sorted(set(range(0, 1000, 10)) - set(run.steps(2).tolist())) == [50]


@pytest.mark.parametrize("value", ["text", b"blob", 2**62, "\ud800".encode("utf-8", "surrogatepass")])
def test_a_cell_that_is_no_number_costs_its_row(tmp_path, fill, execute, value):
    fill(tmp_path)
    execute(tmp_path, 'UPDATE observations SET "train/m3@block0" = ? WHERE member = 2 AND step = 50', value)
    with pytest.warns(DamageWarning, match="399 rows are good"):
        assert len(read(tmp_path, damaged="warn").table) == 399


@pytest.mark.parametrize("table", ["meta", "members", "log"])
@pytest.mark.parametrize("how", ["DELETE FROM {}", "DROP TABLE {}", "UPDATE {} SET crc = crc + 1"])
def test_what_the_run_was_comes_back_from_the_second_copy(tmp_path, fill, meta, members, execute, refused, table, how):
    if table == "log" and how.startswith("DELETE"):
        pytest.skip("an empty log is legal")
    whole = rows_of(fill(tmp_path))
    execute(tmp_path, how.format(table))
    with refused(StoreDamaged, "400 rows are good"):
        read(tmp_path)
    with RunStore.resume(tmp_path) as run:
        assert (run.meta, run.members) == (meta, members(4))
    assert rows_of(tmp_path) == whole


def test_rows_of_a_member_whose_record_is_gone_from_both_copies_are_not_read(tmp_path, fill, execute, refused):
    fill(tmp_path)
    execute(tmp_path, "DELETE FROM members WHERE member = 1")
    (tmp_path / "run.json").unlink()
    with refused(StoreDamaged, "100 rows are of members that are gone", "300 rows are good"):
        read(tmp_path)
    with RunStore.resume(tmp_path) as run:
        assert [record.member for record in run.members] == [0, 2, 3]
    assert dict(read(tmp_path).observations.sizes) == {"member": 3, "step": 100}


def test_a_database_that_is_gone_is_made_again_from_the_second_copy(tmp_path, fill, members, refused):
    fill(tmp_path)
    (tmp_path / "runs.sqlite").unlink()
    with refused(StoreDamaged, "missing", "0 rows are good"):
        read(tmp_path)
    with RunStore.resume(tmp_path) as run:
        assert run.members == members(4)
        assert run.steps(0).size == 0


def test_a_repair_that_was_cut_short_is_taken_up_again(tmp_path, fill):
    whole = rows_of(fill(tmp_path))
    (tmp_path / "runs.sqlite").rename(tmp_path / "runs.sqlite.damaged-1")
    (tmp_path / "runs.sqlite.new").write_bytes(b"half of a new one")
    RunStore.resume(tmp_path).close()
    assert rows_of(tmp_path) == whole


@pytest.mark.parametrize("edit", [keep(0.5), keep(0), flip(60), flip(200, 4)])
def test_a_damaged_second_copy_is_written_anew(tmp_path, fill, edit):
    fill(tmp_path)
    as_it_was = (tmp_path / "run.json").read_bytes()
    change(tmp_path / "run.json", edit)
    assert len(read(tmp_path).table) == 400
    RunStore.resume(tmp_path).close()
    assert (tmp_path / "run.json").read_bytes() == as_it_was


def test_with_both_copies_gone_it_says_so_and_leaves_everything_as_it_is(tmp_path, fill, refused):
    fill(tmp_path)
    damage(tmp_path, keep(0.1))
    change(tmp_path / "run.json", keep(0.5))
    as_it_was = (tmp_path / "runs.sqlite").read_bytes()
    for opened in (read, RunStore.resume):
        with refused(StoreDamaged, "what the run was is lost"):
            opened(tmp_path)
    assert (tmp_path / "runs.sqlite").read_bytes() == as_it_was


def crashed(folder, fill, members, values, appends: int = 20):
    """A folder as a killed writer leaves it: rows in the database, and `appends` more only in the write-ahead log."""
    live = fill(folder / "live", count=2)
    with RunStore.resume(live) as run:
        for step in range(1000, 1000 + appends):
            run.append([(0, step, values(0, step)), (1, step, values(1, step))])
        return shutil.copytree(live, folder / "crashed")


def test_rows_that_are_only_in_the_write_ahead_log_are_read(tmp_path, fill, members, values):
    folder = crashed(tmp_path, fill, members, values)
    assert len(rows_of(folder)) == 240
    assert rows_of(folder)[1, 1019] == values(1, 1019)


@pytest.mark.parametrize("place", ["the header", "an early page", "a middle page"])
def test_a_damaged_write_ahead_log_is_told_and_its_other_rows_are_kept(tmp_path, fill, members, values, refused, place):
    folder = crashed(tmp_path, fill, members, values)
    log = folder / "runs.sqlite-wal"
    at = {"the header": 5, "an early page": 32 + 24 + 4000, "a middle page": 32 + 10 * (PAGE + 24) + 4000}[place]
    change(log, flip(at, 2))
    (folder / "runs.sqlite-shm").unlink()
    with refused(StoreDamaged, "write-ahead log"):
        read(folder)
    with RunStore.resume(folder) as run:
        assert run.steps(0).size + run.steps(1).size >= 238
    good = rows_of(folder)
    assert all(values(*key) == row for key, row in good.items())
    assert (folder / "runs.sqlite.damaged-1-wal").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.77])
def test_a_cut_write_ahead_log_costs_its_last_rows_only(tmp_path, fill, members, values, share):
    folder = crashed(tmp_path, fill, members, values)
    change(folder / "runs.sqlite-wal", keep(share))
    RunStore.resume(folder).close()
    good = rows_of(folder)
    assert 200 <= len(good) <= 240
    assert all(values(*key) == row for key, row in good.items())


def test_rows_too_long_for_a_page_are_salvaged_too(tmp_path, members, execute):
    names = [f"m{i}" for i in range(600)]
    rows = [
        (0, step, dict(zip(names, np.random.default_rng(step).normal(size=600).tolist(), strict=True)))
        for step in range(30)
    ]
    with RunStore.create(tmp_path, meta={}, members=members(1)) as run:
        run.append(rows)
    damage(tmp_path, zero(1))
    RunStore.resume(tmp_path).close()
    assert rows_of(tmp_path) == {(m, s): v for m, s, v in rows}


def test_a_folder_that_is_no_run_is_named(tmp_path, refused):
    (tmp_path / "notes.txt").write_text("something else")
    for opened in (read, RunStore.resume):
        for folder in (tmp_path, tmp_path / "nowhere"):
            with refused(NotARun, str(folder), "no run"):
                opened(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path, refused):
    (tmp_path / "file").write_text("")
    with refused(StoreError, "file"):
        RunStore.create(tmp_path / "file", meta={}, members=[])
    with refused(StoreError, "file"):
        read(tmp_path / "file")
