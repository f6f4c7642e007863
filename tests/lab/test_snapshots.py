"""Parameters kept on the way, and what can be measured of them afterwards."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import afterfit as af
from afterfit import measures as m
from afterfit.interventions import NormalizedFeatures, When
from afterfit.parts import SpecError

KEPT = (0, 120, 150, 1_000)


@pytest.fixture(scope="module")
def kept(tiny_toml, tmp_path_factory) -> Path:
    """The folder of a run that keeps parameters; one member, so that no neighbour is needed to see it."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    af.run(tiny_toml, out=folder, workers=0, changes={"snapshots": KEPT})
    return folder


def test_a_snapshot_is_kept_at_the_first_observation_from_each_step_on(kept):
    runs = af.open(kept)
    assert runs.snapshots(0) == runs.snapshots(1) == [0, 150, 400]


def test_what_a_snapshot_shows_is_what_was_observed_then(kept):
    runs = af.open(kept)
    for step in runs.snapshots(1):
        observed = runs.observations.sel(member=1, step=step)
        for split in ("train", "test"):
            view = runs.view(1, split, step)
            assert isinstance(view.features, np.ndarray)
            assert float(m.accuracy(view.logits, view.labels)) == float(observed[f"{split}/accuracy"])
            assert float(m.weight_norm(view.parameters)) == pytest.approx(float(observed["weight_norm"]), rel=1e-6)
            assert view.layers["hidden0"].shape == (len(view.labels), 16)
            rebuilt = view.features @ view.head_weight.T + view.head_bias
            np.testing.assert_allclose(rebuilt, view.logits, atol=1e-5)


def test_a_process_that_trained_nothing_sees_the_same(kept):
    code = "import sys, afterfit as af; print(float(af.open(sys.argv[1]).view(1, 'test', 150).features.sum()))"
    seen = subprocess.run([sys.executable, "-c", code, kept], capture_output=True, text=True, check=True)
    assert float(seen.stdout) == float(af.open(kept).view(1, "test", 150).features.sum())


def test_snapshots_do_not_change_the_run(kept, tiny_toml, tmp_path):
    plain = af.run(tiny_toml, out=tmp_path / "plain", workers=0)
    assert plain.observations.equals(af.open(kept).observations)
    for member in (0, 1):
        assert plain.snapshots(member) == [400]
        theirs = af.open(kept).parameters(member)
        assert all(np.array_equal(array, theirs[name]) for name, array in plain.parameters(member).items())


def test_the_last_snapshot_is_the_end(kept):
    runs = af.open(kept)
    assert all(np.array_equal(x, runs.parameters(0, 400)[name]) for name, x in runs.parameters(0).items())


@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_a_snapshot_that_is_gone_is_made_again(kept, tiny_toml, tmp_path, harm):
    folder = tmp_path / "run"
    af.run(tiny_toml, out=folder, workers=0, changes={"snapshots": KEPT})
    path = next((folder / "snapshots" / "step-000000000150").iterdir())
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    runs = af.run(tiny_toml, out=folder, workers=0, changes={"snapshots": KEPT})
    for member in (0, 1):
        theirs = af.open(kept).parameters(member, 150)
        assert all(np.array_equal(x, theirs[name]) for name, x in runs.parameters(member, 150).items())


def test_a_branch_keeps_snapshots_after_its_split_only(kept, tmp_path):
    arms = af.branch(kept, at=200, out=tmp_path / "arms", changes={"snapshots": (100, 250)}, workers=0)
    assert arms.snapshots(0) == [250, 400]
    theirs = af.open(kept).parameters(0)
    assert all(np.array_equal(x, theirs[name]) for name, x in arms.parameters(0).items())


def test_interventions_that_stay_act_in_a_view_as_in_observations(tiny_toml, tmp_path):
    normalised = NormalizedFeatures(when=When(begin=50, after="memorised"))
    noted = {"snapshots": (50, 400), "interventions": (normalised,)}
    runs = af.run(tiny_toml, out=tmp_path / "run", workers=0, changes=noted)
    for member in (0, 1):
        memorised = runs.events()["memorised"][member]
        assert 50 < memorised < 350
        before, after = (np.linalg.norm(runs.view(member, "test", step).features, axis=1) for step in (50, 400))
        assert np.ptp(before) > 1e-3
        np.testing.assert_allclose(after, 1.0, rtol=1e-5)


def test_asking_for_what_was_not_kept_says_what_was(kept):
    runs = af.open(kept)
    with pytest.raises(SpecError, match=r"^step = 123: kept of member 0 in .* are \[0, 150, 400\]"):
        runs.view(0, "test", 123)
    with pytest.raises(SpecError, match=r"^split = 'dev'"):
        runs.view(0, "dev")
    with pytest.raises(SpecError, match=r"^member = 9"):
        runs.view(9)


def test_a_negative_step_is_refused(tiny_toml, tmp_path):
    with pytest.raises(SpecError, match=r"^snapshots = \(-1,\)"):
        af.run(tiny_toml, out=tmp_path / "run", changes={"snapshots": (-1,)})
