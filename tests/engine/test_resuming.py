"""A batch that is cut off anywhere and begun again ends bit-identical to one that was not."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from afterfit.engine import places
from afterfit.engine.checkpoints import Checkpoints, Damaged, Parameters, read, write


class Cut(Exception):  # noqa: N818
    """The moment of a kill."""


@pytest.fixture
def cut_at(remembering, monkeypatch):
    """Make a sink that is cut off at the n-th word it is told, or file that is made durable, whichever comes first."""

    def make(moment: int, earlier=None):
        left = iter(range(moment))

        def tick(*_):
            if next(left, None) is None:
                raise Cut

        sink = remembering()
        sink.rows |= earlier.rows if earlier else {}
        for name in ("append", "flush", "status", "progress", "note"):
            told = getattr(sink, name)
            monkeypatch.setattr(sink, name, lambda *words, told=told: (tick(), told(*words)))
        monkeypatch.setattr(places.os, "fsync", tick)
        return sink

    return make


def files(folder: Path, kind: str = "parameters") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / kind).rglob("*.safetensors"))}


def cut_off(run: Callable) -> bool:
    try:
        run()
    except Cut:
        return True
    return False


@pytest.fixture
def whole(four, train, tmp_path):
    """The members of `four` trained without a break: what was told, and the folder."""
    return train(four[0], folder=tmp_path / "whole", checkpoint_seconds=0), tmp_path / "whole"


def test_cut_off_at_any_moment_once(four, train, tmp_path, cut_at, monkeypatch, whole):
    bounded, folder = four[0], tmp_path / "cut"
    for moment in range(200):
        sink = cut_at(moment)
        was_cut = cut_off(lambda sink=sink: train(bounded, folder=folder, sink=sink, checkpoint_seconds=0))
        monkeypatch.undo()
        again = train(bounded, folder=folder, stored=sink.stored(), checkpoint_seconds=0)
        assert sink.rows | again.rows == whole[0].rows
        assert all(again.rows[key] == sink.rows[key] for key in again.rows.keys() & sink.rows.keys())
        assert again.ends == whole[0].ends
        assert files(folder) == files(whole[1])
        if not was_cut:
            assert moment > 40
            return
        shutil.rmtree(folder)
    pytest.fail("it never came to its end")


def test_cut_off_again_and_again(four, train, tmp_path, cut_at, monkeypatch, whole):
    bounded, folder, sink = four[0], tmp_path / "cut", None
    for moment in (3, 5, 2, 9, 1, 14, 0, 7, 12, 4, 11, 6, 30, 8, 13, 10, 1000):
        sink = cut_at(moment, earlier=sink)
        ended = not cut_off(
            lambda sink=sink: train(bounded, folder=folder, sink=sink, stored=sink.stored(), checkpoint_seconds=0)
        )
        monkeypatch.undo()
    assert ended
    assert sink.rows == whole[0].rows
    assert sink.ends == whole[0].ends
    assert files(folder) == files(whole[1])
    assert not list(folder.rglob(f"{places.WRITING}*"))


def test_a_request_to_stop_leaves_a_checkpoint_between_observations_too(four, train, tmp_path, remembering, whole):
    bounded, folder = four[0], tmp_path / "stopped"
    sink = train(bounded, folder=folder, sink=remembering(stop_after=8))
    assert not sink.ends
    again = train(bounded, folder=folder, stored=sink.stored())
    assert again.notes == [("resumed", "batch 0 goes on from step 10")]
    assert sink.rows.keys().isdisjoint(again.rows)
    assert sink.rows | again.rows == whole[0].rows
    assert files(folder) == files(whole[1])


def test_the_ends_of_members_are_told_again_as_a_kill_may_have_swallowed_them(four, train, whole):
    sink, folder = whole
    again = train(four[0], folder=folder, stored=sink.stored())
    assert again.ends == sink.ends
    assert not again.rows


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.fixture
def stopped(four, train, tmp_path, remembering):
    """A folder whose batch was stopped at step 30, with its two newest checkpoints; and what was told."""
    folder = tmp_path / "stopped"
    sink = train(four[0], folder=folder, sink=remembering(stop_after=15), checkpoint_seconds=0)
    return folder, sink, sorted((folder / "checkpoints" / "batch-00000").iterdir())


@pytest.mark.parametrize("damage", [flipped, cut_short, emptied])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(four, train, stopped, whole, damage):
    folder, sink, (older, newer) = stopped
    damage(newer)
    again = train(four[0], folder=folder, stored=sink.stored())
    (damaged, text), resumed = again.notes
    assert damaged == "damaged"
    assert (
        text == f"{newer} is damaged: its bytes are not those that were written; going back to the checkpoint before it"
    )
    assert resumed == ("resumed", f"batch 0 goes on from step {read_step(older)}")
    assert newer.with_name(newer.name + ".damaged").exists()
    assert sink.rows | again.rows == whole[0].rows
    assert files(folder) == files(whole[1])


def read_step(path: Path) -> int:
    return int(path.name.split("-")[1])


def test_without_any_usable_checkpoint_it_begins_anew_and_ends_the_same(four, train, stopped, whole):
    folder, sink, found = stopped
    for path in found:
        flipped(path)
    again = train(four[0], folder=folder, stored=sink.stored())
    assert [kind for kind, _ in again.notes] == ["damaged", "damaged"]
    assert again.rows == whole[0].rows
    assert files(folder) == files(whole[1])


def test_rows_that_are_gone_are_computed_again(four, train, stopped, whole):
    folder, sink, (older, newer) = stopped
    stored = sink.stored()
    stored[2] -= {10}
    again = train(four[0], folder=folder, stored=stored)
    assert again.notes == [
        ("recomputed", f"batch 0 cannot go on from step {read_step(path)}: member 2 has no row for step 10")
        for path in (newer, older)
    ]
    assert again.rows == whole[0].rows


@pytest.mark.parametrize("damage", [flipped, Path.unlink])
def test_final_parameters_that_are_damaged_or_gone_are_computed_again(four, train, stopped, whole, damage):
    folder, sink, _ = stopped
    member, *_ = Parameters(folder).folder.iterdir()
    damage(member)
    again = train(four[0], folder=folder, stored=sink.stored())
    number = int(member.name.split("-")[1])
    lacking = f"batch 0 cannot go on from step 30: the parameters of member {number} are missing or damaged"
    assert again.notes[0] == ("recomputed", lacking)
    assert files(folder) == files(whole[1])


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(places.os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "member-00000-{digest}.safetensors", {"x": np.ones(3)}, {})
    assert not list(tmp_path.iterdir())


def test_arrays_and_notes_survive_the_way_through_a_file(tmp_path):
    arrays = {"scalar": np.array(3, np.int32), "strided": np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]}
    path = write(tmp_path / "member-00007-{digest}.safetensors", arrays, {"step": 5, "name": "ä"})
    saved = read(path)
    assert saved.notes == {"step": 5, "name": "ä"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(saved.arrays[name], array)
        assert saved.arrays[name].dtype == array.dtype


def test_a_file_without_a_digest_in_its_name_is_still_checked_for_its_format(tmp_path):
    (tmp_path / "other.safetensors").write_bytes(b"something else")
    with pytest.raises(Damaged, match="is damaged"):
        read(tmp_path / "other.safetensors")


def test_only_the_newest_checkpoints_stay(tmp_path):
    kept = Checkpoints(tmp_path / "batch", keep=2)
    (tmp_path / "batch").mkdir()
    (tmp_path / "batch" / f"{places.WRITING}step-000000000003").write_bytes(b"half")
    for step in (1, 20, 300):
        kept.save(step, {"x": np.full(2, step)}, {})
    assert [step for step, _ in kept.newest(pytest.fail)] == [300, 20]
    assert len(list((tmp_path / "batch").iterdir())) == 2


def test_parameters_of_a_member_are_replaced_by_those_of_its_new_end(tmp_path):
    kept = Parameters(tmp_path)
    assert kept.path(3) is None
    assert not kept.is_intact(3)
    kept.save(3, {"x": np.ones(2)}, {})
    kept.save(3, {"x": np.zeros(2)}, {})
    assert len(list((tmp_path / "parameters").iterdir())) == 1
    np.testing.assert_array_equal(read(kept.path(3)).arrays["x"], 0)
    assert kept.is_intact(3)
