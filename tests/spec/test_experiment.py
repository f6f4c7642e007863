"""An experiment refuses what does not fit together, in one line, before anything is computed."""

import math
from dataclasses import replace

import pytest

from afterfit.models import MLP, Transformer
from afterfit.parts import SpecError
from afterfit.spec import SGD, Adam, AdamW, Every, Experiment, Logarithmic, Minibatch, Paced, Threshold
from afterfit.spec.presets import PRESETS, preset
from afterfit.tasks import ModularArithmetic

TINY = Experiment(task=ModularArithmetic(p=7), model=MLP(widths=(16,)), minibatch=Minibatch(size=8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModularArithmetic(operation="divide", p=96), "p = 96: must be prime to divide"),
        (lambda: ModularArithmetic(p=1), "p = 1: must lie in 2"),
        (lambda: ModularArithmetic(train_fraction=0.0), "train_fraction = 0.0: must lie between 0 and 1"),
        (lambda: ModularArithmetic(train_fraction=1), "train_fraction = 1.0: must lie between 0 and 1"),
        (lambda: ModularArithmetic(train_fraction=math.nan), "train_fraction = nan: must lie between 0 and 1"),
        (
            lambda: ModularArithmetic(p=5, train_fraction=0.01),
            "train_fraction = 0.01: leaves 0 of 25 examples to train",
        ),
        (lambda: Transformer(heads=3), "heads = 3: must divide width = 128: one of 1, 2, 4"),
        (lambda: Transformer(layers=0), "layers = 0: must be 1 or more"),
        (lambda: Transformer(heads=0), "heads = 0: must be 1 or more"),
        (lambda: Transformer(init_scale=-1), "init_scale = -1.0: must be a finite number above 0"),
        (lambda: MLP(widths=()), "widths = (): needs one hidden layer at least"),
        (lambda: MLP(widths=(5, 0)), "widths = (5, 0): must all be 1 or more"),
        (lambda: MLP(init_scale=math.nan), "init_scale = nan: must be a finite number above 0"),
        (lambda: AdamW(learning_rate=-1e-3), "learning_rate = -0.001: must be a finite number above 0"),
        (lambda: AdamW(learning_rate=0), "learning_rate = 0.0: must be a finite number above 0"),
        (lambda: Adam(learning_rate=math.nan), "learning_rate = nan: must be a finite number above 0"),
        (lambda: SGD(learning_rate=math.inf), "learning_rate = inf: must be a finite number above 0"),
        (lambda: AdamW(weight_decay=-1), "weight_decay = -1.0: must be a finite number, 0 or more"),
        (lambda: SGD(weight_decay=math.nan), "weight_decay = nan: must be a finite number, 0 or more"),
        (lambda: AdamW(b1=1), "b1 = 1.0: must be at least 0 and below 1"),
        (lambda: AdamW(b2=math.nan), "b2 = nan: must be at least 0 and below 1"),
        (lambda: AdamW(epsilon=-1), "epsilon = -1.0: must be a finite number, 0 or more"),
        (lambda: SGD(momentum=1.5), "momentum = 1.5: must be at least 0 and below 1"),
        (lambda: AdamW(warmup_steps=-1), "warmup_steps = -1: must be 0 or more"),
        (lambda: Minibatch(size=0), "size = 0: must be 1 or more, or none for the full batch"),
        (lambda: Every(steps=0), "steps = 0: must be 1 or more"),
        (lambda: Logarithmic(per_decade=0), "per_decade = 0: must be 1 or more"),
        (lambda: Paced(until=(30, 30), every=(1, 2, 3)), "until = (30, 30): must rise from above 0"),
        (lambda: Paced(until=(30,), every=(1,)), "every = (1,): needs one value more than `until`"),
        (lambda: Paced(until=(30,), every=(1, 0)), "every = (1, 0): must all be 1 or more"),
        (lambda: Threshold(), "at_least = None: give at_least or at_most"),
        (lambda: Threshold(at_least=math.nan), "at_least = nan: must be a finite number"),
        (lambda: Threshold(at_most=math.inf), "at_most = inf: must be a finite number"),
        (lambda: Threshold(at_least=0.5, at_most=0.25), "at_least = 0.5: must not be above at_most = 0.25"),
        (lambda: Threshold(at_least=1, sustained=0), "sustained = 0: must be 1 or more"),
        (lambda: replace(TINY, steps=0), "steps = 0: must be 1 or more"),
        (lambda: replace(TINY, patience=-1), "patience = -1: must be 0 or more"),
        (lambda: replace(TINY, stop_when="generalized"), "stop_when = 'generalized': did you mean 'generalised'?"),
        (lambda: replace(TINY, events=(), stop_when="x"), "stop_when = 'x': needs an event"),
        (lambda: replace(TINY, measures=("loss",)), "events.memorised.measure = 'train/accuracy': must be among"),
        (
            lambda: replace(TINY, minibatch=Minibatch(size=99)).check_sizes(),
            "minibatch.size = 99: must be at most the 19",
        ),
        (lambda: preset("modulr-addition"), "preset = 'modulr-addition': did you mean 'modular-addition'?"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(make, message):
    with pytest.raises(SpecError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_two_events_of_one_name_are_refused():
    rule = Threshold(at_least=0.5)
    with pytest.raises(SpecError, match="must have different names"):
        replace(TINY, events=(rule, rule))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fits_together(name):
    preset(name).experiment.check_sizes()
    assert preset(name).seeds


def test_the_first_and_the_last_step_are_always_observed():
    experiment = replace(TINY, steps=25, schedule=Every(steps=10))
    assert list(experiment.observed_steps(25)) == [0, 10, 20, 25]
    assert list(experiment.observed_steps(24)) == [0, 10, 20]
    assert list(experiment.observed_steps(0)) == [0]
    assert list(replace(experiment, steps=1).observed_steps(10)) == [0, 1]
    assert experiment.observed_after(20) == 25
