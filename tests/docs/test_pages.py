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
