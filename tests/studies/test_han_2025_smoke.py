"""Han et al. 2025 at the smoke scale: every sweep trains, every claim is judged, every figure is drawn."""

import pandas as pd
import pytest

import afterfit as af
from afterfit.studies import study


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return af.reproduce("han-2025", scale="smoke", out=tmp_path_factory.mktemp("han") / "smoke", workers=0)


def test_every_claim_is_judged_and_every_figure_drawn(done):
    found = study("han-2025")
    assert list(done.verdicts) == [claim.id for claim in found.claims]
    assert set(done.verdicts.values()) == {None}
    assert all(claim["because"] and claim["measured"] for claim in done.record["claims"])
    assert {figure["name"] for figure in done.record["figures"]} == {drawing.name for drawing in found.drawings}
    assert all((done.folder / "record" / figure["file"]).stat().st_size for figure in done.record["figures"])
    assert done.page.exists()


def test_each_arm_has_its_control_with_the_same_seeds(done):
    strengths = "interventions.0.strength"
    for sweep in ("collapse", "mnist-collapse", "flatness"):
        observations = done.runs[sweep].observations
        by_strength = {
            float(value): set(observations["seed"].values[observations[strengths].values == value].tolist())
            for value in observations[strengths].values
        }
        assert len(by_strength) > 1
        assert all(seeds == by_strength[0.0] for seeds in by_strength.values())
    assert set(done.runs["mnist-unplug"].observations["matched"].values) == {"none", "schedule"}


def test_what_is_kept_along_training_says_how_far_each_assumption_is_from_true(done):
    table = pd.read_csv(done.folder / "record" / "tables" / "along_training.csv")
    assert {"within_class", "frame", "self_duality", "global_mean", "longest_mean", "bias"} <= set(table.columns)
    assert set(table["sweep"]) == {"addition", "collapse", "mnist-collapse"}
    row = table[(table["sweep"] == "collapse") & (table["step"] == 0)].iloc[:1]  # not those kept apart
    exact = done.runs["collapse"].observations["train/relative_flatness"].sel(member=row["member"].item(), step=0)
    assert row["kappa"].item() == pytest.approx(float(exact), rel=1e-4)
