"""The adjudication's rules and verdicts on runs whose answers are known."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from afterfit.analysis import events as event_tables
from afterfit.studies.adjudication import CLAIMS, STUDY
from afterfit.studies.adjudication.forecasts import halves, of_task
from afterfit.studies.adjudication.leads import ALL, row_of
from afterfit.studies.adjudication.moved import factor, moved
from afterfit.studies.adjudication.pushes import pushes
from afterfit.studies.adjudication.rivals import BY_NAME, ELAPSED, MEASURED, RULES, as_quantity, fall, features_of
from afterfit.studies.adjudication.summary import leads_of
from afterfit.studies.adjudication.sweeps import DECAY, PUSHED, PUSHES, TASKS, experiment_of, push_sweep_name
from afterfit.studies.evidence import Evidence

BUDGET, SEEDS = 1000, tuple(range(8))
STEPS = np.arange(0, BUDGET + 1, 20)
JUDGES = {claim.id: claim for claim in CLAIMS}
DEFAULTS = {choice.name: choice.default for choice in STUDY.choices}


def flat(seed, time):
    """A measure that does nothing."""
    return np.ones(len(STEPS))


def falls_at(share, *, always=False):
    """A measure that falls to a quarter at a share of the time to generalisation; in other runs only if `always`."""

    def course(seed, time):
        at = share * (BUDGET / 2 if time is None else time)
        return np.where((at <= STEPS) & (always or time is not None), 0.2, 1.0)

    return course


class FakeRuns:
    """What the study reads of a folder of runs: every member generalises when it is told to, or never."""

    def __init__(self, task, members, courses):
        self.experiment = replace(experiment_of(task, "smoke"), steps=BUDGET)
        self.meta = {"seeds": sorted({member["seed"] for member in members}), "experiment": task}
        self.members = [SimpleNamespace(seed=m["seed"], varied=m["varied"], status="finished", step=1) for m in members]
        grids = {"train/accuracy": [np.where(STEPS >= 100, 1.0, 0.2) for _ in members]}
        # Observed a little beyond generalisation, as runs are that stop then.
        ends = [BUDGET if m["time"] is None else min(BUDGET, m["time"] + 200) for m in members]
        grids["test/accuracy"] = [self._learnt(m["time"]) for m in members]
        for rival in MEASURED:
            course = courses.get(rival.name, flat)
            grids[rival.column_of(self.experiment)] = [course(m["seed"], m["time"]) for m in members]
        cut = {
            name: np.array([np.where(end < STEPS, np.nan, row) for row, end in zip(rows, ends, strict=True)])
            for name, rows in grids.items()
        }
        coords = {"member": np.arange(len(members)), "step": STEPS}
        varied = {name: ("member", [m["varied"][name] for m in members]) for name in members[0]["varied"]}
        labels = {"seed": ("member", [m["seed"] for m in members]), "status": ("member", ["finished"] * len(members))}
        self.observations = xr.Dataset(
            {name: (("member", "step"), grid) for name, grid in cut.items()}, coords | varied | labels
        )

    def _learnt(self, time):
        return np.full(len(STEPS), 0.1) if time is None else np.where(time <= STEPS, 1.0, 0.1)

    def events(self):
        return event_tables.table(self.observations, {rule.name: rule for rule in self.experiment.events})


def times_of_task(number):
    """Of eight seeds, spread, and different from task to task."""
    return [300 + 40 * seed + 20 * (number % 3) for seed in SEEDS]


def task_runs(task, courses, *, generalise=True, seeds=SEEDS):
    times = times_of_task(TASKS.index(task))
    decays = (0.0, PUSHED.get(task, 1.0))
    members = [
        {"seed": seed, "varied": {DECAY: decay}, "time": times[seed] if decay and generalise else None}
        for decay in decays
        for seed in seeds
    ]
    return FakeRuns(task, members, courses)


def push_runs(task, push, factors, courses):
    """Arms whose time is that of the baseline times a factor, by (arm or control, direction)."""
    times = times_of_task(TASKS.index(task))
    members = []
    for direction, value in zip(("against", "along"), push.values, strict=True):
        for arm, matched in (("arm", None), ("control", push.matched)):
            for seed in SEEDS:
                time = times[seed] * factors.get((arm, direction), 1.0)
                members.append(
                    {
                        "seed": seed,
                        "varied": {push.field: value, "matched": str(matched)},
                        "time": 20 * round(time / 20) if time < BUDGET else None,
                    }
                )
    return FakeRuns(task, members, courses)


@pytest.fixture(scope="module")
def make_evidence(tmp_path_factory):
    """Evidence of all tasks with the same courses, and of pushes with given factors."""

    def make(courses=None, factors=None, other=None, **options):
        runs = {task: task_runs(task, (courses or {}) | (other or {}).get(task, {}), **options) for task in TASKS}
        for task in PUSHED:
            for push in PUSHES:
                of_push = (factors or {}).get(push.name, {})
                runs[push_sweep_name(task, push)] = push_runs(task, push, of_push, courses or {})
        return Evidence("quick", tmp_path_factory.mktemp("adjudication"), runs, DEFAULTS)

    return make


def verdict(evidence, claim, **choices):
    return JUDGES[claim].judge(evidence.choosing(**choices)).verdict


def test_a_fall_is_said_at_the_first_observation_below_its_share_of_the_peak():
    values = np.array([5.0, 8.0, 10.0, 6.0, 4.9, 20.0])
    assert fall(np.arange(6), values, 2.0) == 4
    assert fall(np.arange(6), values, 1.25) == 3
    assert fall(np.arange(6), values, 4.0) is None
    assert fall(np.arange(6), np.array([np.nan, 1.0, 0.0, 1.0, 1.0, 1.0]), 2.0) == 2


def test_a_fall_counts_from_memorisation_or_not_at_all():
    values = np.array([10.0, 4.0, 4.0, 3.0, 1.9])
    assert fall(np.arange(5), values, 2.0) == 1
    assert fall(np.arange(5), values, 2.0, since=1) == 4
    assert fall(np.arange(5), values, 2.0, since=None) is None


def test_cutting_a_run_does_not_move_its_events():
    rng = np.random.default_rng(0)
    values = np.exp(np.cumsum(rng.normal(-0.05, 0.3, 200)))
    whole = fall(np.arange(200), values, 2.0)
    assert whole is not None
    for end in range(whole + 1, 200):
        assert fall(np.arange(end), values[:end], 2.0) == whole


def test_the_entropy_counts_directions():
    experiment = experiment_of("parity", "smoke")
    d = features_of(experiment)
    values = np.log([1.0, 4.0, 8.0]) / np.log(d)
    assert np.allclose(as_quantity(BY_NAME["spectral_entropy"], values, experiment), [1, 4, 8])
    assert np.array_equal(as_quantity(BY_NAME["rnc1"], values, experiment), values)


PLANTED = {
    "rnc1": falls_at(0.5),
    "nc1": falls_at(1.2),
    "relative_flatness": falls_at(0.9),
    "relative_flatness_bound": falls_at(0.3),
    "spectral_entropy": falls_at(0.5),
    "loss": falls_at(0.2, always=True),
}  # CDNV and the weight norm do nothing


@pytest.fixture(scope="module")
def planted(make_evidence):
    return make_evidence(PLANTED)


@pytest.fixture(scope="module")
def unspecific(make_evidence):
    """Everything falls early, and in every run."""
    return make_evidence({rival.name: falls_at(0.3, always=True) for rival in MEASURED})


def test_leads_and_false_alarms_are_those_that_were_planted(planted):
    table = leads_of(planted)
    assert len(table) == len(RULES) * len(MEASURED) * (2 * len(TASKS) + 1)
    rnc1, loss, nc1, cdnv = (
        row_of(table, task=ALL, measure=name, rule="halved") for name in ("rnc1", "loss", "nc1", "cdnv")
    )
    assert rnc1["led"] == loss["led"] == 1.0
    assert rnc1["relative_lead"] == pytest.approx(0.5, abs=0.05)
    assert rnc1["alarms"] == 0.0
    assert loss["alarms"] == 1.0
    assert nc1["led"] == 0.0
    assert nc1["relative_lead"] == pytest.approx(-0.2, abs=0.05)
    assert cdnv["relative_lead"] == -np.inf
    assert rnc1["generalised"] == rnc1["never"] == len(TASKS) * len(SEEDS)


@pytest.mark.parametrize(
    ("measure", "expected"), [("rnc1", "reproduced"), ("nc1", "not reproduced"), ("cdnv", "not reproduced")]
)
def test_collapse_leads_when_it_does(planted, measure, expected):
    assert verdict(planted, "X1", collapse=measure) == expected


def test_the_factor_of_the_fall_decides_what_it_should(planted):
    assert verdict(planted, "X1", fall="quartered") == "reproduced"  # it falls to a fifth
    assert verdict(planted, "X1", fall="halved since memorised") == "reproduced"


def test_a_lead_in_all_tasks_but_one_is_none(make_evidence):
    found = make_evidence(PLANTED, other={"digits": {"rnc1": falls_at(1.2)}})
    judged = JUDGES["X1"].judge(found)
    assert judged.verdict == "not reproduced"
    assert "digits" in judged.because


def test_a_lead_that_comes_in_every_run_is_not_specific(planted, unspecific):
    assert verdict(planted, "X2") == "reproduced"
    assert verdict(unspecific, "X2") == "not reproduced"


def test_flatness_comes_with_generalisation_or_not(planted):
    assert verdict(planted, "X3") == "reproduced"
    assert verdict(planted, "X3", flatness="relative_flatness_bound") == "not reproduced"


def test_one_measure_that_is_early_and_specific_is_enough(planted, unspecific):
    assert verdict(unspecific, "X4") == "reproduced"
    assert verdict(planted, "X4") == "not reproduced"


def test_without_a_run_that_generalises_nothing_is_decided(make_evidence):
    found = make_evidence(PLANTED, generalise=False)
    for claim in ("X1", "X2", "X3", "X4", "X5", "X6"):
        assert verdict(found, claim) == "inconclusive", claim


def test_two_seeds_decide_nothing(make_evidence):
    found = make_evidence(PLANTED, seeds=(0, 1))
    for claim in ("X1", "X5"):
        assert verdict(found, claim) == "inconclusive", claim


def clock(seed, time):
    """A measure that says exactly how long it still takes."""
    return np.full(len(STEPS), 5.0) if time is None else np.maximum(time - STEPS, 1.0) / 300 + 0.01


def noise(seed, time):
    return np.exp(np.random.default_rng(seed).normal(size=len(STEPS)))


def test_seeds_that_fit_never_judge():
    fitted, judged = halves(SEEDS)
    assert not set(fitted) & set(judged)
    assert set(fitted) | set(judged) == set(SEEDS)


def test_a_measure_that_knows_forecasts_and_ranks_better_than_the_steps_elapsed():
    rows = of_task(task_runs("addition", {"rnc1": clock, "nc1": noise}), "with decay")
    of_run = {(row["measure"], row["seed"]): row["error"] for row in rows if row["kind"] == "run"}
    error = {name: np.median([of_run[name, seed] for seed in SEEDS[4:]]) for name in ("rnc1", "nc1", ELAPSED)}
    assert error["rnc1"] < min(error["nc1"], error[ELAPSED])
    areas = {row["measure"]: row["auc"] for row in rows if row["kind"] == "task"}
    assert areas["rnc1"] > 0.99  # it knows; with times so alike the steps elapsed are not bad either
    assert areas["rnc1"] > areas[ELAPSED] > 0.5
    assert {seed for _, seed in of_run} == set(SEEDS[4:])


def test_where_nothing_can_be_fitted_the_table_says_why():
    rows = of_task(task_runs("addition", {}, generalise=False), "failure times")
    assert all("had the event" in row["why"] for row in rows)


def forecasting(errors):
    """Evidence whose table of forecasts holds these errors by measure (tasks, runs), the same in every setting."""
    import pandas as pd

    rows = [
        {"task": task, "setting": setting, "measure": name, "kind": "run", "seed": seed, "decay": 1.0, "error": value}
        for number, task in enumerate(TASKS)
        for setting in ("failure times", "hazards", "with decay")
        for name, of_runs in errors.items()
        for seed, value in enumerate(of_runs[number])
    ]
    table = pd.DataFrame(rows)
    return SimpleNamespace(choices=DEFAULTS, table=lambda name, compute, needs: table)


@pytest.mark.parametrize(("share", "expected"), [(0.5, "not reproduced"), (1.0, "reproduced"), (2.0, "reproduced")])
def test_no_measure_is_better_than_the_baselines_unless_one_is(share, expected):
    rng = np.random.default_rng(1)
    base = rng.lognormal(-1, 0.3, (len(TASKS), 4))
    errors = {rival.name: base * rng.lognormal(0, 0.05, base.shape) for rival in MEASURED} | {ELAPSED: base}
    errors["rnc1"] = base * share
    found = forecasting(errors)
    assert JUDGES["X5"].judge(found).verdict == expected


AGAINST = ("arm", "against")


def test_a_delay_against_the_control_is_found_and_no_delay_as_well(make_evidence):
    delayed = make_evidence(factors={"flatness": {AGAINST: 1.5}, "collapse": {AGAINST: 1.5}})
    assert verdict(delayed, "X8") == "reproduced"
    assert verdict(delayed, "X7") == "not reproduced"
    assert verdict(delayed, "X9") == "not reproduced"
    assert verdict(delayed, "X10") == "not reproduced"
    assert verdict(make_evidence(), "X7") == "reproduced"


def test_an_explanation_is_pushed_by_each_of_its_measures(make_evidence):
    delayed = make_evidence(factors={"cdnv": {AGAINST: 1.5}, "bound": {AGAINST: 1.5}})
    assert [verdict(delayed, "X7", collapse=name) for name in ("rnc1", "cdnv")] == ["reproduced", "not reproduced"]
    assert [verdict(delayed, "X8", flatness=name) for name in ("relative_flatness", "relative_flatness_bound")] == [
        "not reproduced",
        "reproduced",
    ]
    unpushed = JUDGES["X7"].judge(delayed.choosing(collapse="nc1"))
    assert (unpushed.verdict, unpushed.because) == ("inconclusive", "nc1 was not pushed")


def test_p_values_are_adjusted_for_the_explanations_not_for_their_measures_twice(make_evidence):
    table = pushes(make_evidence(factors={"norm": {AGAINST: 1.5}, "cdnv": {AGAINST: 1.5}}))
    found = table[(table["direction"] == "against") & (table["comparison"] == "arm − control")].set_index("push")
    least = 2 / 2**8
    assert found["p"]["norm"] == found["p"]["cdnv"] == pytest.approx(least)
    assert found["p_holm"]["norm"] == pytest.approx(4 * least)  # beside collapse by RNC1, which did nothing
    assert found["p_holm"]["cdnv"] == pytest.approx(4 * least)  # beside the norm, whose p is as small
    assert found["p_holm"]["collapse"] == found["p_holm"]["bound"] == 1.0


def test_a_push_that_only_does_what_its_control_does_is_no_evidence(make_evidence):
    both = make_evidence(factors={"flatness": {AGAINST: 1.5, ("control", "against"): 1.5}})
    assert verdict(both, "X8") == "not reproduced"
    assert verdict(both, "X8", control="baseline") == "reproduced"


def test_runs_that_never_generalise_under_a_push_count_as_the_budget(make_evidence):
    table = pushes(make_evidence(factors={"norm": {AGAINST: 10.0}}))
    row = row_of(table, push="norm", direction="against", comparison="arm − control")
    assert row["generalised"] == 0
    assert row["later"] == pytest.approx(BUDGET - np.mean(times_of_task(TASKS.index("parity"))))
    assert row["p"] == pytest.approx(2 / 2**8)
    assert row["p_holm"] == pytest.approx(4 * 2 / 2**8)


def test_a_push_is_told_from_what_else_it_moves(make_evidence):
    found = make_evidence()
    task, push = next(iter(PUSHED)), PUSHES[0]
    runs = found.runs[push_sweep_name(task, push)]
    column = BY_NAME[push.rival].column
    untreated = (runs.observations["matched"] == "None").values
    arm = np.isclose(runs.observations[push.field].values, push.against) & untreated
    runs.observations[column] = runs.observations[column] * xr.where(xr.DataArray(arm, dims="member"), 3.0, 1.0)
    table = moved(found)

    def factor_of(measure, direction):
        where = {"push": push.name, "direction": direction, "against": "control"}
        return row_of(table, measure=measure, **where)["factor"]

    assert factor_of(push.rival, "against") == pytest.approx(3.0)
    assert factor_of("loss", "against") == pytest.approx(1.0)
    assert factor_of(push.rival, "along") == pytest.approx(1.0)


def test_a_factor_is_taken_while_the_outcome_is_open():
    steps = np.arange(0, 100, 10)
    arm = {seed: (steps, np.where(steps <= 50, np.log(2.0), 9.0)) for seed in range(3)}
    other = {seed: (steps, np.zeros(len(steps))) for seed in range(3)}
    assert factor(arm, other, dict.fromkeys(range(3), 50.0))["factor"] == pytest.approx(2.0)
    assert "factor" not in factor({0: arm[0]}, other, {0: 50.0})
