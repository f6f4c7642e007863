"""What a watch takes at once is what the measures give one by one; views are made from arrays that fit."""

import numpy as np
import pytest

from afterfit.parts import SpecError
from afterfit.views import View, measure_named, observe
from afterfit.watch.arrays import view_of
from afterfit.watch.measured import OF_CLASSES, named, of_models, of_one, taken

NAMES = (
    *OF_CLASSES,
    "rnc1[scale=max_norm]",
    "nc1[definition=pinv]",
    "nc2[definition=etf_distance]",
    "rnc1@below",
    "accuracy",
)


def view(num_classes: int = 4, present: int = 4) -> View:
    """Forty samples of some of the classes."""
    draw, labels = np.random.default_rng(0), np.arange(40) % present
    features = draw.normal(size=(40, 6)) + 3 * np.eye(present, 6)[labels]
    head = draw.normal(size=(num_classes, 6))
    return view_of(features, labels, head, np.zeros(num_classes), layers={"below": features[:, ::-1] ** 2})


@pytest.mark.parametrize(("num_classes", "present"), [(4, 4), (7, 3), (500, 3)])
def test_one_pass_gives_what_each_measure_gives_by_itself(num_classes, present):
    shown, functions = view(num_classes, present), {name: measure_named(name) for name in NAMES}
    one_by_one = observe(shown, functions)
    together = of_one(shown, functions)
    assert list(together) == list(one_by_one)
    for name, value in one_by_one.items():
        assert float(together[name]) == pytest.approx(float(value), rel=1e-12), name


def test_measures_of_the_model_are_taken_once_and_the_others_of_each_split():
    functions = named(["loss", "rnc1", "weight_norm"], "cross_entropy")
    assert of_models(functions) == {"weight_norm"}
    shown = view_of(np.eye(3), np.array([0, 1, 1]), np.ones((2, 3)), parameters={"a": np.array([3.0, 4.0])})
    values = taken({"train": shown, "test": shown}, functions, of_models(functions))
    assert set(values) == {"weight_norm", "train/loss", "train/rnc1", "test/loss", "test/rnc1"}
    assert values["weight_norm"] == 5


@pytest.mark.parametrize(
    ("labels", "head", "message"),
    [
        (np.zeros(3, int), np.ones((3, 2)), r"^head_weight = \(3, 2\): must be \(classes, 3\)"),
        (np.zeros(2, int), np.ones((2, 3)), r"^labels = \(2,\): must be \(3,\), as features"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(labels, head, message):
    with pytest.raises(SpecError, match=message):
        view_of(np.eye(3), labels, head)
