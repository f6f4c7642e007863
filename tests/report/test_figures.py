"""What the figures for papers promise: text stays text, and the same data gives the same bytes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from afterfit.report import write_figures

from .synthetic import grokking

FEW = ["train/accuracy", "test/accuracy", "train/loss", "test/loss", "train/spectral_entropy@block0"]


@pytest.fixture(scope="module")
def small():
    observations, events = grokking(seeds=1)
    return observations[FEW], events


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    observations, events = small
    written = write_figures(folder, observations=observations, events=events)
    assert all(path.exists() for path in written)
    return folder


def test_there_is_a_figure_a_measure_and_an_overview_in_every_format(folder):
    names = {path.name for path in folder.iterdir()}
    stems = ("accuracy", "loss", "spectral_entropy_block0", "overview")
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("svg", "pdf")}


def test_the_same_data_gives_the_same_bytes(small, folder, tmp_path):
    observations, events = small
    for path in write_figures(tmp_path, observations=observations[FEW[:4]], events=events):
        assert path.read_bytes() == (folder / path.name).read_bytes() or path.stem == "overview"
    again = write_figures(tmp_path / "again", observations=observations, events=events, formats=("svg",))
    for path in again:
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_text_is_kept_as_text_and_no_date_is_written(folder):
    drawing = (folder / "accuracy.svg").read_text(encoding="utf-8")
    assert ">Accuracy</text>" in drawing
    assert ">weight decay</text>" in drawing
    assert "<dc:date>" not in drawing
    document = (folder / "accuracy.pdf").read_bytes()
    assert b"/FontFile2" in document, "no TrueType font is embedded"
    assert b"/Type3" not in document
    assert b"CreationDate" not in document


def test_a_measure_of_which_nothing_was_seen_has_no_figure(small, tmp_path):
    observations, events = small
    observations = observations.assign({"train/nc2": observations["train/loss"] * np.nan})[["train/nc2", "test/loss"]]
    written = write_figures(tmp_path, observations=observations, events=events, formats=("svg",))
    assert [path.name for path in written] == ["loss.svg"]


def test_one_observation_is_drawn_without_complaint(small, tmp_path):
    observations, events = small
    one = observations[FEW[:2]].isel(step=[0])
    assert len(write_figures(tmp_path, observations=one, events=events, formats=("svg",))) == 1


def test_the_settings_of_matplotlib_are_left_as_they_were(small, tmp_path):
    import matplotlib as mpl

    observations, events = small
    before = dict(mpl.rcParams)
    write_figures(tmp_path, observations=observations[FEW[:1]], events=events, formats=("svg",))
    assert dict(mpl.rcParams) == before


def test_importing_the_room_loads_no_drawing_library_and_no_framework():
    heavy = "{'jax', 'torch', 'matplotlib', 'plotly', 'jinja2', 'rich'}"
    code = f"import sys, afterfit.report; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
