"""Labels against integer arithmetic one pair at a time, and specs that cannot work."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterfit.parts import SpecError
from afterfit.tasks import ModularArithmetic


def expected(operation, a, b, p):
    """The answer by search where there is one to search, by Python integers otherwise."""
    if operation == "divide":
        return next(c for c in range(p) if c * b % p == a)
    return {"add": a + b, "subtract": a - b, "multiply": a * b, "quadratic": a**2 + a * b + b**2}[operation] % p


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide", "quadratic"])
@pytest.mark.parametrize("p", [2, 3, 13])
def test_labels_are_the_answers_of_integer_arithmetic(operation, p):
    table = ModularArithmetic(operation=operation, p=p, train_fraction=0.5, sequence="pair").table()
    assert table.labels.tolist() == [expected(operation, a, b, p) for a, b in table.inputs.tolist()]
    assert table.num_classes == p


@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "quadratic"])
@pytest.mark.parametrize("p", [4, 15])
def test_all_but_division_work_for_a_modulus_that_is_not_prime(operation, p):
    table = ModularArithmetic(operation=operation, p=p, sequence="pair").table()
    assert table.labels.tolist() == [expected(operation, a, b, p) for a, b in table.inputs.tolist()]


@pytest.mark.parametrize("operation", ["add", "divide"])
def test_every_pair_occurs_once_and_division_never_by_zero(operation):
    pairs = ModularArithmetic(operation=operation, p=7, sequence="pair").table().inputs
    first_b = 1 if operation == "divide" else 0
    assert pairs.tolist() == [[a, b] for a in range(7) for b in range(first_b, 7)]


def test_multiplication_keeps_zero_so_its_class_has_2p_minus_1_examples():
    table = ModularArithmetic(operation="multiply", p=11).table()
    assert np.bincount(table.labels).tolist() == [21] + [10] * 10


@pytest.mark.parametrize(
    ("sequence", "row", "vocabulary"),
    [("pair", [2, 3], 5), ("equals", [2, 3, 5], 6), ("full", [7, 2, 6, 3, 5], 8)],
)
def test_sequences_are_written_as_documented(sequence, row, vocabulary):
    table = ModularArithmetic(p=5, sequence=sequence).table()
    assert table.inputs[2 * 5 + 3].tolist() == row
    assert table.vocabulary == vocabulary == table.inputs.max() + 1
    assert table.inputs.dtype == table.labels.dtype == np.int32


@pytest.mark.parametrize(("fraction", "train"), [(0.2, 1881), (0.5, 4704)])
def test_training_pairs_of_97_squared_are_as_many_as_published(fraction, train):
    assert ModularArithmetic(p=97, train_fraction=fraction).sizes() == (train, 9409 - train)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 23), st.floats(0.3, 0.7), st.integers(0, 2**64 - 1))
def test_the_split_is_a_partition_of_the_announced_sizes(p, fraction, seed):
    task = ModularArithmetic(p=p, train_fraction=fraction)
    table = task.table()
    train, test = task.split(table, seed)
    assert (len(train), len(test)) == task.sizes()
    assert sorted([*train, *test]) == list(range(p * p)) == list(range(len(table.labels)))
    assert train.dtype == test.dtype == np.int32


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"p": 1}, ["p = 1", "2 … 4096"]),
        ({"p": 100_000}, ["p = 100000"]),
        ({"p": 96, "operation": "divide"}, ["p = 96", "prime", "97"]),
        ({"p": 97.5}, ["p = 97.5", "whole number"]),
        ({"operation": "power"}, ["operation = 'power'", "quadratic"]),
        ({"train_fraction": 0.0}, ["train_fraction = 0.0", "between 0 and 1"]),
        ({"train_fraction": 1.0}, ["train_fraction = 1.0"]),
        ({"train_fraction": float("nan")}, ["train_fraction = nan"]),
        ({"p": 2, "train_fraction": 0.2}, ["train_fraction = 0.2", "0 of 4 examples to train", "4 to test"]),
    ],
)
def test_a_spec_that_cannot_work_is_refused_in_one_line(fields, parts, refused):
    with refused(SpecError, *parts):
        ModularArithmetic(**fields)


def test_a_fraction_near_one_leaves_one_pair_to_test_on():
    assert ModularArithmetic(p=5, train_fraction=0.999).sizes() == (24, 1)
