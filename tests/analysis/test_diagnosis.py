"""Findings: each rule at its bound, on numbers and on simulated runs of which it is known what is wrong with them."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import poisson

from afterfit.analysis import preconditions as check
from afterfit.analysis.diagnosis import Bounds, Diagnosis, Finding
from afterfit.analysis.phases import PhaseRules
from afterfit.analysis.signatures import signatures

# Weight decay and its clock


@pytest.mark.parametrize(
    ("decay", "value", "severity"),
    [
        ("decoupled", 0.1, "ok"),
        ("l2", 0.1, "ok"),
        ("l2 through moments", 0.1, "warning"),
        ("decoupled", 0.0, "warning"),
    ],
)
def test_decay_is_there_and_decoupled_or_a_warning(decay, value, severity):
    assert check.weight_decay("It", decay, value).severity == severity


@pytest.mark.parametrize(("rate", "decay", "steps"), [(1e-3, 0.01, 100_000), (1e-3, 1.0, 1_000), (0.1, 0.001, 10_000)])
def test_the_clock_must_come_to_one_and_what_is_advised_brings_it_there(rate, decay, steps):
    assert check.decay_clock(rate, decay, steps).severity == "ok"
    short = check.decay_clock(rate, decay, 0.8 * steps)
    assert short.severity == "warning"
    assert f"train for {steps:,} steps or more, or raise λ to {1.25 * decay:.3g}" in short.change
    assert check.decay_clock(rate, 1.25 * decay, 0.8 * steps).severity == "ok"
    assert check.decay_clock(rate, decay, 0.8 * steps, bounds=Bounds(clock=0.8)).severity == "ok"


def test_what_decay_alone_leaves_is_what_so_many_steps_leave():
    rate, decay, steps = 1e-2, 0.05, 3_000
    left = (1 - rate * decay) ** steps
    assert f"leaves {100 * left:.2g}" in check.decay_clock(rate, decay, steps).found


def test_a_clock_without_a_rate_or_planned_steps_is_not_judged():
    assert check.decay_clock(0.0, 1.0, 100).severity == "note"
    assert "10,000 steps" in check.decay_clock(1e-3, 0.1, None).found


# Start and arithmetic


def test_a_start_is_large_above_its_bound():
    assert check.initial_norm(2.0, "").severity == "ok"
    assert check.initial_norm(2.01, "").severity == "note"
    assert "divide the initial parameters by 8" in check.initial_norm(8.0, "").change


@pytest.mark.parametrize(
    ("share", "generalised", "severity"),
    [(0.0, False, "ok"), (0.0999, False, "ok"), (0.1, False, "note"), (0.5, False, "warning"), (1.0, True, "note")],
)
def test_losses_taken_by_rounding_are_judged_by_their_share(share, generalised, severity):
    assert check.absorbed_losses(share, "samples", generalised=generalised).severity == severity


# Data


def test_equal_rows_have_equal_fingerprints_whatever_their_shape_in_memory():
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(20, 3, 4)).astype(np.float32)
    whole = check.fingerprints(inputs)
    assert len(set(whole)) == 20
    assert check.fingerprints(np.asfortranarray(inputs)) == whole
    assert check.fingerprints(inputs[::2]) == whole[::2]
    assert check.fingerprints(inputs[:, ::2]) != whole


@pytest.mark.parametrize(("common", "severity"), [(0, "ok"), (1, "note"), (2, "note"), (3, "warning")])
def test_leakage_is_counted_over_test_examples(common, severity):
    train = [bytes([n]) for n in range(100)]
    test = train[:common] + [b"x%d" % n for n in range(200 - common)]
    found = check.leakage(train, test)
    assert (found.severity, found.found.split()[0]) == (severity, str(common))


def test_a_test_example_that_is_there_twice_counts_twice():
    assert check.leakage([b"a"], [b"a", b"a", b"b"]).found.startswith("2 of 3")


def test_contradictions_are_all_examples_of_a_torn_input():
    inputs = [b"a", b"a", b"a", b"b", b"b", b"c"]
    assert check.contradictions(inputs, [b"0", b"1", b"0", b"2", b"2", b"3"]).found.startswith("3 of 6")
    assert check.contradictions(inputs, [b"0"] * 6).severity == "ok"


def test_a_class_is_small_if_chance_does_not_make_it_so():
    assert check.balance([10, 100]).severity == "ok"  # exactly ten times
    assert check.balance([9, 100]).severity == "note"
    # Four classes of 5 on average, one missing: 4 e⁻⁵ = .027
    assert 4 * poisson.cdf(0, 5) > 0.01
    assert check.balance([0, 7, 7, 6]).severity == "ok"
    assert check.balance([0, 10, 10, 8]).severity == "note"  # 4 e⁻⁷ = .004


def test_random_splits_of_equal_classes_raise_no_alarm():
    draw = np.random.default_rng(0)
    alarms = [
        check.balance(draw.multinomial(10 * classes, np.full(classes, 1 / classes)).tolist()).severity != "ok"
        for classes in (10, 97, 120)
        for _ in range(200)
    ]
    assert np.mean(alarms) <= 0.01


def test_enough_test_examples_are_those_whose_interval_is_the_rise():
    # 1.96 √(1/4 / n) = .05 at n = 384.16
    assert check.resolution(385, 0.05).severity == "ok"
    short = check.resolution(384, 0.05)
    assert (short.severity, "385 test examples" in short.change) == ("note", True)


def test_fractions_are_compared_with_the_published_ones():
    assert check.train_fraction("ModularArithmetic", 0.2, (1881, 7528)).severity == "ok"
    assert check.train_fraction("ModularArithmetic", 0.19, (1, 1)).severity == "note"


# Signatures


def run(n=60, *, fitted=10, **measures):
    """A run that is observed every 100 steps and memorises at an observation."""
    record = {"step": np.arange(n) * 100, "train/accuracy": np.where(np.arange(n) < fitted, 0.5, 1.0)}
    return record | {name.replace("__", "/"): np.asarray(values, float) for name, values in measures.items()}


def found_in(record, **options):
    return Diagnosis.of(signatures(record, **options))


AT = np.arange(60)
LOW = np.full(60, 0.1)


def test_an_rnc1_that_stands_still_without_having_collapsed_is_a_warning():
    draw = np.random.default_rng(0)
    stuck = 0.2 + 0.3 * np.exp(-AT / 5) + 0.002 * draw.normal(size=60)
    finding = found_in(run(test__accuracy=LOW, train__rnc1=stuck))["RNC1"]
    assert finding.severity == "warning"
    assert "more weight decay" in finding.change
    falling = 0.5 * np.exp(-AT / 40)
    assert found_in(run(test__accuracy=LOW, train__rnc1=falling))["RNC1"].severity == "ok"
    collapsed = 0.05 + 0.45 * np.exp(-AT / 3)  # it stands still at a tenth
    assert found_in(run(test__accuracy=LOW, train__rnc1=collapsed))["RNC1"].severity == "ok"


def test_classes_that_are_points_have_collapsed_whatever_rnc1_was_before():
    assert found_in(run(test__accuracy=LOW, train__rnc1=np.full(60, 0.01)))["RNC1"].severity == "ok"
    assert found_in(run(test__accuracy=LOW, train__rnc1=np.full(60, 0.0101)))["RNC1"].severity == "warning"


def test_a_plateau_is_looked_for_only_once_it_has_had_its_time():
    flat = np.full(60, 0.5)
    early = {name: values[:19] for name, values in run(test__accuracy=LOW, train__rnc1=flat).items()}
    assert "RNC1" not in found_in(early)  # nine observations since memorising, at 1.8 times its steps
    later = {name: values[:21] for name, values in run(test__accuracy=LOW, train__rnc1=flat).items()}
    assert found_in(later)["RNC1"].severity == "warning"
    few = {name: values[:9] for name, values in run(fitted=2, test__accuracy=LOW, train__rnc1=flat).items()}
    assert "RNC1" not in found_in(few)  # seven observations


@pytest.mark.parametrize(
    ("change", "severity"), [(0.095, "warning"), (-0.095, "warning"), (0.105, "ok"), (-0.105, "ok")]
)
def test_still_is_a_change_below_its_bound_over_the_second_half(change, severity):
    since, end = (1_000 + 5_900) / 2, 5_900  # steps
    steps = AT * 100
    values = 1 + change * (steps - (since + end) / 2) / (5_900 - 3_500)  # seen from step 3,500 on; the median is near 1
    record = run(test__accuracy=LOW, train__rnc1=np.where(steps >= since, values, 1.0))
    assert found_in(record)["RNC1"].severity == severity


def test_a_network_that_generalises_without_collapse_is_only_noted():
    arrived = np.where(AT < 30, 0.1, 1.0)
    finding = found_in(run(test__accuracy=arrived, train__rnc1=np.full(60, 0.5)))["RNC1"]
    assert (finding.severity, "generalises without collapse" in finding.change) == ("note", True)


def test_what_came_first_is_told_by_the_two_half_ways():
    rising = np.clip((AT - 20) / 20, 0, 1) * 0.8 + 0.1  # halfway (.5) at observation 30
    early = np.where(AT < 25, 0.6, 0.3)
    late = np.where(AT < 45, 0.6, 0.3)
    means = np.linspace(9, 2, 60)
    assert found_in(run(test__accuracy=rising, train__rnc1=early))["what came first"].severity == "ok"
    finding = found_in(run(test__accuracy=rising, train__rnc1=late, train__nc2=means))["what came first"]
    assert finding.severity == "note"
    assert "halfway from 0.100 to 0.900 at step 3,000; RNC1 was halved at step 4,500" in finding.found
    assert f"NC2 went from {means[10]:.3g} to {means[30]:.3g} by then" in finding.found
    never = found_in(run(test__accuracy=rising, train__rnc1=np.full(60, 0.6)))["what came first"]
    assert "RNC1 was halved at no step (now 0.6); NC2 was not observed" in never.found
    assert "what came first" not in found_in(run(test__accuracy=LOW, train__rnc1=late))
    for observation, severity in ((31, "ok"), (32, "note")):  # one observation later is as good as at once
        by = np.where(observation > AT, 0.6, 0.3)
        assert found_in(run(test__accuracy=rising, train__rnc1=by))["what came first"].severity == severity


def test_where_nothing_was_delayed_that_is_said():
    finding = found_in(run(test__accuracy=np.full(60, 0.995), train__rnc1=np.full(60, 0.6)))["what came first"]
    assert "nothing was delayed" in finding.found


def test_a_weight_norm_that_still_grows_is_a_warning_until_the_run_has_generalised():
    growing = 20 * np.exp(AT / 200)
    assert found_in(run(test__accuracy=LOW, weight_norm=growing))["weight norm"].severity == "warning"
    assert found_in(run(test__accuracy=LOW, weight_norm=20 - AT / 100))["weight norm"].severity == "ok"
    hardly = 20 * (1 + 0.0199 * np.clip(AT - 50, 0, 9) / 9)  # over the window
    assert found_in(run(test__accuracy=LOW, weight_norm=hardly))["weight norm"].severity == "ok"
    arrived = np.where(AT < 30, 0.1, 1.0)
    assert found_in(run(test__accuracy=arrived, weight_norm=growing))["weight norm"].severity == "ok"


def test_a_collapse_alone_and_a_divergence_are_warnings():
    alone = run(test__accuracy=LOW, train__spectral_entropy=np.linspace(0.76, 0.15, 60))
    assert found_in(alone)["phase"].severity == "warning"
    diverged = run(test__accuracy=LOW, train__loss=np.where(AT < 59, 0.1, np.nan))
    assert found_in(diverged)["phase"].severity == "warning"
    assert len(found_in(diverged).findings) == 1


def test_a_run_that_ended_before_it_generalised_says_so():
    waiting = run(test__accuracy=LOW)
    assert found_in(waiting)["phase"].severity == "ok"
    over = found_in(waiting, ended=True)["phase"]
    assert (over.severity, over.found.startswith("over while memorised")) == ("warning", True)
    arrived = run(test__accuracy=np.full(60, 0.9))
    assert found_in(arrived, rules=PhaseRules(generalised=0.85), ended=True)["phase"].severity == "ok"


def test_what_is_not_observed_is_not_judged():
    assert [finding.check for finding in found_in({"step": np.array([])})] == ["phase"]
    assert [finding.check for finding in found_in(run())] == ["phase"]
    nothing = run(test__accuracy=LOW, train__rnc1=np.full(60, np.nan), weight_norm=np.full(60, 1.0))
    assert "RNC1" not in found_in(nothing)


def test_the_last_share_of_absorbed_losses_counts():
    shares = np.where(AT < 59, 0.0, 0.6)
    assert found_in(run(test__accuracy=LOW, train__softmax_collapse=shares))["softmax collapse"].severity == "warning"


def test_healthy_runs_raise_no_warning():
    draw = np.random.default_rng(0)
    at = np.arange(120)
    for seed in range(20):
        middle = draw.uniform(40, 90)
        rise = 1 / (1 + np.exp(-(at - middle) / 3))
        noise = np.exp(0.03 * draw.normal(size=120))
        record = {
            "step": at * 200, "train/accuracy": np.where(at < 5, 0.6, 1.0), "test/accuracy": 0.05 + 0.95 * rise,
            "train/rnc1": 0.6 * np.exp(-at / (middle / 2)) * noise, "weight_norm": 40 * np.exp(-at / 200) * noise**0.1,
            "train/loss": np.exp(-at / 4.0) + 1e-4, "train/softmax_collapse": np.zeros(120),
        }  # fmt: skip
        assert not found_in(record, ended=True).warnings, seed


# A diagnosis


def finding(severity, check="a", found="1", of=""):
    return Finding(check, severity, found, "rule", "change", "source", of)


def test_warnings_come_first_and_each_says_its_rule_and_what_to_change():
    told = Diagnosis.of([finding("ok", "a"), finding("note", "b"), finding("warning", "c"), finding("warning", "d")])
    assert [each.check for each in told] == ["c", "d", "b", "a"]
    assert str(told).splitlines() == [
        "warning: c: 1.", "    rule: rule", "    change: change", "    source: source",
        "warning: d: 1.", "    rule: rule", "    change: change", "    source: source",
        "note: b: 1.", "    rule: rule", "    change: change", "    source: source",
        "ok: a: 1.", "2 warnings, 1 note, 1 check passed.",
    ]  # fmt: skip
    assert str(Diagnosis.of([])) == "nothing was looked at."


def test_what_is_found_alike_of_several_is_told_once():
    alike = [finding("note", of=f"seed {n}") for n in range(6)]
    assert Diagnosis.of(alike)["a"].of == "seed 0, seed 1, seed 2, seed 3, 2 more"
    assert Diagnosis.of(alike, wholes=[{f"seed {n}" for n in range(6)}])["a"].of == ""
    other = Diagnosis.of([finding("note", of="x"), finding("note", found="2", of="y"), finding("ok", of="z")])
    assert [(each.found, each.of) for each in other] == [("1", "x; likewise, with numbers of their own, y"), ("1", "z")]


def test_a_check_that_was_not_made_is_refused_with_those_that_were():
    told = Diagnosis.of([finding("ok", "RNC1")])
    assert "RNC1" in told
    with pytest.raises(KeyError, match="'weight norm' was not looked at; there are: RNC1"):
        told["weight norm"]


def test_the_bounds_are_plain_numbers():
    assert all(math.isfinite(value) for value in vars(Bounds()).values())


@pytest.mark.parametrize("bounds", [Bounds(), PhaseRules()], ids=["Bounds", "PhaseRules"])
def test_the_page_names_every_bound_with_its_value(bounds):
    page = (Path(__file__).parents[2] / "docs/doctor.md").read_text(encoding="utf-8")
    told = re.findall(r"`(\w+)` = (\d*\.?\d+)( %)?", page)
    for name, value in vars(bounds).items():
        shown = [float(number) / (100 if percent else 1) for named, number, percent in told if named == name]
        assert any(math.isclose(each, value) for each in shown), name
