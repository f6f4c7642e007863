"""The whole study of Sakamoto & Sato at its smallest: every sweep trains, every claim is judged, every figure drawn."""

import json

import pytest

import afterfit as af
from afterfit.studies.sakamoto_2025 import STUDY
from afterfit.tasks import Images
from afterfit.tasks.downloads import DataError

try:
    Images(dataset="fashion-mnist", train_size=10, test_size=10).table()
    Images(dataset="mnist", train_size=10, test_size=10).table()
    missing = ""
except DataError as error:
    missing = str(error)


@pytest.mark.skipif(bool(missing), reason=f"needs MNIST and Fashion-MNIST: set AFTERFIT_DATA ({missing})")
def test_the_study_runs_judges_and_draws_at_the_smoke_scale(tmp_path):
    done = af.reproduce("sakamoto-2025", scale="smoke", out=tmp_path / "smoke", workers=0)
    record = json.loads((done.folder / "record" / "record.json").read_text())
    assert list(done.verdicts) == [claim.id for claim in STUDY.claims]
    assert all(claim["because"] for claim in record["claims"])
    assert [figure["name"] for figure in record["figures"]] == [drawing.name for drawing in STUDY.drawings]
    tables = {"bounds", "chain", "information", "margin_spreads", "margins", "rates"}
    assert {path.stem for path in (done.folder / "record" / "tables").glob("*.csv")} == tables
