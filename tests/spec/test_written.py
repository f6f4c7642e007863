"""The written form: what is read back is what was written, and what a person writes is read as its field wants it."""

import json
import sys
from dataclasses import replace

import pytest

from afterfit.models import MLP, Transformer
from afterfit.parts import SpecError
from afterfit.spec import SGD, AdamW, Every, Experiment, Logarithmic, Minibatch, SquaredError, Threshold
from afterfit.spec.presets import PRESETS
from afterfit.spec.written import KINDS, changed, from_dict, held, kind_name, replaced, to_dict
from afterfit.tasks import GaussianMixture

BASE = PRESETS["modular-addition"].experiment
DIVISION = PRESETS["power-2022"].experiment


@pytest.fixture
def own_model(tmp_path, monkeypatch) -> type:
    """A model's class from a module of the user's own."""
    (tmp_path / "own_models.py").write_text(
        "from afterfit.parts import part\n\n"
        "class Zoo:\n"
        "    @part\n"
        "    class Lion:\n"
        "        scale: float = 2.0\n"
        "        def build(self, key, inputs, num_classes, vocabulary): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_models", raising=False)
    import own_models

    return own_models.Zoo.Lion


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_the_way_through_json(name):
    experiment = PRESETS[name].experiment
    assert from_dict(json.loads(json.dumps(to_dict(experiment)))) == experiment
    assert from_dict(to_dict(experiment), by_hand=True) == experiment


def test_a_part_of_the_users_own_is_written_by_its_module_and_name(own_model):
    written = to_dict(replace(BASE, model=own_model(scale=3.0)))
    assert written["model"] == {"kind": "own_models:Zoo.Lion", "scale": 3.0}
    assert from_dict(json.loads(json.dumps(written))).model == own_model(scale=3.0)


def test_text_that_looks_like_a_value_stays_text_when_it_is_read_back():
    rule = Threshold(name="none", measure="train/loss", at_most=0.5)
    experiment = replace(BASE, events=(rule,), stop_when="none")
    assert from_dict(to_dict(experiment)) == experiment


@pytest.mark.parametrize(
    ("path", "value", "held_value"),
    [
        ("steps", "50", 50),
        ("steps", 50, 50),
        ("optimizer.weight_decay", "0.3", 0.3),
        ("optimizer.weight_decay", "1e-3", 1e-3),
        ("optimizer.weight_decay", 1, 1.0),
        ("minibatch.size", "none", None),
        ("minibatch.size", None, None),
        ("minibatch.size", "64", 64),
        ("minibatch", {"size": "None"}, Minibatch(size=None)),
        ("model.causal", "False", False),
        ("model.causal", "true", True),
        ("task.operation", "subtract", "subtract"),
        ("stop_when", "none", None),
        ("measures", "loss, accuracy", ("loss", "accuracy")),
        ("measures", ["loss", "accuracy"], ("loss", "accuracy")),
        ("optimizer", "SGD", SGD()),
        ("optimizer", {"kind": "SGD", "momentum": "0.9"}, SGD(momentum=0.9)),
        ("optimizer", {"learning_rate": 0.1}, replace(BASE.optimizer, learning_rate=0.1)),
        ("optimizer", {"kind": "AdamW", "learning_rate": 0.1}, replace(BASE.optimizer, learning_rate=0.1)),
        ("optimizer", SGD(momentum=0.5), SGD(momentum=0.5)),
        ("model", {"kind": "MLP", "widths": "5, 5"}, MLP(widths=(5, 5))),
        ("model", {"kind": "MLP", "widths": [5]}, MLP(widths=(5,))),
        ("schedule", {"kind": "Logarithmic", "per_decade": 3}, Logarithmic(per_decade=3)),
    ],
)
def test_a_field_is_replaced_by_text_by_a_value_or_by_a_dictionary(path, value, held_value):
    found = replaced(BASE, path, value)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == held_value
    assert type(found) is type(held_value)


def test_rules_are_read_from_dictionaries_without_a_kind():
    found = replaced(BASE, "events", [{"name": "generalised", "measure": "test/loss", "at_most": "0.1"}])
    assert found.events == (Threshold(name="generalised", measure="test/loss", at_most=0.1),)


def test_fields_that_only_make_sense_together_are_changed_together_in_any_order():
    changes = {"task.p": 100, "task.operation": "add"}
    assert changed(DIVISION, changes) == changed(DIVISION, dict(reversed(changes.items())))
    assert changed(BASE, {"model.width": "6", "model.heads": "3"}).model == replace(BASE.model, width=6, heads=3)
    assert changed(BASE, {"stop_when": "x", "events": [{"name": "x", "at_least": 1}]}).stop_when == "x"


def test_a_part_can_be_put_in_place_and_changed_at_once():
    found = changed(BASE, {"optimizer.momentum": "0.9", "optimizer": "SGD"})
    assert found.optimizer == SGD(momentum=0.9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimzer": 1}, "optimzer = 1: no such field; did you mean 'optimizer'?"),
        ({"weight_decay": 1}, "weight_decay = 1: no such field; did you mean 'optimizer.weight_decay'?"),
        ({"optimizer.wieght_decay": 1}, "optimizer.wieght_decay = 1: no such field; did you mean 'weight_decay'?"),
        ({"steps.x": 1}, "steps.x = 1: no such field"),
        ({"steps": "many"}, "steps = 'many': must be a whole number"),
        ({"steps": 1.5}, "steps = 1.5: must be a whole number"),
        ({"optimizer": "SGDD"}, "optimizer = 'SGDD': did you mean 'SGD'?"),
        ({"task": "MLP"}, "task = 'MLP': must be one of GaussianMixture, Images"),
        ({"task": {"kind": "ModularArithmetic", "prime": 7}}, "task.prime = 7: no such field"),
        ({"model": {"kind": "MLQ"}}, "model.kind = 'MLQ': did you mean 'MLP'?"),
        ({"model": {"kind": 3}}, "model.kind = 3: must name what it is"),
        ({"model": {"kind": "nowhere.at.all:Model"}}, "model.kind = 'nowhere.at.all:Model': cannot be imported"),
        ({"model": {"kind": "math:sqrt"}}, "model.kind = 'math:sqrt': is not a part"),
        ({"events": [{"at_leas": 1}]}, "events[0].at_leas = 1: no such field of Threshold; did you mean 'at_least'?"),
        ({"model.width": 6}, "model.heads = 4: must divide width = 6: one of 1, 2, 3, 6"),
        ({"task.p": 100, "task.operation": "divide"}, "task.p = 100: must be prime"),
        ({"minibatch": 5}, "minibatch = 5: must be Minibatch"),
        ({"optimizer": {"learning_rate": "fast"}}, "optimizer.learning_rate = 'fast': must be a number"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line_that_names_the_field(changes, message):
    with pytest.raises(SpecError) as caught:
        changed(BASE, changes)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, "kind = None: must name what it is"),
        ({"kind": "Experiment", "model": to_dict(MLP())}, "task = None: must be given for Experiment"),
        ({"kind": "MLP", "width": 3}, "width = 3: no such field of MLP; did you mean 'widths'?"),
    ],
)
def test_an_incomplete_or_unknown_written_part_is_refused(written, message):
    with pytest.raises(SpecError) as caught:
        from_dict(written)
    assert str(caught.value).startswith(message)


def test_a_varied_value_is_held_plainly_whatever_stands_in_other_fields():
    assert held(BASE, "model.width", "6") == 6
    assert held(BASE, "model", {"kind": "MLP", "widths": (5, 5)})["widths"] == [5, 5]
    assert held(BASE, "measures", ("loss",)) == ["loss"]
    assert held(BASE, "minibatch.size", "none") is None
    assert held(BASE, "optimizer.weight_decay", 1) == 1.0
    with pytest.raises(SpecError, match=r"^optimizer\.weight_decay = 'much': must be a number$"):
        held(BASE, "optimizer.weight_decay", "much")


def test_the_names_of_kinds_are_those_of_their_types():
    assert all(kind_name(kind) == name for name, kind in KINDS.items())
    experiment = Experiment(task=GaussianMixture(), model=Transformer(), loss=SquaredError(), optimizer=AdamW())
    assert from_dict(to_dict(experiment)) == experiment
    assert to_dict(Every(steps=3)) == {"kind": "Every", "steps": 3}
