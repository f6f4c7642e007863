"""S_n must be a group, whatever the indices of its elements are."""

import itertools
import math

import numpy as np
import pytest

from afterfit.parts import SpecError
from afterfit.tasks import PermutationComposition


def product_table(n):
    """Index of σ∘τ at [σ, τ], shape (n!, n!)."""
    order = math.factorial(n)
    return PermutationComposition(n=n, sequence="pair").table().labels.reshape(order, order)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_labels_are_the_index_of_sigma_after_tau(n):
    elements = list(itertools.permutations(range(n)))
    table = PermutationComposition(n=n, sequence="pair").table()
    for (s, t), label in zip(table.inputs.tolist(), table.labels.tolist(), strict=True):
        assert elements[label] == tuple(elements[s][elements[t][i]] for i in range(n))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_composition_is_a_group(n):
    products = product_table(n)
    order = len(products)
    indices = np.arange(order)
    assert (products[0] == indices).all(), "element 0 is the identity from the left"
    assert (products[:, 0] == indices).all(), "element 0 is the identity from the right"
    assert (np.sort(products, axis=0) == indices[:, None]).all(), "σ∘τ = ρ has one solution σ"
    assert (np.sort(products, axis=1) == indices).all(), "σ∘τ = ρ has one solution τ"
    a, b, c = np.random.default_rng(0).integers(0, order, (3, 2000))
    assert (products[products[a, b], c] == products[a, products[b, c]]).all(), "(στ)ρ = σ(τρ)"


def test_s5_is_not_commutative_and_has_120_equal_classes():
    products = product_table(5)
    assert (products != products.T).any()
    assert np.bincount(products.ravel()).tolist() == [120] * 120


def test_sizes_are_those_published_for_s5():
    assert PermutationComposition(n=5, train_fraction=0.1).sizes() == (1440, 12960)


def test_the_largest_group_is_labelled_in_range():
    table = PermutationComposition(n=6).table()
    assert len(table.labels) == 720**2
    assert table.labels.max() == 719


def test_equals_adds_one_token():
    table = PermutationComposition(n=3, sequence="equals").table()
    assert table.inputs[1 * 6 + 4].tolist() == [1, 4, 6]
    assert table.vocabulary == 7


def test_the_split_is_a_partition():
    task = PermutationComposition(n=4, train_fraction=0.3)
    train, test = task.split(task.table(), seed=5)
    assert (len(train), len(test)) == task.sizes() == (172, 404)
    assert sorted([*train, *test]) == list(range(576))


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"n": 1}, ["n = 1", "2 … 6"]),
        ({"n": 7}, ["n = 7", "(n!)²"]),
        ({"n": 2, "train_fraction": 0.1}, ["train_fraction = 0.1", "0 of 4"]),
        ({"sequence": "full"}, ["sequence = 'full'", "pair, equals"]),
    ],
)
def test_a_spec_that_cannot_work_is_refused_in_one_line(fields, parts, refused):
    with refused(SpecError, *parts):
        PermutationComposition(**fields)
