"""Pages that are written by a program are as it would write them now, and examples run."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def module(monkeypatch):
    """Import a script of the project by its path."""

    def load(path: str):
        spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
        assert spec
        assert spec.loader
        loaded = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, loaded)
        spec.loader.exec_module(loaded)
        return loaded

    return load


def test_the_page_of_measures_says_what_the_docstrings_say(module):
    page = (ROOT / "docs/measures.md").read_text()
    assert page == module("docs/make_measures.py").text(), "run `make docs`, or docs/make_measures.py --text"
    shown = {line.split("measures/")[1].rstrip(")") for line in page.splitlines() if line.startswith("![")}
    assert shown == {path.name for path in (ROOT / "docs/measures").glob("*.svg")}


def test_the_page_of_results_says_what_the_records_say(module):
    maker = module("docs/make_results.py")
    page = (ROOT / "docs/results.md").read_text()
    assert page == maker.text(), "run docs/make_results.py"
    for folder, record in maker.records():
        assert {each["file"] for each in record["figures"]} == {
            f"figures/{path.name}" for path in (folder / "figures").glob("*.svg")
        }
        assert not str(record["code_version"]).endswith("+changes"), "a record is made from a commit"


def test_a_reading_cannot_outlive_its_verdicts_nor_name_a_number_that_is_not_there(module, tmp_path):
    number = {"what": "exponent of n", "value": -0.5, "interval": [-0.6, "inf"]}
    under = [{"choice": "window", "value": 6, "verdict": "not reproduced"}]
    claim = {"id": "A1", "verdict": "inconclusive", "because": "so", "measured": [number], "under": under}
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "runs.csv").write_text("seed,step\n0,1200\n1,3000\n")
    reading = module("docs/make_results.py").Reading(tmp_path, {"claims": [claim], "sweeps": []})
    said = '{{ stands("A1", "inconclusive") }}{{ ours("A1", "exponent") }}; {{ table("runs")["step"].max() | whole }}'
    assert reading.text(said) == "−0.5 [−0.6, ∞]; 3,000"
    with pytest.raises(ValueError, match="takes A1 as reproduced, the record has it inconclusive"):
        reading.text('{{ stands("A1", "reproduced") }}')
    assert reading.text('so{{ stands("A1", "not reproduced", window=6) }}') == "so"
    with pytest.raises(ValueError, match="takes A1 with window = 6 as inconclusive, the record has it not reproduced"):
        reading.text('{{ stands("A1", "inconclusive", window=6) }}')
    with pytest.raises(LookupError, match="A1 has 0 numbers 'slope', of: exponent of n"):
        reading.text('{{ value("A1", "slope") }}')


def test_a_resnet_in_plain_pytorch_is_measured_layer_by_layer(module):
    example = module("examples/resnet_layers.py")
    torch.manual_seed(0)
    rows = example.measured(example.ResNet(), torch.rand(60, 1, 8, 8), torch.arange(60) % 10, ["conv1", "layer3", "fc"])
    assert list(rows) == ["conv1", "layer3", "fc"]
    for nc1, rnc1, cdnv, entropy, flatness, error in rows.values():
        assert nc1 > rnc1 > 0
        assert cdnv > 0
        assert 0 < entropy < 1
        assert flatness > error > 0
