"""Claims of Truong et al. on runs whose truth is known: the effect there, its opposite, too little to tell."""

from types import SimpleNamespace

import numpy as np
import pytest
from truong_runs import STEPS, course, evidence, judged, made

from afterfit.spec import Drop
from afterfit.studies.drawings import courses
from afterfit.studies.truong_2026 import STUDY
from afterfit.studies.truong_2026.claims_forecasts import held_out_crossings
from afterfit.studies.truong_2026.claims_interventions import horizon
from afterfit.studies.truong_2026.readings import Collapse, all_times, thresholds
from afterfit.studies.truong_2026.sweeps import EVENTS, sweeps
from afterfit.studies.truong_2026.tables import held_out

GROK = 200 * np.array([60, 66, 70, 72, 75, 63, 68, 80, 77, 71])  # mean 14,040


def grokking(lead=1_000, n=10, seed=0, **options):
    rng = np.random.default_rng(seed)
    leads = lead + 200 * rng.integers(-1, 2, n)
    return [
        course(t, t - ahead, noise=rng, **options) for t, ahead in zip(GROK[:n].tolist(), leads.tolist(), strict=True)
    ]


def both(runs):
    return {"main": runs, "easier": runs}


def verdict(claim, **shown):
    return judged(claim, evidence(**shown)).verdict


@pytest.mark.parametrize(
    ("lead", "expected"), [(1_000, "reproduced"), (-1_000, "not reproduced"), (4_000, "not reproduced")]
)
def test_a_collapse_before_generalisation_is_told_from_one_after_it_and_from_another_lead(lead, expected):
    assert verdict("C3", **both(made(grokking(lead)))) == expected


def test_one_run_none_that_generalises_and_none_that_collapses_are_too_little_to_tell():
    assert verdict("C3", **both(made(grokking(n=1)))) == "inconclusive"
    assert verdict("C3", **both(made([course(), course(None, 5_000)]))) == "inconclusive"
    without = judged("C3", evidence(**both(made([course(t) for t in GROK.tolist()]))))
    assert without.verdict == "not reproduced"
    assert "0 of 10" in without.because


@pytest.mark.parametrize("claim", [claim.id for claim in STUDY.claims])
@pytest.mark.parametrize("n", [1, 2])
def test_no_judge_fails_or_decides_where_nothing_happens(claim, n, tmp_path):
    nothing = made([course(budget=2_000) for _ in range(n)])
    names = {sweep.name.replace("-", "_") for sweep in sweeps("quick")}
    arms = {"interventions.0.strength": [0.3] * n, "task.operation": ["subtract"] * n}
    quiet = {name: made([course(budget=2_000) for _ in range(n)], varied=arms) for name in names} | both(nothing)
    found = judged(claim, evidence(tmp_path, **quiet))
    assert found.verdict == "inconclusive"
    assert found.because


def test_a_run_that_diverged_before_its_event_counts_as_never():
    lost = grokking(n=6)
    lost[0] = {name: np.where(STEPS > 3_000, np.nan, values) for name, values in lost[0].items()}
    shown = evidence(**both(made(lost, status=["diverged", *["finished"] * 5])))
    times = all_times(shown, "main", EVENTS[2])
    assert times.censored.tolist() == [True] + 5 * [False]
    assert times.time[0] == times.time[1:].max()


@pytest.mark.parametrize(("at_event", "expected"), [(0.61, "reproduced"), (0.45, "not reproduced")])
def test_the_threshold_is_the_mean_entropy_where_runs_generalise(at_event, expected):
    runs = both(made(grokking(at_event=at_event)))
    assert verdict("C2", **runs) == expected
    assert np.mean(list(thresholds(evidence(**runs), "main").values())) == pytest.approx(at_event, abs=0.005)


def test_phases_need_a_norm_that_grows():
    runs = grokking(start=0.78)
    falling = judged("C1", evidence(**both(made(runs))))
    for run in runs:
        run["weight_norm"] = 50 + 0.001 * STEPS
    rising = judged("C1", evidence(**both(made(runs))))
    assert (falling.verdict, rising.verdict) == ("not reproduced", "reproduced")
    assert "0 of 10" in falling.because


def test_by_default_the_collapse_is_the_event_that_was_declared_before_the_run():
    declared = next(rule for rule in EVENTS if isinstance(rule, Drop))
    rng = np.random.default_rng(1)
    for _ in range(20):
        walk = 0.8 + np.cumsum(0.01 * rng.standard_normal(len(STEPS)))
        shown = {"step": STEPS, declared.measure: walk}
        assert Collapse()(shown) == declared(shown)


def test_the_size_of_the_lead_counts_at_the_published_share_of_the_pairs_only():
    shown = both(made(grokking(4_000)))
    verdicts = [judged("C3", evidence(choices={"train_fraction": each}, **shown)).verdict for each in (0.2, 0.4)]
    assert verdicts == ["not reproduced", "reproduced"]


def test_a_fall_at_the_start_is_a_collapse_unless_it_is_left_out():
    runs = grokking(start=0.87)  # .07 above the plateau
    early, late = (evidence(choices={"begin": begin}, **both(made(runs))) for begin in (0, 600))
    assert all_times(early, "main", Collapse()).time.tolist() == [200] * 10
    assert judged("C3", early).verdict == "not reproduced"  # leads by far too much
    assert judged("C3", late).verdict == "reproduced"


def test_a_cut_changes_what_is_normalised_by_the_whole_movement_and_not_what_was_declared():
    slow = [course(t, t - 1_000, at_event=0.7, end=0.1, patience=5_000) for t in GROK.tolist()]
    found = judged("C10", evidence(followed=made(slow)))
    assert found.verdict == "not reproduced"
    changed = {each.what: each.value for each in found.measured if "changes its sign" in each.what}
    assert changed == {
        "runs whose declared event changes its sign, nought by construction": 0,
        "runs whose normalised event changes its sign": 10,
    }


def arms(delays, n=8, strengths=(0.1, 0.3, 0.5)):
    rng = np.random.default_rng(2)
    strength = np.repeat(strengths, n)
    runs = [
        course(min(int(GROK[i % 8] - 8_000 + delay + 200 * rng.integers(-1, 2)), 10**6), None)
        for i, delay in enumerate(np.repeat(delays, n).tolist())
    ]
    return made(runs, seeds=np.tile(np.arange(n), len(strengths)), varied={"interventions.0.strength": strength})


def baseline(n=8):
    return made([course(int(t - 8_000), None) for t in GROK[:n]])


def single(delay, n=8):
    one = arms([delay], n, strengths=(0.3,))
    return made([course(int(GROK[i] - 8_000 + delay + 200 * (i % 3 - 1)), None) for i in range(n)]) if n else one


@pytest.mark.parametrize(
    ("delay", "expected"), [(3_000, "reproduced"), (-2_000, "not reproduced"), (0, "inconclusive")]
)
def test_a_delay_is_told_from_an_advance_and_from_none(delay, expected):
    base = baseline()
    assert verdict("C4", main=base, easier=base, mixing=arms([delay] * 3)) == expected
    assert verdict("C5", main=base, easier=base, norm_matched=single(delay)) == expected


def test_runs_that_never_generalise_count_as_the_budget():
    base, never = baseline(), made([course() for _ in range(8)])
    found = judged("C5", evidence(main=base, easier=base, norm_matched=never))
    assert found.verdict == "reproduced"
    delay = next(each for each in found.measured if each.what.startswith("delay by seed"))
    assert delay.value == pytest.approx(np.mean(20_000 - (GROK[:8] - 8_000)))
    assert horizon(all_times(evidence(main=never), "main", EVENTS[2])) == 20_000


def test_the_strength_and_the_layer_that_are_chosen_decide():
    base = baseline()
    shown = {"main": base, "easier": base, "mixing": arms([0, 0, 3_000]), "mixing_early": arms([-2_000] * 3)}
    verdicts = [
        judged("C4", evidence(choices=choices, **shown)).verdict
        for choices in ({"strength": 0.5}, {"strength": 0.1}, {"layer": "block0"})
    ]
    assert verdicts == ["reproduced", "inconclusive", "not reproduced"]


@pytest.mark.parametrize(
    ("delays", "expected"),
    [([500, 2_000, 4_000], "reproduced"), ([-500, -2_000, -4_000], "not reproduced"), ([0, 0, 0], "inconclusive")],
)
def test_a_dose_response_has_a_direction(delays, expected):
    base = baseline()
    assert verdict("C11", main=base, easier=base, mixing=arms(delays)) == expected


def test_mixing_is_held_against_a_random_change_of_its_size():
    base = baseline()
    shown = {"main": base, "easier": base, "mixing": arms([3_000] * 3)}
    assert verdict("C12", **shown, random_direction=single(0)) == "reproduced"
    assert verdict("C12", **shown, random_direction=single(6_000)) == "not reproduced"


def following_law(n=10, c1=2e5, gamma=1.6, level=0.6, spread=0.0):
    """Runs in which T_grok − t = C₁ (H̃ − H*)^γ holds to the letter."""
    rng = np.random.default_rng(3)
    runs = []
    for t in GROK[:n].tolist():
        run = course(t, t - 1_000)
        ahead = np.maximum(t - STEPS, 0)
        run["train/spectral_entropy"] = level + (ahead / c1) ** (1 / gamma) + spread * rng.standard_normal(len(STEPS))
        runs.append(run)
    return made(runs)


def test_the_power_law_is_found_where_it_holds():
    assert verdict("C6", **both(following_law(spread=0.001))) == "reproduced"
    exact = {each.what: each.value for each in judged("C6", evidence(**both(following_law()))).measured}
    assert exact["γ of all runs"] == pytest.approx(1.6, rel=1e-6)
    assert exact["C₁"] == pytest.approx(2e5, rel=1e-6)
    assert exact["R² of T_grok − t, all observations before"] == pytest.approx(1)
    assert exact["median error over all observations, left out"] == pytest.approx(0, abs=1e-9)


def test_a_law_with_another_exponent_is_not_the_published_one():
    assert verdict("C6", **both(following_law(gamma=3.0, spread=0.001))) == "not reproduced"


def test_a_law_is_not_found_in_noise():
    runs = [course(int(t), None) for t in GROK]
    for run, rng in zip(runs, np.random.default_rng(7).spawn(10), strict=True):
        run["train/spectral_entropy"] = 0.6 + np.abs(0.1 * rng.standard_normal(len(STEPS)))
    found = judged("C6", evidence(**both(made(runs))))
    assert found.verdict == "not reproduced"


def test_beside_the_published_error_stands_that_of_a_forecast_that_looks_at_nothing():
    values = {each.what: each.value for each in judged("C6", evidence(**both(following_law()))).measured}
    assert values["error of 'at the next observation', which looks at nothing"] == pytest.approx(0, abs=1e-12)


def test_on_held_out_seeds_the_law_beats_the_median_where_it_holds_and_not_where_it_does_not(tmp_path):
    holds = judged("C15", evidence(tmp_path / "holds", **both(following_law())))
    assert holds.verdict == "reproduced"
    rng = np.random.default_rng(4)
    runs = [course(int(t), None) for t in GROK]
    for run in runs:
        run["train/spectral_entropy"] = 0.6 + np.abs(0.1 * rng.standard_normal(len(STEPS)))
    noise = judged("C15", evidence(tmp_path / "noise", **both(made(runs))))
    assert noise.verdict in ("inconclusive", "not reproduced")


def test_the_threshold_of_a_run_comes_from_the_other_half_of_the_seeds():
    runs = grokking()
    for index, run in enumerate(runs):
        run["train/spectral_entropy"] = run["train/spectral_entropy"] + 0.1 * (index % 2)
    rows = held_out_crossings(evidence(**both(made(runs))), "main")
    level = {row["member"]: row["threshold"] for row in rows}
    assert level[0] == pytest.approx(level[1] + 0.1, abs=0.01)  # even members are held against odd ones
    assert len(rows) == 10


def test_about_half_of_all_runs_cross_a_threshold_that_is_the_mean_at_their_own_event():
    rng = np.random.default_rng(5)
    runs = [course(t, t - 1_000, at_event=0.61 + 0.02 * rng.standard_normal()) for t in GROK.tolist()]
    assert verdict("C14", **both(made(runs))) != "reproduced"


def test_a_collapse_that_also_comes_where_nothing_generalises_is_a_false_alarm():
    quiet, loud = made([course() for _ in range(6)]), made([course(None, 5_000) for _ in range(6)])
    assert verdict("C13", no_decay=quiet, random_labels=quiet, mlp=quiet) == "reproduced"
    assert verdict("C13", no_decay=loud, random_labels=loud, mlp=loud) == "not reproduced"
    grokked = made(grokking(n=6))
    found = judged("C13", evidence(no_decay=grokked, random_labels=loud, mlp=loud))
    assert found.measured[0].n == 12  # runs that do generalise are no false alarms
    assert found.verdict == "not reproduced"
    followed = {each.what.partition(":")[0]: each for each in found.measured if "followed" in each.what}
    assert followed["no weight decay"].value is None  # all of them generalised
    assert followed["MLP"].value == 20_000  # the budget of the planted runs
    assert followed["MLP"].n == 6
    assert verdict("C13", no_decay=quiet, random_labels=quiet, mlp=loud) == "not reproduced"  # one kind is enough


def test_random_labels_that_were_not_fitted_are_told_from_those_that_were():
    quiet = made([course() for _ in range(6)])
    quiet.members = [SimpleNamespace(member=i, seed=i, step=20_000, status="finished", varied={}) for i in range(6)]
    found = judged("C13", evidence(no_decay=quiet, random_labels=quiet, mlp=quiet))
    fitted = next(each for each in found.measured if "fitted" in each.what)
    assert (fitted.value, fitted.n) == (0.75, 6)  # three of the four that `Made` says


def test_a_run_later_than_all_calibration_runs_is_judged_to_its_end():
    grok = [int(t) for t in GROK]
    grok[3] = 19_000  # of the seeds that judge
    runs = made([course(t, t - 6_000, end=0.4) for t in grok])
    rows = held_out(evidence(**both(runs)))
    law = rows[(rows["sweep"] == "main") & (rows["model"] == "power law of H̃") & (rows["seed"] == 3)]
    assert law["last_error"].iloc[0] < 0.03  # 200 steps before, of 19,000


def test_courses_have_a_median_only_while_all_runs_are_followed():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    early, late = course(5_000, 4_000), course(15_000, 14_000)
    courses(axes, made([early, late]).observations, "test/accuracy", colour="k", label="median")
    median = next(line for line in axes.lines if line.get_label() == "median")
    assert median.get_xdata()[-1] == 6_000
    assert axes.lines[1].get_xdata()[-1] == 16_000


@pytest.mark.parametrize(("collapsing", "expected"), [(5, "reproduced"), (10, "not reproduced")])
def test_s5_is_claimed_to_collapse_first_in_half_of_the_runs(collapsing, expected):
    runs = [course(t, t - 1_000 if i < collapsing else None) for i, t in enumerate(GROK.tolist())]
    assert verdict("C7S", s5=made(runs)) == expected
    assert verdict("C7S", s5=made([course() for _ in range(10)])) == "inconclusive"  # cut long before 50,000 steps


def test_other_operations_are_pooled_and_shown_one_by_one():
    operations = {"task.operation": ["multiply", "subtract"] * 5}
    found = judged("C7", evidence(operations=made(grokking(at_event=0.59), varied=operations)))
    assert found.verdict == "reproduced"
    assert sum("runs that generalised" in each.what for each in found.measured) == 2


def test_a_perceptron_that_generalises_contradicts_the_claim_about_it():
    assert verdict("C8", mlp=made([course(None, 5_000) for _ in range(8)])) == "reproduced"
    assert verdict("C8", mlp=made(grokking(n=8))) == "not reproduced"


@pytest.mark.parametrize(("sign", "expected"), [(-1, "reproduced"), (1, "not reproduced")])
def test_the_correlation_with_the_alignment_has_a_sign(sign, expected):
    rng, runs = np.random.default_rng(6), grokking()
    for run in runs:
        entropy = run["train/spectral_entropy"]
        run["train/fourier_alignment"] = sign * entropy + 0.6 * np.nanstd(entropy) * rng.standard_normal(len(STEPS))
    assert verdict("C9", **both(made(runs))) == expected


def test_every_claim_needs_sweeps_that_exist_at_every_scale():
    for scale in ("smoke", "quick", "full"):
        there = {sweep.name for sweep in sweeps(scale)}
        assert {name for claim in STUDY.claims for name in claim.needs} <= there
        assert {name for drawing in STUDY.drawings for name in drawing.needs} <= there
    assert {f"C{n}" for n in range(1, 10)} <= {claim.id for claim in STUDY.claims}
    known = {choice.name for choice in STUDY.choices}
    assert all(set(claim.choices) <= known for claim in STUDY.claims)
