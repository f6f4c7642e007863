"""A measure is given what its parameters are named after, on the split and layer that is asked for."""

import numpy as np
import pytest

from afterfit import measures
from afterfit.parts import SpecError
from afterfit.views import View, measure_named, observe, of_the_model


@pytest.fixture
def view():
    """Six samples of two classes, seen by a network with one layer below the features."""
    draw = np.random.default_rng(0)
    features, weight, bias = draw.normal(size=(6, 3)), draw.normal(size=(2, 3)), draw.normal(size=2)
    return View(
        inputs=draw.normal(size=(6, 4)), labels=np.array([0, 1, 0, 1, 1, 0]), features=features,
        logits=features @ weight.T + bias, head_weight=weight, head_bias=bias, num_classes=2,
        layers={"below": draw.normal(size=(6, 2, 5))}, parameters={"w": weight, "b": bias},
    )  # fmt: skip


def test_a_measure_of_the_library_is_taken_by_its_name(view):
    observed = observe(view, ["rnc1", "accuracy", "weight_norm"])
    assert observed["rnc1"] == measures.rnc1(view.features, view.labels)
    assert observed["accuracy"] == measures.accuracy(view.logits, view.labels)
    assert float(observed["weight_norm"]) == pytest.approx(
        np.sqrt((view.head_weight**2).sum() + (view.head_bias**2).sum())
    )


def test_a_measure_at_a_layer_is_taken_of_its_flattened_representation(view):
    observed = observe(view, ["rnc1@below"])
    assert observed["rnc1@below"] == measures.rnc1(view.layers["below"].reshape(6, 10), view.labels)


def test_a_function_of_the_users_own_gets_what_it_names_and_its_defaults_stay(view):
    def spread(features, num_classes, scale=2.0):
        return scale * num_classes * features.std()

    assert observe(view, {"mine": spread})["mine"] == 4 * view.features.std()
    with_extra = View(
        **{name: getattr(view, name) for name in view.__dataclass_fields__} | {"extra": {"temperature": 3.0}}
    )
    assert observe(with_extra, {"mine": lambda features, temperature: temperature})["mine"] == 3.0


def test_a_measure_with_options_is_taken_with_them(view):
    names = ["rnc1[scale=max_norm]", "spectral_entropy[center=false]", "spectral_entropy[center=false]@below"]
    observed = observe(view, names)
    assert observed[names[0]] == measures.rnc1(view.features, view.labels, scale="max_norm")
    assert observed[names[1]] == measures.spectral_entropy(view.features, center=False)
    assert observed[names[2]] == measures.spectral_entropy(view.layers["below"].reshape(6, 10), center=False)
    assert of_the_model(measure_named("weight_norm"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rnc1[scal=max_norm]", "measures = 'rnc1[scal=max_norm]': no option 'scal'; did you mean 'scale'?"),
        ("rnc1[scale=max_norm", "measures = 'rnc1[scale=max_norm': must close its bracket: rnc1[scale=max_norm]"),
        ("rnc1[scale]", "measures = 'rnc1[scale]': needs a value: scale=…"),
        (
            "spectral_entropy[center=no]",
            "measures = 'spectral_entropy[center=no]': must have a true or false for center",
        ),
        ("acuracy", "measures = 'acuracy': did you mean 'accuracy'?"),
        ("acuracy@below", "measures = 'acuracy@below': did you mean 'accuracy'?"),
        ("rnc1@belwo", "measures = '@belwo': did you mean 'below'?"),
        ("stable_rank", "measures = 'stable_rank': asks for matrix, which a view does not have"),
    ],
)
def test_what_cannot_be_taken_is_refused_in_one_line(view, name, message):
    with pytest.raises(SpecError) as caught:
        observe(view, [name])
    assert str(caught.value) == message


def test_measures_of_the_model_alone_read_parameters_only():
    assert of_the_model(measures.weight_norm)
    assert not of_the_model(measures.rnc1)
    assert measure_named("rnc1@anywhere") is measures.rnc1


def test_the_first_samples_are_a_view_of_their_own(view):
    first = view.first(4)
    assert observe(first, ["rnc1"])["rnc1"] == measures.rnc1(view.features[:4], view.labels[:4])
    assert first.layers["below"].shape == (4, 2, 5)
    assert first.head_weight is view.head_weight
    assert view.first(6) is view
    assert view.first(100) is view
