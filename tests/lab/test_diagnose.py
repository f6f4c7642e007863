"""`diagnose` on experiments of which it is known what is wrong, on what was trained, and on what was watched."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

import afterfit as af
from afterfit.lab.diagnose import _at_full_rate as at_full_rate
from afterfit.lab.diagnose import diagnose, is_folder, preconditions, record_of
from afterfit.parts import SpecError, part
from afterfit.spec import Experiment
from afterfit.spec.optimizers import SGD, Adam, AdamW
from afterfit.spec.presets import PRESETS
from afterfit.store import NotARun
from afterfit.tasks.table import Table

ADDITION = PRESETS["modular-addition"].experiment


def severities(found):
    return {finding.check: finding.severity for finding in found}


# Experiments


@pytest.mark.parametrize("name", ["modular-addition", "nanda-2023", "power-2022", "truong-2026", "permutation-s5"])
def test_published_algorithmic_setups_pass(name):
    assert not diagnose(name).warnings


def test_scaled_starts_are_noted_with_their_scale():
    found = diagnose("digits")["initial norm"]
    assert (found.severity, "init_scale = 5" in found.found) == ("note", True)


@pytest.mark.parametrize(
    ("optimizer", "check", "severity"),
    [
        (Adam(weight_decay=0.1), "weight decay", "warning"),
        (AdamW(weight_decay=0.0), "weight decay", "warning"),
        (SGD(learning_rate=0.1, weight_decay=0.001), "decay clock", "ok"),  # .1 × .001 × 10,000 = 1
        (SGD(learning_rate=0.01, weight_decay=0.001), "decay clock", "warning"),
        (SGD(learning_rate=0.01, weight_decay=0.001, momentum=0.9), "decay clock", "ok"),
        (AdamW(learning_rate=1e-3, weight_decay=0.1), "decay clock", "ok"),
        (AdamW(learning_rate=1e-3, weight_decay=0.0999), "decay clock", "warning"),
    ],
)
def test_optimisers_are_judged_by_kind_and_clock(optimizer, check, severity):
    assert severities(diagnose(replace(ADDITION, optimizer=optimizer)))[check] == severity


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0), (100, 10), (7, 10), (10, 10), (1, 1)])
def test_steps_of_a_warm_up_count_by_their_rate(steps, warmup):
    rates = [min(1.0, (step + 1) / warmup) if warmup else 1.0 for step in range(steps)]
    assert at_full_rate(steps, warmup) == pytest.approx(sum(rates))


def test_every_arm_is_judged_and_what_they_share_is_told_once():
    found = diagnose("modular-addition", vary={"optimizer.weight_decay": [0.01, 1.0]})
    clocks = [finding for finding in found if finding.check == "decay clock"]
    assert [(each.severity, each.of) for each in clocks] == [
        ("warning", "weight_decay 0.01"),
        ("ok", "weight_decay 1.0"),
    ]
    assert [finding.of for finding in found if finding.check == "leakage"] == [""]


def test_fields_are_changed_as_for_a_run():
    assert diagnose("modular-addition", changes={"steps": 900})["decay clock"].severity == "warning"


def test_small_fractions_unobserved_measures_and_interventions_are_noted():
    from afterfit.interventions import WeightDecay

    task = replace(ADDITION.task, train_fraction=0.1)
    changed = replace(
        ADDITION, task=task, measures=("loss", "accuracy"), interventions=(WeightDecay(value=0.1),)
    )  # fmt: skip
    found = diagnose(changed)
    assert {severities(found)[name] for name in ("train fraction", "measures", "interventions")} == {"note"}
    assert found["measures"].found == "not observed: rnc1, weight_norm"
    assert found["interventions"].found == "there are: WeightDecay"


@part
class Leaky:
    """Thirty inputs, the last ten in both splits; two of the training inputs are alike with different labels."""

    def table(self):
        inputs = np.arange(60, dtype=np.float32).reshape(30, 2)
        inputs[1] = inputs[0]
        labels = np.zeros(30, np.int32)
        labels[1:3] = 1
        return Table(inputs, labels, 2)

    def split(self, table, seed):
        return np.arange(30, dtype=np.int32), np.arange(20, 30, dtype=np.int32)

    def sizes(self):
        return 30, 10


def test_the_data_of_a_task_of_ones_own_are_looked_at():
    from afterfit.models import MLP

    found = {each.check: each for each in preconditions(Experiment(task=Leaky(), model=MLP(widths=(4,))))}
    assert found["leakage"].found == "10 of 10 test inputs (seed 0) are training inputs too (100 %)"
    assert found["contradictory labels"].found.startswith("2 of 30 training examples (seed 0)")
    assert found["class balance"].severity == "note"
    assert found["test examples"].severity == "note"


def test_data_that_are_not_there_are_said_not_to_have_been_looked_at(monkeypatch, tmp_path):
    monkeypatch.setenv("AFTERFIT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = diagnose("sakamoto-2025")["data"]
    assert (found.severity, found.found.startswith("not looked at: mnist: no file")) == ("note", True)


# Runs


@pytest.fixture(scope="module")
def folder(tiny_toml, tmp_path_factory):
    """Four members that memorise and never generalise."""
    out = tmp_path_factory.mktemp("runs") / "small"
    af.run(tiny_toml, out=out, workers=0, vary={"optimizer.weight_decay": [0.05, 1.0]})
    return out


def test_a_run_is_judged_by_its_experiments_and_by_what_was_observed(folder):
    found = diagnose(folder)
    clocks = [finding for finding in found if finding.check == "decay clock"]
    # η λ T = .01 × .05 × 400 = .2, and 4
    assert [(each.severity, each.of) for each in clocks] == [
        ("warning", "weight_decay 0.05"),
        ("ok", "weight_decay 1.0"),
    ]
    assert found["phase"].found.startswith("over while memorised")
    assert "seed 0, weight_decay 0.05" in found["phase"].of or found["phase"].of == ""
    assert str(diagnose(af.open(folder))) == str(found)


def test_a_members_record_is_what_was_observed_of_it(folder):
    runs = af.open(folder)
    record = record_of(runs, 3)
    ours = runs.observations.sel(member=3)
    np.testing.assert_array_equal(record["step"], ours["step"])
    for name in runs.observations.data_vars:
        np.testing.assert_array_equal(record[name], ours[name])


def test_the_folder_of_a_watched_loop_is_judged_by_what_was_observed(tmp_path):
    from afterfit.views import View

    draw = np.random.default_rng(0)
    labels = np.arange(30) % 3
    features = np.eye(3)[labels] + 0.01 * draw.normal(size=(30, 3))
    view = View(
        inputs=None, labels=labels, features=features, logits=features, head_weight=np.eye(3), head_bias=None,
        num_classes=3,
    )  # fmt: skip
    with af.Watch(measures=["accuracy", "rnc1"], out=tmp_path / "run") as watch:
        for step in range(10):
            watch.observe(step, train=view, test=view)
    found = diagnose(tmp_path / "run")
    assert severities(found) == {"preconditions": "note", "what came first": "note", "RNC1": "ok", "phase": "ok"}


def test_names_files_and_folders_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    (tmp_path / "mine").mkdir()
    assert [is_folder(what) for what in ("digits", "mine", "runs/x", "a/b.toml", "digts", tmp_path)] == [
        False, True, True, False, False, True,
    ]  # fmt: skip
    with pytest.raises(NotARun):
        diagnose(tmp_path / "mine")
    with pytest.raises(SpecError, match="did you mean 'digits'"):
        diagnose("digts")


def test_all_presets_can_be_diagnosed():
    checks = list(itertools.chain.from_iterable(severities(diagnose(name)) for name in PRESETS))
    assert checks.count("weight decay") == len(PRESETS)
