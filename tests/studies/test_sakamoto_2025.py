"""Claims about Sakamoto & Sato on runs whose truth is known: an effect that is there, its opposite, and too little."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from afterfit.analysis import events
from afterfit.spec.events import MEMORISED
from afterfit.studies.evidence import Evidence
from afterfit.studies.sakamoto_2025 import STUDY
from afterfit.studies.sakamoto_2025.readings import half_way, per_run
from afterfit.studies.sakamoto_2025.tables import RATE_SIZES, _rate, widest

CLAIMS = {claim.id: claim for claim in STUDY.claims}
STEPS = np.concatenate([np.arange(0, 1_000, 100), np.arange(1_000, 100_001, 666)])
SEEDS = (42, 43, 44, 45, 46)


@dataclass
class FakeRuns:
    observations: xr.Dataset
    members: list = field(default_factory=list)

    def events(self, rules=None):
        return events.table(self.observations, rules or {"memorised": MEMORISED})


@dataclass(frozen=True)
class FakeEvidence(Evidence):
    tables: dict = field(default_factory=dict)

    def table(self, name, compute, needs):
        return self.tables[name].copy()


def evidence(tables=None, **sweeps):
    defaults = {choice.name: choice.default for choice in STUDY.choices}
    runs = {name.replace("_", "-"): made for name, made in sweeps.items()}
    return FakeEvidence("quick", Path(), runs, defaults, tables=tables or {})


def rising(x, at, width=0.15):
    """From 0 to 1 around a step, on the logarithm of steps."""
    return 1 / (1 + (np.maximum(x, 1) / at) ** (-1 / width))


def made(
    *, decays=(0.3, 0.1, 0.03, 0.01), seeds=SEEDS, fit=500.0, power=-1.0, lag=1.0, fit_power=0.0, nc2_end=1.2,
    rates=(1e-3,), gain=0.73, steps=STEPS, unit=1_200.0, spread=0.05,
):  # fmt: skip
    """Runs that fit at `fit` λ^`fit_power`, and generalise and collapse at `unit` λ^`power`, collapse `lag` later."""
    rows = [(decay, rate, seed) for decay in decays for rate in rates for seed in seeds]
    rng, courses = np.random.default_rng(0), []
    for decay, rate, _ in rows:
        luck = np.exp(spread * rng.normal())
        fitted = fit * decay**fit_power * (1e-3 / rate) * luck
        late = unit * decay**power * (1e-3 / rate) * np.exp(spread * rng.normal())
        loss = np.exp(-np.log(2) * (steps / fitted) ** 1.5)  # .5 at `fitted`
        collapse = 0.3 * (0.002 / 0.3) ** rising(steps, lag * late)
        nc2 = 40 ** (1 - (1 - np.log(nc2_end) / np.log(40)) * rising(steps, lag * late))
        courses.append({
            "train/loss": loss, "train/accuracy": np.where(loss <= 0.5, 1.0, 0.5), "train/rnc1": collapse,
            "train/rnc1[scale=max_norm]": collapse / 2, "test/rnc1": np.sqrt(collapse),
            "test/rnc1[scale=max_norm]": np.sqrt(collapse) / 2, "train/nc2": nc2, "train/nc1": collapse * 10,
            "test/accuracy": 0.15 + gain * rising(steps, late), "weight_norm": 114 * np.exp(-steps / 100_000),
        })  # fmt: skip
    data = {name: (("member", "step"), np.array([c[name] for c in courses])) for name in courses[0]}
    coords = {
        "step": steps,
        "member": np.arange(len(rows)),
        "seed": ("member", [seed for _, _, seed in rows]),
        "status": ("member", ["done"] * len(rows)),
        "optimizer.weight_decay": ("member", [decay for decay, _, _ in rows]),
        "optimizer.learning_rate": ("member", [rate for _, rate, _ in rows]),
    }
    return FakeRuns(xr.Dataset(data, coords))


def verdict(claim, *args, **kwargs):
    given = evidence(*args, **kwargs)
    for name in CLAIMS[claim].choices:  # under every choice there must be an answer
        choice = next(each for each in STUDY.choices if each.name == name)
        for value in choice.others:
            assert CLAIMS[claim].judge(given.choosing(**{name: value})).because
    return CLAIMS[claim].judge(given)


def test_every_claim_of_the_paper_has_a_row_and_every_need_and_choice_exists():
    assert [f"A{number}" for number in range(1, 15)] == [i for i in sorted(CLAIMS, key=_number) if not i.endswith("B")]
    for scale in ("smoke", "quick", "full"):
        names = {sweep.name for sweep in STUDY.sweeps(scale)}
        needs = {name for each in (*STUDY.claims, *STUDY.drawings) for name in each.needs}
        assert needs == names
    assert {name for claim in STUDY.claims for name in claim.choices} == {choice.name for choice in STUDY.choices}


def _number(name):
    return int(name.strip("AB"))


def test_half_way_is_between_the_start_and_the_end():
    steps = np.arange(0, 20)
    assert half_way(steps, np.where(steps < 9, 0.0, 1.0)) == 9
    assert half_way(steps, np.where(steps < 9, 5.0, 1.0), falls=True) == 9
    assert half_way(steps, np.maximum(0, 10.0 - abs(steps - 5)), falls=True) == 10  # rises first, to 10 at step 5
    unfinished = np.array([0.26, 0.4, *[0.42] * 8, 0.4, 0.39, 0.38, 0.37, 0.36, *[0.35] * 5])  # nearer its end at first
    assert half_way(steps, unfinished, falls=True) == 12
    assert half_way(steps, np.ones(20)) is None  # goes nowhere
    assert half_way(steps[:5], steps[:5] * 1.0) is None  # too few observations


def test_a_run_groks_if_it_gains_late_and_not_otherwise():
    late = per_run(evidence(mnist=made(decays=(0.1,))), "mnist")
    assert all(run["groks"] for run in late)
    assert np.allclose([run["accuracy"] for run in late], 12_000, rtol=0.25)
    at_once = made(decays=(0.1,), unit=30.0)  # generalises at 300, fits at 500
    assert not any(run["groks"] for run in per_run(evidence(mnist=at_once), "mnist"))
    assert all(run["rises"] for run in per_run(evidence(mnist=at_once), "mnist"))
    # half of the gain comes between the step of memorisation and twice that
    soon = per_run(evidence(mnist=made(decays=(0.1,), unit=70.0, gain=0.3)), "mnist")
    assert all(run["gain"] < 0.2 for run in soon)
    never = made(decays=(0.1,), fit=1e9)
    assert {run["memorised"] for run in per_run(evidence(mnist=never), "mnist")} == {None}


def test_the_published_accuracies_are_judged_in_their_bands():
    # .15 + .73 x rising: 15 % long before, 88 % long after
    assert verdict("A1", mnist=made(decays=(0.01,), unit=500.0)).verdict == "reproduced"
    assert verdict("A1", mnist=made(decays=(0.01,), unit=500.0, gain=0.4)).verdict == "not reproduced"
    short = made(decays=(0.01,), unit=500.0, steps=STEPS[STEPS <= 40_000])
    assert verdict("A1", mnist=short).verdict == "inconclusive"
    assert verdict("A1", mnist=made(decays=(0.01,), seeds=(42,))).verdict == "inconclusive"
    assert verdict("A1", mnist=made(decays=(0.3,))).verdict == "inconclusive"  # no run of that decay


def test_collapse_with_generalisation_is_told_from_collapse_long_after():
    assert verdict("A2", mnist=made()).verdict == "reproduced"
    assert verdict("A2", mnist=made(decays=(0.3, 0.1), lag=5.0)).verdict == "not reproduced"
    assert verdict("A2", mnist=made(nc2_end=30.0)).verdict == "not reproduced"
    assert verdict("A2", mnist=made(power=0.5, unit=50_000.0)).verdict == "not reproduced"
    assert verdict("A2", mnist=made(seeds=(42,), decays=(0.3,))).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "reproduced"),
        ({"power": -0.4, "unit": 5_000.0}, "not reproduced"),
        ({"fit_power": -0.5, "fit": 200.0}, "not reproduced"),
        ({"decays": (0.3,)}, "inconclusive"),
        ({"unit": 1e9}, "inconclusive"),  # nothing collapses
        ({"spread": 0.6, "seeds": (42, 43)}, "inconclusive"),
    ],
)
def test_exponents_of_weight_decay_with_adamw(changes, expected):
    assert verdict("A3", mnist=made(**changes)).verdict == expected


def test_the_times_stand_beside_their_exponents():
    found = CLAIMS["A3"].judge(evidence(mnist=made(decays=(0.1, 0.01), unit=300.0)))
    values = {each.what: each.value for each in found.measured}
    assert list(values)[2:4] == ["median τ₁ with weight decay 0.1", "median τ₁ with weight decay 0.01"]
    assert values["median τ₁ with weight decay 0.01"] == pytest.approx(500, abs=100)
    ratio = values["median τ₂ with weight decay 0.01"] / values["median τ₂ with weight decay 0.1"]
    assert ratio == pytest.approx(10, rel=0.3)
    never = CLAIMS["A14"].judge(evidence(no_decay=made(decays=(0.001,), unit=1e9, power=0))).measured[3]
    assert never.what == "median τ₂ with weight decay 0.001"
    assert never.value == np.inf


def test_exponents_of_both_fields_in_the_theorems_own_setting():
    grid = np.unique(np.round(10 ** np.arange(0, 5.3, 0.025)))
    usual = {"decays": (0.03, 0.01, 0.003), "rates": (0.01, 0.005), "steps": grid, "fit": 500.0, "unit": 500.0}
    assert verdict("A11", gradient_descent=made(**usual)).verdict == "reproduced"
    assert verdict("A11", gradient_descent=made(**usual | {"power": -0.5})).verdict == "not reproduced"
    assert verdict("A11", gradient_descent=made(**usual | {"rates": (0.01,)})).verdict == "inconclusive"


def test_grokking_of_fashion_and_of_the_other_loss():
    assert verdict("A6", fashion=made(decays=(0.3, 0.1))).verdict == "reproduced"
    assert verdict("A6", fashion=made(decays=(0.3, 0.1), gain=0.05)).verdict == "not reproduced"
    assert verdict("A6", fashion=made(decays=(0.3,), seeds=(42, 43))).verdict == "inconclusive"
    # memorised at 500, half of the gain at 700: half of it is there by twice the step of memorisation
    soon = verdict("A6", fashion=made(decays=(0.1,), unit=70.0, gain=0.3))
    late, whole = (each.value for each in soon.measured)
    assert late < 0.2 < whole <= 0.3
    assert verdict("A13", cross_entropy=made(decays=(0.3, 0.1))).verdict == "reproduced"
    assert verdict("A13", cross_entropy=made(decays=(0.3, 0.1), lag=6.0)).verdict == "not reproduced"
    assert verdict("A13", cross_entropy=made(decays=(0.3,), fit=1e9)).verdict == "inconclusive"


def test_other_architectures_are_judged_by_late_gain_and_by_what_goes_with_error():
    together = made(decays=(0.3, 0.1), gain=0.1)  # improves late, by too little to be grokking
    assert verdict("A6B", cnn=together).verdict == "reproduced"
    assert verdict("A7", transformer=together).verdict == "not reproduced"  # RNC1 goes with error
    apart = made(decays=(0.3, 0.1), gain=0.1)
    for name in ("train/rnc1", "train/rnc1[scale=max_norm]"):
        apart.observations[name] = 1 / apart.observations[name]
    assert verdict("A7", transformer=apart).verdict == "reproduced"
    assert verdict("A6B", cnn=apart).verdict == "not reproduced"
    assert verdict("A6B", cnn=made(decays=(0.3, 0.1))).verdict == "not reproduced"  # groks
    assert verdict("A7", transformer=made(decays=(0.3,), seeds=(42,), gain=0.1)).verdict != "reproduced"
    assert verdict("A7B").verdict == "not comparable"


def test_early_birds_speak_against_the_explanation():
    two = made(decays=(0.3, 0.1))
    assert verdict("A12", mnist=made(lag=0.7), fashion=made(decays=(0.3,), lag=0.7)).verdict == "reproduced"
    birds = verdict("A12", mnist=made(lag=3.0, decays=(0.3, 0.1)), fashion=two)
    assert birds.verdict == "not reproduced"
    # .3 (.002/.3)^r is half of .3 where r = log 2/log 150, which is before r = ½
    half = np.log(2) / np.log(150)
    assert birds.measured[0].value == pytest.approx(np.log(3) + 0.15 * np.log(half / (1 - half)), abs=0.05)
    # RNC1 of test images is its root here: half way where that is .5 (1 + √(.002/.3))
    share = 2 * np.log(2 / (1 + np.sqrt(0.002 / 0.3))) / np.log(150)
    assert birds.measured[3].value == pytest.approx(np.log(3) / 2 + 0.15 * np.log(share / (1 - share)), abs=0.05)
    assert (birds.measured[4].value, birds.measured[4].n) == (10, 20)  # not those on Fashion-MNIST, of lag 1
    late = made(lag=3.0, decays=(0.3,))
    logarithm = CLAIMS["A12"].judge(evidence(mnist=late, fashion=late).choosing(half_way="logarithm"))
    assert logarithm.measured[0].value == pytest.approx(np.log(3), abs=0.16)  # 666 steps of the schedule on 4,000
    none = made(decays=(0.3,), gain=0.0)
    assert verdict("A12", mnist=none, fashion=none).verdict == "inconclusive"


def test_a_collapse_that_has_only_begun_tells_nothing_and_is_counted():
    begun = made(decays=(0.3, 0.03), lag=20.0)  # with .03 RNC1 has not come to ε₂
    assert {run["decay"] for run in per_run(evidence(mnist=begun), "mnist") if run["rnc1"] is None} == {0.03}
    found = CLAIMS["A12"].judge(evidence(mnist=begun, fashion=made(decays=(0.3,), lag=20.0)))
    assert found.measured[-1].what.startswith("runs left out")
    assert (found.measured[-1].value, found.measured[-1].n) == (5, 15)


def test_without_decay_nothing_may_happen():
    seeds = tuple(range(42, 48))
    assert verdict("A14", no_decay=made(decays=(0.001,), unit=1e9, power=0, seeds=seeds)).verdict == "reproduced"
    assert verdict("A14", no_decay=made(decays=(0.001,), power=0, seeds=seeds)).verdict == "not reproduced"
    norm = verdict("A14", no_decay=made(decays=(0.001,), power=0, seeds=seeds)).measured[2]
    assert norm.value == pytest.approx(np.exp(-STEPS[-1] / 100_000))
    assert verdict("A14", no_decay=made(decays=(0.001,), unit=1e9, power=0, seeds=(42,))).verdict == "inconclusive"


def information_table(sign=1.0, members=20, fall=3.0):
    steps = [1_000, 8_000, 16_000, 25_000, 40_000, 60_000]
    rows = []
    for member in range(members):
        for index, step in enumerate(steps):
            rnc1 = 0.3 / fall**index
            value = sign * (1 + np.log(rnc1))
            rows.append({
                "member": member, "step": step, "rnc1_mean_norm": rnc1, "rnc1_max_norm": rnc1 / 2,
                "superfluous_entropies": value, "superfluous_ksg": value, "nhsic_difference": 2 * value,
                "zy_entropies": 2.0 + 0.2 * index, "zy_ksg": 1.0,
                "doubt_entropies": np.nan, "doubt_ksg": "too much", "error_entropies": 0.1, "error_ksg": 0.1,
            })  # fmt: skip
    return {"information": pd.DataFrame(rows)}


def test_compression_must_fall_with_rnc1():
    runs = made()
    assert verdict("A4", information_table(), mnist=runs).verdict == "reproduced"
    assert verdict("A4", information_table(-1.0), mnist=runs).verdict == "not reproduced"
    assert verdict("A4", information_table(members=3), mnist=runs).verdict == "inconclusive"
    assert verdict("A4", information_table(fall=1.01), mnist=runs).verdict == "inconclusive"  # nothing collapses
    assert verdict("A4", information_table(), mnist=made(fit=1e9)).verdict == "reproduced"  # fitted or not
    notes = verdict("A4", information_table(), mnist=runs).notes
    assert "below 0 by more than two standard errors at 120 of 120" in notes[1]
    assert "estimated above that at 80 of 120" in notes[2]  # 2.4 and more


def test_margins_must_shrink_in_the_unit_that_was_chosen():
    rows = [(seed, step) for seed in SEEDS for step in (16_000, 100_000)]
    table = pd.DataFrame(rows, columns=["member", "step"])
    table["spread"] = np.where(table["step"] == 16_000, 4.0, 2.0) * (1 + 0.01 * table["member"])
    table["gap"] = np.where(table["step"] == 16_000, 8.0, 2.0)
    table["feature_norm"] = np.where(table["step"] == 16_000, 3.0, 1.0)
    given = evidence({"margin_spreads": table}, mnist=made())
    assert CLAIMS["A5"].judge(given).verdict == "reproduced"
    assert CLAIMS["A5"].judge(given.choosing(margin_unit="gap")).verdict == "not reproduced"
    one = evidence({"margin_spreads": table[table["member"] == 42]}, mnist=made())
    assert CLAIMS["A5"].judge(one).verdict == "inconclusive"
    assert CLAIMS["A5"].judge(evidence({"margin_spreads": table[:0]}, mnist=made())).verdict == "inconclusive"


def bounds_table(factor):
    rows = [{"member": i, "step": s, "test_error": 0.2, "full": 0.2 * factor, "directional": 0.2 * factor,
             "train_full": 0.1} for i in range(20) for s in (100, 1_000)]  # fmt: skip
    return {"bounds": pd.DataFrame(rows)}


def test_a_bound_below_the_error_is_no_bound():
    assert verdict("A8", bounds_table(2.0)).verdict == "reproduced"
    assert verdict("A8", bounds_table(0.5)).verdict == "not reproduced"
    assert "40 of 40" in verdict("A8", bounds_table(2.0)).notes[0]
    assert verdict("A8", {"bounds": bounds_table(2.0)["bounds"][:2]}).verdict == "inconclusive"


def test_a_bound_that_is_never_below_one_says_nothing():
    found = verdict("A8", bounds_table(6.0))
    assert found.verdict == "inconclusive"
    assert "no run to tell from" in found.because


def test_variances_of_few_images_scatter_with_the_root_of_their_number():
    draw = np.random.default_rng(0)
    view = SimpleNamespace(labels=np.repeat(np.arange(10), 1_000), features=draw.normal(size=(10_000, 8)))
    gaps = [_rate(view, n, seed=0) for n in RATE_SIZES]
    slope = np.polyfit(np.log(RATE_SIZES), np.log(gaps), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.05)


def chain_table(estimate, warning=None):
    rows = [{"member": i, "noise": s, "estimate": estimate, "standard_error": 0.01, "seen": 0.3, "log_det": 0.5,
             "trace": 0.8, "warning": warning} for i in range(8) for s in (0.1, 1.0)]  # fmt: skip
    return {"chain": pd.DataFrame(rows)}


def test_the_chain_is_judged_where_the_estimate_is_believed():
    assert verdict("A9", chain_table(0.3)).verdict == "reproduced"
    assert verdict("A9", chain_table(0.515)).verdict == "reproduced"  # within two standard errors
    assert verdict("A9", chain_table(0.6)).verdict == "not reproduced"
    assert verdict("A9", chain_table(0.6, "cannot be told")).verdict == "inconclusive"


def test_the_rate_is_one_over_the_root():
    def rates(power, members=5):
        rows = [(i, n, (1 + 0.01 * i) * n**power) for i in range(members) for n in (10.0, 40.0, 160.0)]
        return {"rates": pd.DataFrame(rows, columns=["member", "n", "gap"])}

    assert verdict("A10", rates(-0.5)).verdict == "reproduced"
    assert verdict("A10", rates(-1.0)).verdict == "not reproduced"
    assert verdict("A10", rates(-0.5, members=1)).verdict == "inconclusive"


def test_widest_directions_are_those_of_most_variance():
    x = np.random.default_rng(0).normal(size=(500, 3)) * [1.0, 5.0, 3.0]
    np.testing.assert_allclose(np.abs(widest(x, 2)), [[0, 0], [1, 0], [0, 1]], atol=0.1)
