"""The judges of Han et al. 2025 on runs whose truth is known."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from afterfit.analysis import events as event_tables
from afterfit.measures import cdnv
from afterfit.spec import GENERALISED, MEMORISED
from afterfit.studies import study
from afterfit.studies.evidence import Evidence
from afterfit.studies.han_2025 import collapse, flatness, memorising, proposition, tables
from afterfit.studies.han_2025.readings import STRENGTH, arm, doublings, ends, log_row, longer, times
from afterfit.studies.han_2025.sweeps import push_and_unplug
from afterfit.theory import simplex_frame

STEPS = np.arange(0, 5_001, 100)
BUDGET = 5_000
STUDY = study("han-2025")
CHOICES = {choice.name: choice.default for choice in STUDY.choices}


@dataclass(frozen=True)
class Known(Evidence):
    """Evidence with tables that are given."""

    tables: dict = field(default_factory=dict)

    def table(self, name, compute, needs):
        return self.tables[name] if name in self.tables else compute(self)


class Made:
    """Runs that were made up: one dictionary a member with its labels, status and courses."""

    def __init__(self, members, until=None):
        self.observations = dataset(members)
        self.experiment = SimpleNamespace(
            steps=BUDGET, interventions=push_and_unplug(2 * until) if until else (), task=SimpleNamespace()
        )

    def events(self, rules=None):
        return event_tables.table(self.observations, rules or {"memorised": MEMORISED, "generalised": GENERALISED})


def dataset(members):
    names = sorted({name for member in members for name in member["courses"]})
    variables = {n: (("member", "step"), np.stack([member["courses"][n] for member in members])) for n in names}
    labels = {"seed": [member["seed"] for member in members]}
    labels["status"] = [member.get("status", "finished") for member in members]
    for name in members[0]["labels"]:
        labels[name] = [member["labels"][name] for member in members]
    coordinates = {name: ("member", np.array(values)) for name, values in labels.items()}
    return xr.Dataset(variables, {"member": np.arange(len(members)), "step": STEPS, **coordinates})


def member(
    seed, labels=None, *, memorised=600, generalised=2_000, ncc=(45.0, 2.0, 0.05), kappa=(10.0, 300.0, 0.03),
    accuracy=1.0, factor=20.0, end=None, **more,
):  # fmt: skip
    """Courses with a value at the start, from memorisation on, and from generalisation on."""

    def course(start, middle, last, bound=BUDGET + 1):
        values = np.where(memorised <= STEPS, middle, start).astype(float)
        values = np.where((generalised or bound) <= STEPS, last, values)
        values[0] = start
        return np.where((end or bound) < STEPS, np.nan, values)

    wiggle = 1 + 0.01 * seed
    exact = course(*(value * wiggle for value in kappa))
    courses = {
        "train/accuracy": course(0.01, 1.0, 1.0),
        "test/accuracy": course(0.01, 0.3, accuracy - 0.0001 * seed),
        "train/cdnv": course(*(value * wiggle for value in ncc)),
        "train/relative_flatness": exact,
        "train/relative_flatness_bound": exact * factor,
    }
    return {"seed": seed, "labels": labels or {}, "courses": courses, **more}


def evidence(runs, tables=None, **choices):
    return Known("quick", None, runs, {**CHOICES, **choices}, tables=tables or {})


def arms(seeds=5, **by_strength):
    """Members of several strengths: `arms(plain={}, m2={"generalised": 3_000})` with names as in `DOSES`."""
    doses = {"plain": 0.0, "m3": -1e-3, "m2": -1e-2, "p2": 1e-2}
    return [
        member(seed, {STRENGTH: doses[name]}, **{**changes, "generalised": _later(changes, seed)})
        for name, changes in by_strength.items()
        for seed in range(seeds)
    ]


def _later(changes, seed):
    step = changes.get("generalised", 2_000)
    return None if step is None else step + 100 * (seed % 3)


KEPT_UP = {"ncc": (45.0, 8.0, 5.0)}
COLLAPSED = {"ncc": (45.0, 1.0, 0.001)}


def addition(seeds=5, **changes):
    return Made(
        [member(seed, {"task.train_fraction": 0.5}, **{**changes, "generalised": _later(changes, seed)})
         for seed in range(seeds)]
    )  # fmt: skip


def test_every_claim_of_the_paper_has_a_row_with_a_rule_and_needs_sweeps_that_there_are():
    claims = {claim.id: claim for claim in STUDY.claims}
    assert {"B1", "B2", "B3", "B4"} <= claims.keys()
    for scale in ("smoke", "quick", "full"):
        names = {sweep.name for sweep in STUDY.sweeps(scale)}
        assert all(set(claim.needs) <= names for claim in STUDY.claims)
    assert all(claim.rule and claim.where for claim in STUDY.claims)
    known = {choice.name for choice in STUDY.choices}
    assert all(set(claim.choices) <= known for claim in STUDY.claims)


def test_the_control_of_the_unplug_shares_all_its_rates_and_begins_them_where_the_penalty_ends():
    penalty, normal, _, rate, decay = push_and_unplug(1_001)
    assert penalty.when.until == normal.when.until == rate.when.begin == decay.when.begin == 500
    assert rate.over == 501


# B1


def test_clustering_that_falls_while_memorising_and_flatness_that_falls_later_are_reproduced():
    found = memorising.memorising(evidence({"addition": addition(), "collapse": Made(arms(plain={}))}))
    assert found.verdict == "reproduced"
    assert found.notes[0] == "Decided by: the paper's network."


@pytest.mark.parametrize(
    "changes",
    [
        {"ncc": (45.0, 44.0, 0.05)},  # clusters form with generalisation only
        {"kappa": (300.0, 10.0, 1.0)},  # flat while memorising already
        {"kappa": (10.0, 300.0, 290.0)},  # never flatter
    ],
)
def test_the_opposite_of_any_part_of_b1_is_not_reproduced(changes):
    runs = {"addition": addition(**changes), "collapse": Made(arms(plain=changes))}
    assert memorising.memorising(evidence(runs)).verdict == "not reproduced"


def test_with_one_run_of_the_paper_s_network_the_small_one_decides():
    runs = {"addition": addition(seeds=1), "collapse": Made(arms(plain={}))}
    found = memorising.memorising(evidence(runs))
    assert found.verdict == "reproduced"
    assert found.notes[0] == "Decided by: one layer, without a penalty."


def test_runs_that_never_generalise_leave_b1_open():
    runs = {"addition": addition(generalised=None), "collapse": Made(arms(plain={"generalised": None}))}
    assert memorising.memorising(evidence(runs)).verdict == "inconclusive"
    assert memorising.stand_in(evidence(runs)).verdict == "inconclusive"


def test_another_train_fraction_is_not_decided_by_runs_on_the_usual_one():
    few = Made([member(seed, {"task.train_fraction": 0.2}, generalised=2_000) for seed in range(2)])
    found = memorising.memorising(evidence({"addition": few, "collapse": Made(arms(plain={}))}, train_fraction=0.2))
    assert found.verdict == "inconclusive"
    assert found.because == "the paper's network on 0.2 of the pairs: the runs do not determine it"


def test_a_train_fraction_that_was_not_run_is_no_error():
    runs = {"addition": addition(), "collapse": Made(arms(plain={}))}
    found = memorising.memorising(evidence(runs, train_fraction=0.2))
    assert (found.verdict, "not run on 0.2" in found.because) == ("inconclusive", True)


def kept(rows):
    return {"along_training": pd.DataFrame(rows)}


def test_the_sum_of_the_text_is_read_from_kept_parameters_before_memorisation():
    rows = [
        {"sweep": sweep, "member": number, "step": step, "ncc_sum": value * (1 + 0.01 * number)}
        for sweep in ("addition", "collapse") for number in range(5)
        for step, value in ((0, 4_000.0), (500, 1_000.0), (1_000, 1.0))
    ]  # fmt: skip
    runs = {"addition": addition(), "collapse": Made(arms(plain={}))}
    found = memorising.memorising(evidence(runs, kept(rows), clustering="sum"))
    # a quarter by step 500; what comes after memorisation at 600 does not count
    assert found.measured[0].value == pytest.approx(-2.0)
    assert found.verdict == "reproduced"


def test_a_stand_in_whose_factor_changes_tenfold_is_told_from_one_that_does_not():
    alike = {"addition": addition(), "collapse": Made(arms(plain={}))}
    assert memorising.stand_in(evidence(alike)).verdict == "not reproduced"
    for runs in (addition(), Made(arms(plain={}))):
        bound = runs.observations["train/relative_flatness_bound"]
        bound[:] = bound.values * np.where(STEPS >= 2_000, 10.0, 1.0)
        alike[["addition", "collapse"]["task.train_fraction" not in runs.observations.coords]] = runs
    assert memorising.stand_in(evidence(alike)).verdict == "reproduced"


@pytest.mark.parametrize(("last", "verdict"), [(0.01, "reproduced"), (4.0, "not reproduced")])
def test_representativeness_is_judged_by_what_is_left_of_its_largest(last, verdict):
    rows = [
        {"sweep": sweep, "member": number, "step": step, "representativeness_weighted": value * (1 + 0.01 * number)}
        for sweep in ("addition", "collapse") for number in range(5)
        for step, value in ((0, 0.1), (600, 5.0), (3_000, last * (1 + 0.1 * number)))
    ]  # fmt: skip
    runs = {"addition": addition(), "collapse": Made(arms(plain={}))}
    assert memorising.representative(evidence(runs, kept(rows))).verdict == verdict


# B2


def both_settings(**by_strength):
    runs = Made(arms(**by_strength))
    return {"collapse": runs, "mnist-collapse": runs, "collapse-norm": Made(arms(m2=KEPT_UP))}


def test_arms_that_generalise_as_well_reproduce_b2():
    found = collapse.generalise_as_well(evidence(both_settings(plain={}, m2=KEPT_UP, p2=COLLAPSED)))
    assert found.verdict == "reproduced", found.because


def test_an_arm_that_needs_collapse_to_generalise_does_not_reproduce_b2():
    worse = {**KEPT_UP, "accuracy": 0.6}
    assert collapse.generalise_as_well(evidence(both_settings(plain={}, m2=worse))).verdict == "not reproduced"
    later = {**KEPT_UP, "generalised": None}
    assert collapse.generalise_as_well(evidence(both_settings(plain={}, m2=later))).verdict == "not reproduced"


def test_a_penalty_that_moves_nothing_tells_nothing():
    found = collapse.generalise_as_well(evidence(both_settings(plain={}, m2={}, p2={})))
    assert found.verdict == "inconclusive"
    assert "no strength that was run moved NCC twofold" in found.because


def test_the_gentlest_strength_that_moves_clustering_decides_whatever_stronger_ones_do():
    broken = {**KEPT_UP, "accuracy": 0.5, "generalised": None}
    runs = both_settings(plain={}, m3=KEPT_UP, m2=broken)
    assert collapse.gentlest(evidence(runs), "collapse", -1) == -1e-3
    assert collapse.generalise_as_well(evidence(runs)).verdict == "reproduced"


def test_a_diverged_run_counts_as_never_generalising_and_is_named():
    runs = both_settings(plain={}, m2={**KEPT_UP, "generalised": None, "end": 700, "status": "diverged"})
    found = collapse.generalise_as_well(evidence(runs))
    assert found.verdict == "not reproduced"
    assert any("5 of 5 runs diverged" in note for note in found.notes)


def test_two_seeds_are_too_few():
    assert collapse.generalise_as_well(evidence(both_settings(seeds=2, plain={}, m2=KEPT_UP))).verdict == "inconclusive"


# B3

SHARP = {"kappa": (10.0, 1_200.0, 200.0)}  # against 300 of the control until it generalises


def pushed_runs(kept=None, unplugged=None, during=0.6, after=1.0, kappa=400.0, seeds=5):
    """The sweeps of B3: on images accuracy is `during` with the penalty and `after` without, against .8 and 1."""
    kept = {**SHARP, "generalised": None} if kept is None else kept
    unplugged = {**SHARP, "generalised": 4_000, "kappa": (10.0, 1_200.0, 0.03)} if unplugged is None else unplugged
    images = []
    for label, first, last, sharp in (("none", during, after, kappa), ("schedule", 0.8, 1.0, 20.0)):
        for seed in range(seeds):
            made = member(seed, {"matched": label})
            early = STEPS < 2_500  # what is seen at the unplug is no longer of the network that was pushed
            made["courses"]["test/accuracy"] = np.where(early, first, last) + 0.001 * seed * (label == "none")
            made["courses"]["train/relative_flatness"] = np.where(early, sharp, 1.0) * (1 + 0.01 * seed)
            images.append(made)
    return {
        "flatness": Made(arms(seeds, plain={}, m2=unplugged), until=3_000),
        "flatness-kept": Made(arms(seeds, m2=kept)),
        "flatness-norm": Made(arms(seeds, m2=kept)),
        "mnist-unplug": Made(images, until=2_500),
        "mnist-kept": Made([member(seed, {"interventions.1.strength": 1.0}) for seed in range(seeds)]),
        "mnist-collapse": Made(arms(seeds, plain={})),
    }


def test_a_delay_and_a_recovery_reproduce_b3():
    found = flatness.pushed(evidence(pushed_runs()))
    assert found.verdict == "reproduced", found.because
    delay = next(m for m in found.measured if "penalty kept, strength -0.01: steps later" in m.what)
    assert delay.value == pytest.approx(BUDGET - 2_080, abs=1)  # 2,000, 2,100, 2,200, 2,000, 2,100 of the control


@pytest.mark.parametrize(
    "changes",
    [
        {"kept": {"kappa": (10.0, 3_000.0, 3_000.0), "generalised": 1_000}},  # earlier, not later
        {"unplugged": {**SHARP, "generalised": None}},  # no recovery
        {"during": 0.9},  # images: better with the penalty
        {"after": 0.7},  # images: no recovery
    ],
)
def test_the_opposite_of_any_part_of_b3_is_not_reproduced(changes):
    assert flatness.pushed(evidence(pushed_runs(**changes))).verdict == "not reproduced"


def test_a_push_that_does_not_make_sharp_leaves_b3_open():
    found = flatness.pushed(evidence(pushed_runs(kept={"generalised": 4_000})))
    assert found.verdict == "inconclusive"
    assert flatness.pushed(evidence(pushed_runs(kappa=5.0))).verdict == "inconclusive"
    assert flatness.pushed(evidence(pushed_runs(seeds=2))).verdict == "inconclusive"


def test_runs_that_generalised_before_the_unplug_have_nothing_to_recover_from():
    early = {"kappa": (10.0, 1_200.0, 0.03), "generalised": 2_700}
    found = flatness.pushed(evidence(pushed_runs(unplugged=early)))
    assert found.verdict == "inconclusive"
    assert "nearly all runs had generalised before the unplug" in found.because


def test_what_becomes_of_flatness_after_the_control_has_generalised_does_not_count():
    found = flatness.pushed(evidence(pushed_runs(kept={"kappa": (10.0, 300.0, 300.0), "generalised": None})))
    assert "of no penalty that was run could be shown that it kept flatness twice as large" in found.because


def test_the_resnet_s_numbers_get_no_verdict():
    runs = pushed_runs()
    found = flatness.resnet(evidence({"resnet-unplug": runs["mnist-unplug"], "resnet-collapse": runs["flatness"]}))
    assert found.verdict == "not comparable"
    assert "would be reproduced" in found.because


# B4, B5


def test_every_exact_frame_respects_the_bound_by_the_factor_that_was_derived():
    table = tables.frames(None)
    assert proposition.exact_frames(table).verdict == "reproduced"
    np.testing.assert_allclose(table["kappa"] / table["bound"], table["expected_share"], rtol=1e-6)
    broken = table.assign(bound=table["bound"] / 1e4)
    assert proposition.exact_frames(broken).verdict == "not reproduced"


def checked(kappa, deviation=0.01):
    """Kept steps of ten runs before and after memorisation; what comes before must not count."""
    before = {"kappa": 1e9, "theorem_bound": 1.0, "step": 0}
    after = {"kappa": kappa, "theorem_bound": 1.0, "step": 1_000}
    rows = [
        {"sweep": sweep, "member": number, **dict.fromkeys(tables.DEVIATIONS, deviation), **row}
        for sweep in tables.VIEWED for number in range(4) for row in (before, after)
    ]  # fmt: skip
    runs = {sweep: Made(arms(4, plain={})) for sweep in tables.VIEWED}
    return evidence(runs, kept(rows))


def test_the_bound_along_training_counts_from_memorisation_on():
    assert proposition.proposition(checked(0.5)).verdict == "reproduced"
    assert proposition.proposition(checked(2.0)).verdict == "not reproduced"


def test_where_no_assumption_holds_the_bound_says_nothing():
    assert proposition.where_it_applies(checked(2.0, deviation=0.5)).verdict == "inconclusive"
    assert proposition.where_it_applies(checked(2.0, deviation=0.01)).verdict == "not reproduced"
    assert proposition.where_it_applies(checked(0.5, deviation=0.01)).verdict == "reproduced"


def test_runs_that_never_memorise_leave_the_proposition_open():
    made = checked(0.5)
    never = Made(arms(4, plain={"memorised": BUDGET + 1, "generalised": None}))
    made.runs.update(dict.fromkeys(tables.VIEWED, never))
    assert proposition.proposition(made).verdict == "inconclusive"
    found = proposition.where_it_applies(made)
    assert (found.verdict, found.measured[0].value) == ("inconclusive", None)


# readings and tables


def test_pairs_are_compared_at_the_last_step_that_both_have():
    observations = dataset([member(0, {STRENGTH: 0.0}), member(0, {STRENGTH: -1e-2}, end=1_000)])
    treated, control = arm(observations, {STRENGTH: -1e-2}), arm(observations, {STRENGTH: 0.0})
    found = ends((observations, treated), (observations, control), "train/cdnv")
    assert found == ([2.0], [2.0])


def test_times_are_compared_up_to_the_budget():
    runs = Made(arms(4, plain={}, m2={"generalised": None}))
    table, found = runs.events(), runs.observations
    plain, never = (times(table, arm(found, {STRENGTH: s}), "generalised", BUDGET) for s in (0.0, -1e-2))
    assert never.events == 0
    expected = np.log2(5_000 / np.array([2_000, 2_100, 2_200, 2_000])).mean()
    assert longer(never, plain, BUDGET).estimate == pytest.approx(expected)
    assert longer(never, never, BUDGET) is None
    assert doublings([1.0, 2.0, np.nan], [1.0, 0.0, 1.0]) is None


def test_clustering_by_the_text_is_the_code_s_times_samples_and_pairs_for_equal_classes():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 25)
    features = simplex_frame(4, 6)[labels] + 0.3 * rng.normal(size=(100, 6))
    found = tables.clustering(features, labels)
    assert found["ncc_mean"] == pytest.approx(float(cdnv(features, labels)))
    assert found["ncc_sum"] == pytest.approx(25 * 12 * found["ncc_mean"])


def test_one_pair_is_told_without_an_interval_and_none_is_no_number():
    found = log_row("x", [8.0], [2.0], "4")
    assert (found.value, found.interval, found.n, found.published) == (2.0, None, 1, "4")
    assert log_row("x", [], []).value is None
    assert log_row("x", [8.0, 8.0, 8.0, 9.0], [2.0, 4.0, 4.0, 2.0]).interval is not None
