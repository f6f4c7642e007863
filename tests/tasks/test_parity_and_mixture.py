"""Synthetic tasks against what is known of them."""

import math

import numpy as np
import pytest

from afterfit.parts import SpecError
from afterfit.tasks import GaussianMixture, SparseParity


def test_the_label_is_the_parity_of_the_relevant_bits_alone():
    task = SparseParity(bits=12, parity=4, train_size=300, test_size=200, task_seed=3)
    table, relevant = task.table(), task.relevant_bits()
    assert [sum(row[i] == -1 for i in relevant) % 2 for row in table.inputs] == table.labels.tolist()
    assert set(np.unique(table.inputs)) == {-1.0, 1.0}
    assert table.inputs.dtype == np.float32


def test_no_single_bit_predicts_the_label():
    table = SparseParity(train_size=8000, test_size=2000).table()
    correlations = (table.inputs * (1 - 2 * table.labels[:, None])).mean(axis=0)
    assert abs(correlations).max() < 5 / math.sqrt(10_000)
    assert abs(table.inputs.mean(axis=0)).max() < 5 / math.sqrt(10_000)


def test_the_task_seed_draws_other_bits_and_samples():
    first, second = SparseParity(task_seed=0), SparseParity(task_seed=1)
    assert first.relevant_bits().tolist() != second.relevant_bits().tolist()
    assert len(set(first.relevant_bits().tolist())) == 3
    assert (first.table().inputs != second.table().inputs).any()


@pytest.mark.parametrize("classes", [2, 3, 4, 10])
def test_means_are_a_simplex_of_the_asked_radius(classes):
    means = GaussianMixture(num_classes=classes, dim=12, separation=2.5).class_means()
    gram = means @ means.T
    expected = 2.5**2 * (np.eye(classes) * classes - 1) / (classes - 1)
    np.testing.assert_allclose(gram, expected, atol=1e-12)
    np.testing.assert_allclose(means.sum(axis=0), 0, atol=1e-12)


def test_variances_of_many_samples_are_the_population_ones():
    task = GaussianMixture(num_classes=3, dim=7, separation=2, noise_std=0.6, train_size=30_000, test_size=30_000)
    table = task.table()
    means = np.stack([table.inputs[table.labels == c].mean(axis=0) for c in range(3)])
    within = ((table.inputs - means[table.labels]) ** 2).sum(axis=1).mean()
    between = ((means - means.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert within == pytest.approx(task.within_class_variance(), rel=0.01)
    assert between == pytest.approx(task.between_class_variance(), rel=0.01)
    assert np.bincount(table.labels).tolist() == [20_000] * 3


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_the_nearest_mean_is_right_as_often_as_predicted(classes):
    task = GaussianMixture(num_classes=classes, dim=8, separation=1.5, train_size=50_000, test_size=50_000)
    table = task.table()
    nearest = (table.inputs @ task.class_means().T).argmax(axis=1)
    accuracy = (nearest == table.labels).mean()
    assert accuracy == pytest.approx(task.best_accuracy(), abs=5 * 0.5 / math.sqrt(100_000))


def test_two_classes_have_the_closed_form():
    task = GaussianMixture(num_classes=2, separation=1.2, noise_std=0.8)
    assert task.best_accuracy() == pytest.approx(math.erfc(-1.5 / math.sqrt(2)) / 2, abs=1e-12)


@pytest.mark.parametrize(("fields", "accuracy"), [({"separation": 0}, 0.25), ({"noise_std": 0}, 1.0)])
def test_the_extremes_are_chance_and_certainty(fields, accuracy):
    assert GaussianMixture(**fields).best_accuracy() == pytest.approx(accuracy, abs=1e-12)


def test_without_noise_every_sample_is_its_class_mean():
    task = GaussianMixture(noise_std=0, train_size=10, test_size=10)
    table = task.table()
    assert (table.inputs == task.class_means().astype(np.float32)[table.labels]).all()


@pytest.mark.parametrize(
    ("kind", "fields", "parts"),
    [
        (SparseParity, {"bits": 0}, ["bits = 0"]),
        (SparseParity, {"bits": 3, "parity": 4}, ["parity = 4", "bits = 3"]),
        (SparseParity, {"parity": 0}, ["parity = 0"]),
        (SparseParity, {"train_size": 0}, ["train_size = 0"]),
        (SparseParity, {"test_size": 0}, ["test_size = 0"]),
        (SparseParity, {"task_seed": -1}, ["task_seed = -1"]),
        (GaussianMixture, {"num_classes": 1}, ["num_classes = 1"]),
        (GaussianMixture, {"num_classes": 6, "dim": 4}, ["dim = 4", "num_classes - 1 = 5"]),
        (GaussianMixture, {"separation": -1}, ["separation = -1.0"]),
        (GaussianMixture, {"noise_std": float("inf")}, ["noise_std = inf"]),
        (GaussianMixture, {"noise_std": float("nan")}, ["noise_std = nan"]),
        (GaussianMixture, {"train_size": 0}, ["train_size = 0"]),
        (GaussianMixture, {"test_size": 0}, ["test_size = 0"]),
        (GaussianMixture, {"task_seed": 2**64}, ["task_seed"]),
    ],
)
def test_a_spec_that_cannot_work_is_refused_in_one_line(kind, fields, parts, refused):
    with refused(SpecError, *parts):
        kind(**fields)
