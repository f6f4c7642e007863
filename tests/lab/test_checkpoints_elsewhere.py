"""Checkpoints at another address than the run's folder change nothing, and the folder is whole without them."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

import afterfit as af
from afterfit.engine.members import Batch, Member
from afterfit.lab.how import How
from afterfit.lab.progress import Silent
from afterfit.lab.tally import Tally
from afterfit.parts import SpecError
from afterfit.spec.written import to_dict
from afterfit.store import MemberRecord


def files(folder, kind):
    return {path.name: path.read_bytes() for path in (folder / kind).rglob("*.safetensors")}


def test_a_branch_whose_workers_write_elsewhere_is_the_same(tiny_toml, tmp_path, contents):
    parent = af.run(tiny_toml, out=tmp_path / "parent", workers=1)
    common = {"vary": {"optimizer.weight_decay": [0.1, 0.5]}, "workers": 1}
    here = af.branch(parent, 100, out=tmp_path / "here" / "run", **common)
    away = af.branch(parent, 100, out=tmp_path / "away" / "run", checkpoints=f"file://{tmp_path}/kept", **common)
    assert contents(away.folder) == contents(here.folder)
    for kind in ("origins", "checkpoints", "parameters"):
        assert files(away.folder, kind) == files(here.folder, kind)
    shutil.rmtree(tmp_path / "kept")
    again = af.branch(parent, 100, out=tmp_path / "away" / "run", **common)
    assert contents(again.folder) == contents(here.folder)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"retries": -1}, "retries = -1: must be a whole number, 0 or more"),
        ({"retries": None}, "retries = None: must be a whole number, 0 or more"),
        ({"workers": 0, "checkpoints": "x"}, "workers = 0: trains in this process"),
        ({"checkpoints": "nowhere://x"}, "checkpoints = 'nowhere://x': cannot be opened"),
        ({"checkpoints": "/dev/null/x"}, "checkpoints = '/dev/null/x': cannot be written: Not a directory"),
        (
            {"checkpoints": "file:///dev/null/x"},
            "checkpoints = 'file:///dev/null/x': cannot be written: Not a directory",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(tiny_toml, tmp_path, wrong, said):
    with pytest.raises(SpecError) as caught:
        af.run(tiny_toml, out=tmp_path / "run", **{"workers": 1} | wrong)
    assert said in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_many_commands_may_try_one_place_at_the_same_time(tmp_path):
    how = How(1, None, 30.0, Silent(), checkpoints=tmp_path / "shared")
    with ThreadPoolExecutor(8) as pool:
        for trial in [pool.submit(how.check) for _ in range(200)]:
            trial.result()
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.fixture
def tally(tiny_toml):
    """Four members in two batches, of which the first has begun."""
    from afterfit.lab.request import resolve

    experiment = resolve(tiny_toml).experiment
    members = [Member(number, number, experiment) for number in range(4)]
    records = [MemberRecord(m.number, m.seed, {}, to_dict(experiment), m.number // 2) for m in members]
    made = Tally(records, [Batch(0, tuple(members[:2])), Batch(1, tuple(members[2:]))])
    made.take({"kind": "rows", "rows": [(0, 0, {}), (1, 0, {})]})
    made.take({"kind": "progress", "batch": 0, "step": 100, "steps_per_second": 10.0, "members": [0, 1]})
    return made


def test_the_line_of_a_study_says_who_trains_who_waits_and_who_was_lost(tally):
    assert tally.line().startswith("0/4 members done, 2 running, 2 waiting, at most 1 min 10 s left, step 100 of 400")
    tally.take({"kind": "returned", "batch": 0, "members": [0, 1], "why": "lost", "text": "a node was lost"})
    assert tally.line() == "0/4 members done, 0 running, 4 waiting, 2 lost and restarted, starting"
    tally.take({"kind": "progress", "batch": 0, "step": 50, "steps_per_second": 10.0, "members": [0, 1]})
    assert tally.line().startswith("0/4 members done, 2 running, 2 waiting, 2 lost and restarted, at most")


def test_the_halves_of_a_batch_are_followed_as_batches(tally):
    text = tally.take({"kind": "divided", "batch": 0, "into": {"2": [0], "3": [1]}, "text": "too little memory"})
    assert text == ["too little memory"]
    tally.take({"kind": "progress", "batch": 3, "step": 100, "steps_per_second": 10.0, "members": [1]})
    tally.take({"kind": "status", "member": 1, "status": "finished", "step": 400})
    assert tally.line().startswith("1/4 members done, 0 running, 3 waiting")
    assert (tally.batches[0].members, tally.batches[2].members, tally.batches[3].members) == (0, 1, 0)
