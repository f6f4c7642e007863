"""The adjudication from end to end, at the size that shows that the machinery runs."""

import json

import pandas as pd
import pytest

import afterfit as af
from afterfit.studies.adjudication import CLAIMS, DRAWINGS
from afterfit.studies.adjudication.rivals import MEASURED
from afterfit.studies.adjudication.summary import LABELS
from afterfit.tasks import DataError, Images


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    try:
        Images(dataset="mnist", train_size=10, test_size=10).table()
    except DataError as error:
        pytest.skip(f"needs MNIST: set AFTERFIT_DATA ({error})")
    out = tmp_path_factory.mktemp("studies") / "adjudication"
    return af.reproduce("adjudication", scale="smoke", out=out, workers=0)


def test_every_claim_is_judged_and_no_verdict_is_given(done):
    assert list(done.verdicts) == [claim.id for claim in CLAIMS]
    assert set(done.verdicts.values()) == {None}
    assert all(claim["because"] for claim in done.record["claims"])


def test_there_is_one_table_with_a_row_a_measure_and_one_figure_of_it(done):
    folder = done.folder / "record"
    table = pd.read_csv(folder / "tables" / "summary.csv").set_index("measure")
    assert list(table.index) == list(LABELS)
    assert {"lead", "auc", "alarms", "error", "parity_pushed_against", "parity_pushed_along"} <= set(table.columns)
    assert table.loc[[rival.name for rival in MEASURED], "alarms"].notna().all()
    names = {figure["name"] for figure in json.loads((folder / "record.json").read_text())["figures"]}
    assert names == {drawing.name for drawing in DRAWINGS}
    assert (folder / "figures" / "side_by_side.svg").read_text().startswith("<?xml")
