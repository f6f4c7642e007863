"""What is drawn of a curve, how members are grouped by colour, and what medians mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterfit.report import caption_of
from afterfit.report.captions import FAMILIES, KNOWN, OTHER
from afterfit.report.curves import decimate, read, scale_of
from afterfit.report.members import Occurrence, median_step
from afterfit.report.palette import NAMED_ON_LIGHT, colours

from .synthetic import grokking


@given(st.integers(301, 3000), st.integers(0, 2**32 - 1))
def test_decimation_keeps_first_last_and_extremes_within_its_limit(count, seed):
    values = np.random.default_rng(seed).standard_normal(count)
    kept = decimate(np.arange(1.0, count + 1), values)
    assert kept.size <= 300
    assert np.all(np.diff(kept) > 0)
    assert {0, count - 1, int(values.argmin()), int(values.argmax())} <= set(kept.tolist())


def test_decimation_keeps_every_peak_that_is_wider_than_a_cell():
    positions = np.linspace(1, 200_000, 5000)
    values = np.zeros(5000)
    values[[100, 2500, 4990]] = 1, -1, 1
    assert {100, 2500, 4990} <= set(decimate(positions, values).tolist())


def test_short_curves_are_drawn_whole():
    np.testing.assert_array_equal(decimate(np.arange(1.0, 301), np.zeros(300)), np.arange(300))


def test_step_zero_has_a_place_left_of_all_other_steps():
    observations, events = grokking(seeds=1)
    run = read(observations, events)
    positions = run.positions(run.steps)
    assert run.steps[0] == 0
    assert np.all(positions > 0)
    assert np.all(np.diff(positions) > 0)
    np.testing.assert_array_equal(positions[1:], run.steps[1:])


def test_train_and_test_of_a_measure_share_a_panel_and_families_stay_together():
    panels = read(*grokking(seeds=1)).panels
    splits = {panel.measure: [split for split, _ in panel.splits] for panel in panels}
    assert splits["accuracy"] == ["train", "test"]
    assert splits["spectral_entropy@block0"] == ["train"]
    assert splits["weight_norm"] == [""]
    families = [FAMILIES.index(panel.caption.family) for panel in panels]
    assert families == sorted(families)


def test_a_measure_over_orders_of_magnitude_gets_a_logarithmic_axis_and_a_share_never():
    run = read(*grokking(seeds=1))
    scales = {panel.measure: scale_of(run, panel) for panel in run.panels}
    assert scales["loss"].log
    assert not scales["accuracy"].log
    assert scales["accuracy"].low < 0 < 1 < scales["accuracy"].high
    assert not scales["weight_norm"].log


def test_values_of_zero_on_a_logarithmic_axis_are_counted():
    observations, events = grokking(seeds=1)
    observations["train/loss"][:, -3:] = 0
    run = read(observations, events)
    scale = scale_of(run, next(panel for panel in run.panels if panel.measure == "loss"))
    assert scale.log
    assert scale.not_drawn == 6  # the diverged member has no rows there


def test_numbers_are_coloured_in_their_order_and_names_by_a_palette():
    run = read(*grokking(weight_decays=(1.0, 0.1, 0.3)))
    (colouring,) = run.colourings
    assert [label for label, _ in colouring.entries] == ["0.1", "0.3", "1"]
    assert colours(["adam", "sgd"], ordered=False)[1].light == NAMED_ON_LIGHT[1]


def test_without_a_varied_field_few_seeds_get_a_colour_each_and_many_share_one():
    few, many = (grokking(seeds=n, weight_decays=(1.0,), accidents=False) for n in (3, 12))
    assert [label for label, _ in read(*few).colourings[0].entries] == ["0", "1", "2"]
    assert read(*few).colourings[0].label == "seed"
    assert [label for label, _ in read(*many).colourings[0].entries] == ["all members"]


def test_two_varied_fields_give_two_ways_to_colour():
    observations, events = grokking(seeds=2, weight_decays=(0.1, 0.3, 1.0))
    observations = observations.assign_coords({"task.operation": ("member", ["add", "multiply"] * 3)})
    run = read(observations, events)
    assert [c.label for c in run.colourings] == ["weight decay", "operation"]
    assert len(run.groups) == 6


def test_a_field_that_is_the_same_everywhere_gives_no_colours():
    observations, events = grokking(seeds=2)
    observations = observations.assign_coords({"model.width": ("member", [128] * 6)})
    assert [c.label for c in read(observations, events).colourings] == ["weight decay"]


def happened(*steps):
    return [Occurrence(step=step) for step in steps]


def censored(*steps):
    return [Occurrence(after=step) for step in steps]


@pytest.mark.parametrize(
    ("occurrences", "median"),
    [
        (happened(1, 2, 9), 2),
        (happened(1, 2, 4, 9), 3),
        (happened(1, 2) + censored(9, 9, 9), None),
        (happened(1, 2, 3) + censored(9, 9), 3),
        (happened(10) + censored(1, 1, 1), 10),  # those that left early say nothing about what came later
        (censored(5, 5), None),
        ([], None),
        ([Occurrence(), *happened(7)], 7),
    ],
)
def test_the_median_step_is_that_of_kaplan_and_meier(occurrences, median):
    assert median_step(occurrences) == median


def test_an_unknown_measure_falls_back_on_its_name():
    caption = caption_of("my_own_number@block1")
    assert caption.title == "my own number, block1"
    assert caption.family == OTHER


def test_every_caption_is_one_sentence_with_a_unit():
    for caption in KNOWN.values():
        assert caption.meaning.endswith(".")
        assert ". " not in caption.meaning
        assert caption.unit
        assert caption.family in FAMILIES
