"""Branches of a stored run: to the last bit the parent up to the split, and what they are told after it."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

import afterfit as af
from afterfit.interventions import Grokfast, LearningRate, Mixing, WeightDecay, When
from afterfit.lab.branch import branch
from afterfit.lab.progress import Silent
from afterfit.lab.run import Interrupted
from afterfit.lab.runs import Runs
from afterfit.parts import SpecError
from afterfit.spec import Threshold
from afterfit.store import FolderMismatch, read


@pytest.fixture(scope="module")
def parent(tiny_toml, tmp_path_factory):
    """A run, and how many workers trained it."""
    folder = tmp_path_factory.mktemp("parent") / "run"
    af.run(tiny_toml, out=folder, workers=0)
    return folder, 0


@pytest.mark.parametrize("workers", [0, 1], ids=["here", "worker"])
@pytest.mark.parametrize("at", [170, 200], ids=["between observations", "at an observation"])
def test_a_branch_without_a_change_is_its_parent_to_the_last_bit(parent, tmp_path, contents, at, workers):
    branch(parent[0], at, out=tmp_path / "run", workers=workers)
    assert contents(tmp_path / "run") == contents(parent[0])


def test_arms_share_what_came_before_and_differ_after(parent, tmp_path):
    folder, workers = parent
    changes = {"interventions": (LearningRate(value=0.0, when=When(begin=200)),)}
    arms = branch(folder, 200, out=tmp_path / "arms", workers=workers, changes=changes,
                  vary={"interventions.0.value": [0.0, 0.02]})  # fmt: skip
    before, after = af.open(folder).observations, arms.observations
    assert after["interventions.0.value"].values.tolist() == [0.0, 0.0, 0.02, 0.02]
    for member, seed in enumerate([0, 1, 0, 1]):
        ours, theirs = after["train/loss"][member], before["train/loss"][seed]
        np.testing.assert_array_equal(ours.sel(step=slice(0, 200)), theirs.sel(step=slice(0, 200)))
        assert (ours.sel(step=slice(250, None)).values != theirs.sel(step=slice(250, None)).values).all()
    still = after["weight_norm"][0].sel(step=slice(200, None)).values
    np.testing.assert_array_equal(still, still[0])
    assert arms.meta["branch"] == {"parent": str(folder.resolve()), "at": 200}


def test_a_matched_arm_follows_a_baseline_that_began_with_it(parent, tmp_path):
    folder, workers = parent
    arms = branch(folder, 200, out=tmp_path / "run", workers=workers,
                  changes={"interventions": (Mixing(strength=0.8),), "matched": "norm"})  # fmt: skip
    ours, theirs = (runs.observations["weight_norm"].values for runs in (arms, af.open(folder)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert (
        np.abs(arms.observations["train/loss"] / af.open(folder).observations["train/loss"] - 1)[:, -1] > 1e-3
    ).all()


def test_a_branch_that_is_stopped_goes_on_and_ends_the_same(parent, tmp_path, contents):
    folder, workers = parent

    class Stopping(Silent):
        """Asks to stop at the first row."""

        def message(self, message):
            if message["kind"] == "rows" and not self.done:
                self.done = True
                raise KeyboardInterrupt

        done = False

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        branch(folder, 200, out=tmp_path / "run", workers=workers, progress=Stopping())
    branch(folder, 200, out=tmp_path / "run", workers=workers)
    assert contents(tmp_path / "run") == contents(folder)


def test_the_parents_checkpoints_save_the_way_to_the_step(tiny_toml, tmp_path, contents):
    af.run(tiny_toml, out=tmp_path / "parent", workers=0, checkpoint_seconds=0)
    newest = sorted((tmp_path / "parent" / "checkpoints").rglob("step-*"))
    assert newest
    told = []

    class Listening(Silent):
        """Remembers the notes."""

        def message(self, message):
            told.extend([message["text"]] if message["kind"] == "note" else [])

    at = int(newest[0].name.split("-")[1])
    if at == 400:  # only the last one was kept: nothing lies before it
        pytest.skip("the parent kept no checkpoint before its end")
    branch(tmp_path / "parent", at + 1, out=tmp_path / "run", workers=0, progress=Listening())
    assert any(text.startswith(f"batch 0 goes on from step {at:,}") for text in told)
    assert contents(tmp_path / "run") == contents(tmp_path / "parent")


def test_what_a_parents_interventions_remember_and_its_baseline_go_with_its_branches(tiny_toml, tmp_path, contents):
    changes = {"interventions": (Grokfast(decay=0.9), Mixing(strength=0.2)), "matched": "norm"}
    af.run(tiny_toml, out=tmp_path / "parent", workers=0, changes=changes)
    branch(tmp_path / "parent", 170, out=tmp_path / "run", workers=0)
    assert contents(tmp_path / "run") == contents(tmp_path / "parent")


def test_a_branch_of_a_branch_begins_where_that_began_though_the_first_parent_is_gone(parent, tmp_path, contents):
    folder = shutil.copytree(parent[0], tmp_path / "parent")
    first = branch(folder, 150, out=tmp_path / "first", workers=0, changes={"interventions": (Mixing(),)},
                   vary={"interventions.0.strength": [0.1, 0.5]})  # fmt: skip
    assert [record.origin for record in first.members] == [0, 1, 0, 1]
    shutil.rmtree(folder)
    shutil.rmtree(first.folder / "checkpoints")
    branch(first, 270, out=tmp_path / "second", workers=0)
    assert contents(tmp_path / "second") == contents(first.folder)
    with pytest.raises(SpecError, match="at = 100: must be 150 or more"):
        branch(first, 100, out=tmp_path / "third", workers=0)


def test_a_run_that_has_ended_goes_on_for_longer(tiny_toml, parent, tmp_path, contents):
    branch(parent[0], 400, out=tmp_path / "run", workers=0, changes={"steps": 500})
    af.run(tiny_toml, steps=500, out=tmp_path / "whole", workers=0)
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_an_arm_whose_parent_stopped_at_the_split_ends_there_unless_its_rule_says_otherwise(
    tiny_toml, parent, tmp_path, contents
):
    bound = float(af.open(parent[0]).observations["train/loss"].sel(step=200).max())
    stopping = {
        "events": (Threshold(name="fitted", measure="train/loss", at_most=bound),),
        "stop_when": "fitted",
        "patience": 0,
    }
    runs = af.run(tiny_toml, out=tmp_path / "parent", workers=0, changes=stopping)
    at = min(record.step for record in runs.members)
    assert {record.status for record in runs.members} == {"stopped"}
    branch(runs, at, out=tmp_path / "same", workers=0)
    assert contents(tmp_path / "same") == contents(runs.folder)
    branch(tmp_path / "same", at, out=tmp_path / "again", workers=0)
    assert contents(tmp_path / "again") == contents(runs.folder)
    longer = branch(runs, at, out=tmp_path / "longer", workers=0, changes={"stop_when": None})
    assert [(record.status, record.step) for record in longer.members] == [("finished", 400)] * 2


def test_a_way_to_the_split_that_is_not_the_parents_is_noted(parent, tmp_path, monkeypatch):
    told, stored = [], Runs.rows_until

    class Listening(Silent):
        """Remembers the notes."""

        def message(self, message):
            told.extend([message["text"]] if message["kind"] == "note" else [])

    def with_one_off(self, step):
        rows = stored(self, step)
        rows[1][3][1]["test/loss"] *= 1 + 1e-6
        return rows

    folder = shutil.copytree(parent[0], tmp_path / "parent")
    shutil.rmtree(folder / "checkpoints")
    branch(folder, 200, out=tmp_path / "same", workers=0, progress=Listening())
    assert not any("to the last bit" in text for text in told)
    monkeypatch.setattr(Runs, "rows_until", with_one_off)
    found = branch(folder, 200, out=tmp_path / "run", workers=0, progress=Listening())
    (note,) = [text for text in told if "to the last bit" in text]
    assert note.startswith("1 of 10 observations on the way to step 200 are not those of ")
    assert note.endswith("test/loss of member 1 at step 150 is off by 1.0e-06 of its value, the most of all")
    assert note in [entry.text for entry in read(found.folder).log]


def test_grokfast_begins_with_its_first_gradient_in_a_branch_too(parent, tmp_path):
    # with decay 1 - 1e-9 the mean stays what it was at first: were that zero, nothing would be added
    steady = {"interventions": (Grokfast(strength=2.0, decay=1 - 1e-9),)}
    arms = branch(parent[0], 200, out=tmp_path / "run", workers=0, changes=steady)
    theirs = af.open(parent[0]).observations["train/loss"].sel(step=250).values
    assert (np.abs(arms.observations["train/loss"].sel(step=250).values / theirs - 1) > 1e-2).all()


def test_a_folder_of_branches_is_of_one_parent_and_one_step(parent, tiny_toml, tmp_path):
    branch(parent[0], 350, out=tmp_path / "run", workers=0)
    with pytest.raises(FolderMismatch, match=r"branch\.at is 350 there, 300 was asked for"):
        branch(parent[0], 300, out=tmp_path / "run", workers=0)
    with pytest.raises(FolderMismatch, match="branch is"):
        af.run(tiny_toml, out=tmp_path / "run", workers=0)


def test_an_arm_cannot_take_what_the_parent_varied_for_another_part(tiny_toml, tmp_path):
    runs = af.run(tiny_toml, out=tmp_path / "parent", workers=0, steps=50, seeds=1,
                  changes={"interventions": (Mixing(),)}, vary={"interventions.0.strength": [0.1, 0.2]})  # fmt: skip
    for other in ((), (Grokfast(),), (WeightDecay(),)):
        with pytest.raises(SpecError, match=r"which varied interventions\.0\.strength"):
            branch(runs, 20, out=tmp_path / "run", changes={"interventions": other})


def test_events_before_the_split_are_the_parents(parent, tmp_path):
    folder, workers = parent
    branch(folder, 390, out=tmp_path / "run", workers=workers)
    found = []
    for place in (folder, tmp_path / "run"):
        with closing(sqlite3.connect(place / "runs.sqlite")) as connection:
            found.append(connection.execute("SELECT * FROM events ORDER BY member, event").fetchall())
    assert found[0] == found[1]


@pytest.mark.parametrize(("at", "options", "message"), [
    (401, {}, "at = 401: member 0 of "),
    (0, {}, "at = 0: must be a step of the parent, 1 or more"),
    (200, {"changes": {"model.widths": (8,)}}, "model.widths = (8,): a branch has it in common with its parent"),
    (200, {"changes": {"optimizer": "SGD"}}, "optimizer = 'SGD': a branch goes on with its parent's moments"),
    (200, {"changes": {"steps": 150}}, "steps = 150: must be above 200"),
    (200, {"vary": {"optimizer": ["AdamW", "SGD"]}}, "optimizer = 'SGD': a branch goes on with its parent's moments"),
    (200, {"vary": {"steps": [300, 150]}}, "steps = 150: must be above 200"),
    (200, {"vary": {"optimizer.weight_decay": []}}, "vary optimizer.weight_decay = []: needs one value at least"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(parent, tmp_path, at, options, message):
    folder, workers = parent
    with pytest.raises(SpecError) as caught:
        branch(folder, at, out=tmp_path / "run", workers=workers, **options)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "run").exists()


def test_the_parents_folder_is_not_written(parent, tmp_path):
    folder, workers = parent
    with pytest.raises(SpecError, match="is the parent's own folder"):
        branch(folder, 200, out=folder, workers=workers)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    branch(folder, 200, out=tmp_path / "run", workers=workers)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
