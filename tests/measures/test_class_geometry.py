"""Class means on simplex frames, where the answers are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from afterfit import measures as m

from .oracles import simplex_frame

K, D = 6, 9
LABELS = np.arange(5 * K) % K


def collapsed(noise: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return simplex_frame(K, D, radius=3.0)[LABELS] + rng.normal(size=D) + noise * rng.normal(size=(len(LABELS), D))


@pytest.mark.parametrize("definition", ["etf_distance", "equinorm", "equiangularity"])
def test_on_a_simplex_frame_anywhere_in_space_the_centred_definitions_are_zero(definition, single):
    assert float(m.nc2(single(collapsed()), single(LABELS), definition=definition)) == pytest.approx(0, abs=2e-6)
    assert float(m.nc2(single(collapsed(0.5)), single(LABELS), definition=definition)) > 0.01


def test_the_condition_number_is_one_for_orthogonal_means_of_one_length(single):
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(D, D)))[0][:K]
    assert float(m.nc2(single(5 * turn[LABELS]), single(LABELS))) == pytest.approx(1, rel=single.tolerance)


def test_a_simplex_frame_around_the_origin_has_linearly_dependent_means(single):
    assert float(m.nc2(single(simplex_frame(K, D)[LABELS]), single(LABELS))) > 1 / single.tolerance


def test_the_condition_number_takes_the_last_of_d_singular_values_if_there_are_more_classes(single):
    means = np.array([[3.0, 0.0], [0.0, 1.0], [4.0, 0.0]])
    assert float(m.nc2(single(means), single([0, 1, 2]))) == pytest.approx(5, rel=single.tolerance)


def test_equinorm_is_the_spread_of_norms_over_their_mean(single):
    """Centred means −4, −1 and 5 on a line: norms 4, 1, 5."""
    value = m.nc2(single([[-4.0], [-1.0], [5.0]]), single([0, 1, 2]), definition="equinorm")
    assert float(value) == pytest.approx(np.std([4, 1, 5]) / np.mean([4, 1, 5]), rel=single.tolerance)


def test_a_class_mean_on_the_centre_has_no_angle(single):
    assert np.isnan(float(m.nc2(single([[-1.0], [0.0], [1.0]]), single([0, 1, 2]), definition="equiangularity")))


def test_nc3_is_zero_for_a_dual_head_and_four_for_the_opposite(single):
    features, head = single(collapsed()), simplex_frame(K, D)
    assert float(m.nc3(features, single(LABELS), single(0.2 * head))) == pytest.approx(0, abs=1e-6)
    assert float(m.nc3(features, single(LABELS), single(-7 * head))) == pytest.approx(4, rel=single.tolerance)


def test_nc3_leaves_out_rows_of_classes_without_samples(single):
    some = LABELS < 4
    features, head = collapsed(0.1)[some], np.random.default_rng(0).normal(size=(K, D))
    with_all = m.nc3(single(features), single(LABELS[some]), single(head))
    assert float(with_all) == pytest.approx(
        float(m.nc3(single(features), single(LABELS[some]), single(head[:4]))), rel=single.tolerance
    )


def test_nc4_is_zero_for_a_nearest_mean_head_and_counts_every_other_decision(single):
    features = collapsed(0.2)
    means = np.stack([features[c == LABELS].mean(0) for c in range(K)])
    bias = -(means**2).sum(1) / 2
    arguments = single(features), single(LABELS)
    assert float(m.nc4(*arguments, single(means), single(bias))) == 0
    assert float(m.nc4(*arguments, single(np.roll(means, 1, 0)), single(np.roll(bias, 1)))) == 1


def test_labels_that_are_no_rows_of_the_head_are_renumbered_in_their_order(single):
    features, head = collapsed(0.1), simplex_frame(K, D)
    for measure in (m.nc3, lambda *a: m.nc4(*a, None)):
        renamed = measure(single(features), single(10 * LABELS + 3), single(head))
        assert float(renamed) == float(measure(single(features), single(LABELS), single(head)))


def test_nearest_class_mean_is_right_far_from_the_origin_in_float32(single):
    """Classes 0.01 apart at a distance of 1,000: products of means alone would be rounding."""
    rng = np.random.default_rng(0)
    features = (1000 + 0.05 * rng.normal(size=(4, 8))[np.arange(400) % 4]).astype(np.float32)
    assert float(m.nearest_class_mean_accuracy(single(features), single(np.arange(400) % 4))) == 1


def test_nearest_class_mean_ignores_classes_without_samples(single):
    value = m.nearest_class_mean_accuracy(single([[0.5], [0.6], [5.0]]), single([1, 1, 2]), num_classes=4)
    assert float(value) == 1
