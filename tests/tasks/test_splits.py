"""Splits are functions of the seed, the same on every machine and with every version of NumPy."""

import dataclasses

import numpy as np
import pytest

from afterfit.parts import SpecError, leaf_names
from afterfit.tasks import (
    GaussianMixture,
    Images,
    ModularArithmetic,
    PermutationComposition,
    SparseParity,
    Table,
    Task,
)
from afterfit.tasks.splits import SPLIT_STREAM, fraction_sizes, shuffled

SEEDED = [
    ModularArithmetic(p=23),
    PermutationComposition(n=4),
    SparseParity(bits=10, train_size=60, test_size=50),
    GaussianMixture(train_size=60, test_size=50),
    Images(dataset="digits", train_size=200, test_size=100, subset="random"),
]
ALL = [*SEEDED, Images(dataset="digits"), Images(dataset="digits", train_size=100, test_size=50, subset="balanced")]


def name(task):
    return type(task).__name__


@pytest.mark.parametrize("task", ALL, ids=name)
def test_sizes_are_announced_without_the_table_and_rows_never_overlap(task):
    table = task.table()
    for seed in (0, 1):
        train, test = task.split(table, seed)
        assert (len(train), len(test)) == task.sizes()
        assert train.dtype == test.dtype == np.int32
        rows = np.concatenate([train, test])
        assert len(set(rows.tolist())) == len(rows)
        assert rows.min() >= 0
        assert rows.max() < len(table.labels)


@pytest.mark.parametrize("task", SEEDED, ids=name)
def test_the_same_seed_gives_the_same_split_and_another_seed_another(task):
    table = task.table()
    first, again, other = (task.split(table, seed)[0] for seed in (7, 7, 8))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("task", ALL, ids=name)
def test_the_table_is_the_same_every_time_and_the_task_satisfies_the_protocol(task):
    first, again = task.table(), task.table()
    assert (first.inputs == again.inputs).all()
    assert (first.labels == again.labels).all()
    assert isinstance(task, Task)


@pytest.mark.parametrize("task", ALL, ids=name)
def test_no_field_of_a_task_is_a_leaf_because_the_data_are_built_on_the_host(task):
    assert leaf_names(type(task)) == ()


@pytest.mark.parametrize("task", ALL, ids=name)
def test_tasks_are_values(task):
    assert task == dataclasses.replace(task)
    assert hash(task) == hash(dataclasses.replace(task))


def philox_block(counter, key):
    """Four 64-bit numbers of Philox 4x64-10, written from Salmon et al. 2011 with Python's integers."""
    (c0, c1, c2, c3), (k0, k1), mask = counter, key, 2**64 - 1
    for _ in range(10):
        left, right = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = right >> 64 ^ c1 ^ k0, right & mask, left >> 64 ^ c3 ^ k1, left & mask
        k0, k1 = k0 + 0x9E3779B97F4A7C15 & mask, k1 + 0xBB67AE8584CAA73B & mask
    return [c0, c1, c2, c3]


@pytest.mark.parametrize("seed", [0, 42, 2**64 - 1])
def test_an_order_is_that_of_the_published_generator_with_key_seed_and_stream(seed):
    numbers = [number for block in (1, 2, 3) for number in philox_block((block, 0, 0, 0), (seed, SPLIT_STREAM))]
    assert shuffled(12, seed).tolist() == sorted(range(12), key=lambda row: numbers[row])


def test_different_streams_of_one_seed_differ():
    assert shuffled(100, 0, SPLIT_STREAM).tolist() != shuffled(100, 0, SPLIT_STREAM + 1).tolist()


def test_every_place_is_equally_likely():
    places = np.array([shuffled(5, seed) for seed in range(4000)])
    counts = np.stack([np.bincount(places[:, k], minlength=5) for k in range(5)])
    # 4,000 draws: 800 expected a cell, standard deviation 25; five of them is one failure in 100,000 runs.
    assert abs(counts - 800).max() < 5 * 25.3


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_is_no_64_bit_number_is_refused(seed, refused):
    with refused(SpecError, "seed", "0 to 2**64 - 1"):
        shuffled(3, seed)


@pytest.mark.parametrize("hundredths", range(1, 100))
def test_a_fraction_of_100_gives_its_hundredths_whatever_the_rounding(hundredths):
    assert fraction_sizes(100, hundredths / 100) == (hundredths, 100 - hundredths)


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"labels": np.zeros(2, np.int32)}, ["labels = (2,)", "(3,)"]),
        ({"labels": np.zeros(3, np.int64)}, ["labels = 'int64'", "int32"]),
        ({"labels": np.full(3, 2, np.int32)}, ["labels = (2, 2)", "0 … 1"]),
        ({"inputs": np.zeros((3, 4))}, ["inputs = 'float64'", "float32"]),
        ({"inputs": np.full((3, 4), 9, np.int32), "vocabulary": 9}, ["inputs = (9, 9)", "0 … 8"]),
        ({"vocabulary": 9}, ["inputs = 'float32'", "int32"]),
    ],
)
def test_a_table_that_would_train_on_nonsense_is_refused(fields, parts, refused):
    good = {"inputs": np.zeros((3, 4), np.float32), "labels": np.zeros(3, np.int32), "num_classes": 2}
    Table(**good)
    with refused(SpecError, *parts):
        Table(**(good | fields))
