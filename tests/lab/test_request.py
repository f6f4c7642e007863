"""What is asked for: presets, spec files, varied fields and seeds, read and refused in one line."""

from dataclasses import replace

import numpy as np
import pytest

from afterfit.lab.request import parsed_seeds, resolve
from afterfit.models import MLP
from afterfit.parts import SpecError
from afterfit.spec import SGD, Adam, Experiment, Minibatch, Threshold
from afterfit.spec.presets import PRESETS, preset
from afterfit.tasks import ModularArithmetic

TINY = Experiment(task=ModularArithmetic(p=7, train_fraction=0.6), model=MLP(widths=(16,)), minibatch=Minibatch(size=8))


@pytest.fixture
def toml(tmp_path):
    """Resolve what a spec file says."""

    def read(text: str, **options):
        path = tmp_path / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return resolve(path, **options)

    return read


@pytest.mark.parametrize(
    ("given", "seeds"),
    [
        (3, (0, 1, 2)),
        (np.int64(2), (0, 1)),
        ("3", (0, 1, 2)),
        ("42-44", (42, 43, 44)),
        ("1,5, 7", (1, 5, 7)),
        ("0-1,7", (0, 1, 7)),
        ([5, 1], (5, 1)),
        (range(2, 4), (2, 3)),
        (np.array([3, 4]), (3, 4)),
        ("42-42", (42,)),
    ],
)
def test_seeds_are_a_count_a_range_or_a_list(given, seeds):
    assert parsed_seeds(given) == seeds


@pytest.mark.parametrize(
    "given", [0, -1, "0", "", "x", "5-3", "-3", "1,1", [1, 1], [], [-1], [0.5], 2.0, [2**32], "1;2", None, ["a"]]
)
def test_seeds_that_make_no_sense_are_refused_in_one_line(given):
    with pytest.raises(SpecError, match=r"^seeds = .*: must be a count above 0, a range such as 42-46, or") as caught:
        parsed_seeds(given)
    assert "\n" not in str(caught.value)


def test_a_preset_brings_its_usual_seeds_and_an_experiment_one():
    assert resolve("sakamoto-2025").seeds == preset("sakamoto-2025").seeds
    assert resolve("digits", seeds=2).seeds == (0, 1)
    assert resolve(TINY).seeds == (0,)
    assert resolve("digits").name == "digits"


def test_every_value_meets_every_other_and_every_seed():
    request = resolve(TINY, seeds=2, vary={"optimizer.weight_decay": ["0.1", 1], "model.widths": [[4], (8, 8)]})
    members = request.members()
    assert [member.number for member, _ in members] == list(range(8))
    found = [(m.experiment.optimizer.weight_decay, m.experiment.model.widths, m.seed) for m, _ in members]
    assert found == [(d, w, s) for d in (0.1, 1.0) for w in ((4,), (8, 8)) for s in (0, 1)]
    assert members[0][1] == {"optimizer.weight_decay": 0.1, "model.widths": [4]}


def test_changes_come_before_what_is_varied_and_may_depend_on_each_other():
    request = resolve("power-2022", seeds=1, changes={"task.p": 11, "task.operation": "add", "minibatch.size": 8})
    ((member, _),) = request.members()
    assert member.experiment.task == replace(preset("power-2022").experiment.task, p=11, operation="add")
    varied = resolve(TINY, vary={"model": ["MLP"], "optimizer": ["SGD", {"kind": "Adam", "learning_rate": 0.5}]})
    assert [m.experiment.optimizer for m, _ in varied.members()] == [SGD(), Adam(learning_rate=0.5)]


def test_fields_that_fit_only_together_can_be_varied_together():
    changes = {"task.sequence": "equals", "minibatch.size": 8}
    request = resolve("modular-addition", seeds=1, changes=changes, vary={"model.width": [6], "model.heads": [3]})
    assert request.members()[0][0].experiment.model.heads == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vary": {"optimizer.wieght_decay": [1]}}, "optimizer.wieght_decay = 1: no such field; did you mean"),
        ({"vary": {"optimizer.weight_decay": []}}, "vary optimizer.weight_decay = []: needs one value at least"),
        ({"vary": {"optimizer.weight_decay": ()}}, "vary optimizer.weight_decay = []: needs one value at least"),
        ({"vary": {"optimizer.weight_decay": [1, 1.0]}}, "vary optimizer.weight_decay = [1, 1.0]: has a value twice"),
        ({"vary": {"optimizer.weight_decay": [-1]}}, "optimizer.weight_decay = -1.0: must be a finite number"),
        ({"vary": {"optimizer.learning_rate": [float("nan")]}}, "optimizer.learning_rate = nan: must be a finite"),
        ({"vary": {"minibatch.size": [8, 1000]}}, "minibatch.size = 1000: must be at most the 29 training examples"),
        ({"vary": {"task.p": [7, 8]}, "changes": {"task.operation": "divide"}}, "task.p = 8: must be prime"),
        ({"vary": {"task.train_fraction": [0.01]}}, "task.train_fraction = 0.01: leaves 0 of 49 examples to train"),
        ({"changes": {"steps": 0}}, "steps = 0: must be 1 or more"),
        ({"changes": {"measures": ["loss", "accuracy", "weight_nrm"]}}, "measures = 'weight_nrm': did you mean"),
        ({"seeds": 0}, "seeds = 0: must be a count above 0"),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_in_one_line(options, message):
    with pytest.raises(SpecError) as caught:
        resolve(TINY, **options).members()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("measure", ["tset/accuracy", "accuracy", "train/weight_norm"])
def test_a_rule_must_name_what_is_observed(measure):
    rule = Threshold(measure=measure, at_least=0.5)
    with pytest.raises(SpecError, match=r"^events\.generalised\.measure = '.*': did you mean") as caught:
        resolve(replace(TINY, events=(rule,))).members()
    assert "\n" not in str(caught.value)


def test_a_single_value_or_a_part_may_be_varied_without_a_list():
    assert len(resolve(TINY, vary={"optimizer.weight_decay": 0.5}).members()) == 1
    assert len(resolve(TINY, vary={"stop_when": "generalised"}).members()) == 1


def test_a_spec_file_may_start_from_a_preset(toml):
    request = toml(
        """
        preset = "modular-addition"
        seeds = "42-43"
        [experiment]
        steps = 50
        stop_when = "none"
        optimizer = {kind = "SGD", momentum = 0.9}
        [experiment.task]
        p = 11
        [experiment.minibatch]
        size = "none"
        [[experiment.events]]
        name = "memorised"
        measure = "train/accuracy"
        at_least = 0.9
        [vary]
        "model.width" = [8, 16]
        """
    )
    base = PRESETS["modular-addition"].experiment
    assert request.seeds == (42, 43)
    assert request.name == "mine"
    assert request.vary == {"model.width": (8, 16)}
    assert request.experiment == replace(
        base, steps=50, stop_when=None, optimizer=SGD(momentum=0.9), task=replace(base.task, p=11),
        minibatch=Minibatch(size=None),
        events=(Threshold(name="memorised", measure="train/accuracy", at_least=0.9),),
    )  # fmt: skip


def test_a_spec_file_may_say_all_itself(toml):
    request = toml(
        """
        [experiment]
        loss = "SquaredError"
        [experiment.task]
        kind = "ModularArithmetic"
        p = 7
        [experiment.model]
        kind = "MLP"
        widths = [16, 8]
        [experiment.optimizer]
        learning_rate = 0.5
        """,
        seeds=3,
    )
    assert request.experiment.model == MLP(widths=(16, 8))
    assert request.experiment.optimizer.learning_rate == 0.5
    assert request.seeds == (0, 1, 2)


def test_the_command_line_comes_after_the_spec_file(toml):
    text = 'preset = "digits"\nseeds = 5\n[vary]\n"optimizer.weight_decay" = [0.1, 0.2]\nsteps = [10, 20]'
    request = toml(text, seeds="7", vary={"steps": ["30"]}, changes={"patience": "3"})
    assert len(request.seeds) == 7
    assert request.vary == {"optimizer.weight_decay": (0.1, 0.2), "steps": (30,)}
    assert request.experiment.patience == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset = ", "is not TOML: Invalid value"),
        ('presett = "digits"', "presett = 'digits': no such entry; did you mean 'preset'?"),
        ('preset = "digitz"', "preset = 'digitz': did you mean 'digits'?"),
        ('preset = 3', "preset = 3: must be one of"),
        ('preset = "mine.toml"', "preset = 'mine.toml': must be one of"),
        ("experiment = 3", "experiment = 3: must be a table, [experiment]"),
        ('preset = "digits"\nvary = 3', "vary = 3: must be a table, [vary]"),
        ('preset = "digits"\nseeds = 0', "seeds = 0: must be a count above 0"),
        ('preset = "digits"\n[experiment]\nstep = 3', "step = 3: no such field; did you mean 'steps'?"),
        ('preset = "digits"\n[experiment.model]\nwidth = 3', "model.width = 3: no such field; did you mean 'widths'?"),
        ('preset = "digits"\n[vary]\nsteps = []', "vary steps = []: needs one value at least"),
        ("[experiment.task]\nkind = 'ModularArithmetic'", "model = None: must be given for Experiment"),
        ("[experiment.task]\np = 3\n[experiment.model]\nkind='MLP'", "task.kind = None: must name what it is"),
        ("", "task = None: must be given for Experiment"),
    ],
)  # fmt: skip
def test_a_bad_spec_file_is_refused_in_one_line(toml, text, message):
    with pytest.raises(SpecError) as caught:
        toml(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_spec_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"nothing\.toml': cannot be read: No such file or directory$"):
        resolve(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SpecError, match=r"binary\.toml': is not TOML"):
        resolve(str(tmp_path / "binary.toml"))
