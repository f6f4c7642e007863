"""Truong et al. at the smoke scale: every sweep trained, every claim judged, every figure drawn."""

import json

import numpy as np
import pandas as pd
import pytest

import afterfit as af
from afterfit.studies.truong_2026 import STUDY
from afterfit.studies.truong_2026.sweeps import sweeps


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return af.reproduce("truong-2026", scale="smoke", out=tmp_path_factory.mktemp("truong") / "smoke", workers=0)


def test_every_claim_has_a_reason_and_no_verdict(done):
    assert list(done.verdicts) == [claim.id for claim in STUDY.claims]
    assert set(done.verdicts.values()) == {None}
    assert all(claim["because"] for claim in done.record["claims"])


def test_every_figure_and_table_is_kept(done):
    record = json.loads((done.folder / "record" / "record.json").read_text())
    assert [each["name"] for each in record["figures"]] == [drawing.name for drawing in STUDY.drawings]
    assert {"tables/forecasts.csv", "tables/runs.csv", "tables/spectra.csv"} <= set(record["tables"])
    assert len(pd.read_csv(done.folder / "record" / "tables" / "runs.csv")) == sum(
        len(runs.members) for runs in done.runs.values()
    )
    assert list(done.runs) == [sweep.name for sweep in sweeps("smoke")]


def test_the_entropy_of_a_snapshot_is_the_one_that_was_observed(done):
    runs, table = done.runs["easier"], pd.read_csv(done.folder / "record" / "tables" / "spectra.csv")
    kept = table[table["sweep"] == "easier"]
    seed = runs.observations["seed"].values.tolist()
    observed = [
        float(runs.observations["train/spectral_entropy"].sel(step=row.step).values[seed.index(row.seed)])
        for row in kept.itertuples()
    ]
    assert len(kept) >= 2 * len(runs.members)
    np.testing.assert_allclose(kept["entropy_float32"], observed, atol=1e-5)
    np.testing.assert_allclose(kept["entropy"], observed, atol=1e-5)


def test_the_norm_matched_arm_lies_on_the_norm_of_the_runs_without_mixing(done):
    matched = done.runs["norm-matched"].observations
    base = done.runs["easier"].observations.sel(step=matched["step"].values)
    np.testing.assert_allclose(matched["weight_norm"].values, base["weight_norm"].values, rtol=1e-4)
