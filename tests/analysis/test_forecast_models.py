"""Models that find the law by which runs were made, and say what they cannot know."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afterfit.analysis._penalised import logistic, penalised
from afterfit.analysis.forecast import fit
from afterfit.analysis.forecast_inputs import Memory, fit_inputs, memories, remember
from afterfit.analysis.forecast_models import Clock, ConstantHazard, median_of_training_runs
from afterfit.analysis.forecast_power_law import PowerLaw
from afterfit.analysis.forecast_regressions import AcceleratedFailure, DiscreteHazard, weight_norm_only
from afterfit.analysis.forecast_runs import runs_of, times_of
from afterfit.analysis.survival import median_time

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.forecast_simulations import decay_runs, falling_entropy_runs, labelled, lognormal_runs

NOTHING = {"step": np.array([0])}
MODELS = {
    "median": median_of_training_runs(),
    "constant hazard": ConstantHazard(),
    "weight norm": weight_norm_only(),
    "power law": PowerLaw("clue"),
    "failure times": AcceleratedFailure(),
    "failure times, weibull": AcceleratedFailure(distribution="weibull"),
    "failure times from now": AcceleratedFailure(since="now"),
    "hazards": DiscreteHazard(),
}
over_models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


@pytest.fixture(scope="module")
def simulated():
    """Forty runs with log T = 9 + u/2 + ε/4, a clue that shows u, and a few that are censored."""
    return lognormal_runs(40, seed=1)


def fitted(data, model, horizon=20_000.0):
    return model.fit(runs_of(*data), horizon=horizon)


def test_the_median_baseline_is_the_kaplan_meier_median_with_censored_runs_counted(simulated):
    model = fitted(simulated, median_of_training_runs())
    times = times_of(runs_of(*simulated))
    middle = model.ahead(Memory(0), {}).quantile(np.log(0.5))
    assert times.events < len(times)
    assert middle == pytest.approx(median_time(times.time, times.censored).estimate)


def test_the_constant_hazard_is_events_by_steps_and_its_median_is_log_2_over_it(simulated):
    model, times = fitted(simulated, ConstantHazard()), times_of(runs_of(*simulated))
    assert model.rate == pytest.approx(times.events / times.time.sum())
    assert model.ahead(Memory(5_000), {}).quantile(np.log(0.5)) == pytest.approx(np.log(2) / model.rate)


@given(decay=st.floats(0.05, 5.0), factor=st.floats(1.1, 10.0))
@settings(max_examples=20)
def test_the_clock_runs_as_fast_as_weight_decay_says(decay, factor):
    model = fitted(decay_runs([0.3, 1.0, 3.0], 5, seed=1), Clock(("weight_decay",)))
    slow, fast = (model.ahead(Memory(0), {"optimizer.weight_decay": each}) for each in (decay, decay * factor))
    assert slow.quantile(np.log(0.5)) == pytest.approx(factor * fast.quantile(np.log(0.5)))


def test_the_clock_finds_the_constant_of_the_law_and_stands_still_without_decay():
    model = fitted(decay_runs([0.3, 1.0, 3.0], 40, seed=1, gap=20, spread=0.1), Clock(("weight_decay",)))
    assert np.exp(model.mu) == pytest.approx(3_000, rel=0.05)
    assert model.sigma == pytest.approx(0.1, rel=0.2)
    assert model.ahead(Memory(100), {"optimizer.weight_decay": 0.0}).quantile(-50.0) == np.inf


@pytest.mark.parametrize("law", [(1.2e5, 1.3, 0.0), (6e4, 1.0, 800.0), (3e5, 1.65, 0.0)])
def test_the_power_law_of_its_own_runs_is_found_exactly(law):
    data = falling_entropy_runs(12, seed=4, law=law)
    model = fitted(data, PowerLaw(threshold=0.6), 40_000.0)
    run = runs_of(*data)[0]
    for memory in list(memories(run, model.measures, 1))[:-8]:
        assert model.ahead(memory, {}).quantile(np.log(0.5)) == pytest.approx(run.time - memory.step, rel=0.01, abs=30)
    if law[2] == 0:
        assert (model.c1, model.gamma) == pytest.approx(law[:2], rel=0.01)


def test_the_threshold_is_the_mean_over_training_runs_at_the_event():
    data = falling_entropy_runs(12, seed=4, noise=0.01)
    runs = runs_of(*data)
    at = [run.values["train/spectral_entropy"][run.step == run.time][0] for run in runs]
    assert fitted(data, PowerLaw()).threshold == pytest.approx(np.mean(at), rel=1e-12)


def test_one_odd_run_moves_the_power_law_little():
    clean, odd = falling_entropy_runs(12, seed=4), falling_entropy_runs(12, seed=4)
    odd[0]["train/spectral_entropy"][3] += 0.1
    before, after = (fitted(data, PowerLaw(threshold=0.6)) for data in (clean, odd))
    memory = remember(Memory(), 1000, (0.7,), 1)
    a, b = (each.ahead(memory, {}).quantile(np.log(0.5)) for each in (before, after))
    assert a == pytest.approx(b, rel=0.05)


def test_a_measure_that_rises_towards_its_threshold_gives_the_same_forecast_mirrored():
    data = falling_entropy_runs(12, seed=4)
    mirrored = (data[0].assign({"train/spectral_entropy": 1 - data[0]["train/spectral_entropy"]}), data[1])
    a, b = fitted(data, PowerLaw()), fitted(mirrored, PowerLaw())
    one, other = (model.ahead(remember(Memory(), 0, (x,), 1), {}) for model, x in ((a, 0.7), (b, 0.3)))
    assert one.quantile(np.log(0.5)) == pytest.approx(other.quantile(np.log(0.5)), rel=1e-4)


def test_a_passed_threshold_is_said():
    forecast = fit(*falling_entropy_runs(20, seed=4), model=PowerLaw())
    found = forecast.predict({"step": [0, 200], "train/spectral_entropy": [0.7, 0.55]})
    assert found.median == pytest.approx(400)
    assert "passed its threshold" in (found.warning or "")


def test_failure_times_find_the_coefficient_and_the_spread_of_the_law():
    data = lognormal_runs(400, seed=5, budget=60_000, gap=2_000)
    model = fitted(data, AcceleratedFailure(("clue",), slopes=False, ridge=1e-6, landmarks=1))
    inputs = model.inputs
    assert model.beta[1] / inputs.scale[0] == pytest.approx(0.5, abs=0.05)
    assert model.sigma == pytest.approx(0.25, abs=0.03)
    assert model.beta[0] - model.beta[1] / inputs.scale[0] * inputs.centre[0] == pytest.approx(9, abs=0.05)


def test_left_truncation_does_not_bias_failure_times():
    """Runs that are late are seen at more landmarks; ignoring that would make all runs look late."""
    data = lognormal_runs(400, seed=6, budget=60_000, gap=1_000)
    model = fitted(data, AcceleratedFailure(("clue",), slopes=False, ridge=1e-6, landmarks=60))
    early = model.ahead(remember(Memory(), 0, (1.0,), 5), {})
    assert np.log(early.quantile(np.log(0.5))) == pytest.approx(9, abs=0.08)


def test_the_penalised_maximum_is_one():
    generator = np.random.default_rng(0)
    design = np.column_stack([np.ones(80), generator.standard_normal((80, 2))])
    y = design @ [1.0, 0.5, 0.0] + 0.3 * generator.standard_normal(80)
    now = np.where(np.arange(80) % 2 == 0, y - 0.5, -np.inf)
    high = np.where(np.arange(80) % 5 == 0, np.inf, y)
    beta, sigma = penalised(design, y, high, now, "lognormal", 0.7, 0.2)

    def value(beta, sigma):
        from scipy.stats import norm

        z, z_now = (y - design @ beta) / sigma, (now - design @ beta) / sigma
        terms = np.where(np.isinf(high), norm.logsf(z), norm.logpdf(z) - np.log(sigma)) - norm.logsf(z_now)
        return 0.7 * terms.sum() - 0.1 * np.sum((beta[1:] / sigma) ** 2)

    best = value(beta, sigma)
    for step in 1e-3 * generator.standard_normal((200, 4)):
        assert value(beta + step[:3], sigma + step[3]) <= best + 1e-12


def test_covariates_that_are_nearly_collinear_have_a_penalised_maximum_too():
    """As measures of one run are: least squares has coefficients of a million there, and no step leads back."""
    draw = np.random.default_rng(0)
    clue, noise = draw.normal(size=(60, 2)), 1e-7 * draw.normal(size=(60, 38))
    design = np.column_stack([np.ones(60), clue, clue @ draw.normal(size=(2, 38)) + noise])
    y = 8 + clue @ [0.5, -0.3] + 0.1 * draw.normal(size=60)
    beta, sigma = penalised(design, y - 0.05, y + 0.05, np.full(60, -np.inf), "lognormal", 1.0, 0.1)
    assert np.abs(beta[1:]).max() < 1
    assert np.std(y - design @ beta) < 0.15
    assert 0.03 < sigma < 0.3


def test_logistic_hazards_are_those_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(1)
    x = generator.standard_normal((300, 2))
    y = (generator.random(300) < 1 / (1 + np.exp(-(x @ [1.0, -1.0] - 0.5)))).astype(float)
    design = np.column_stack([np.ones(300), np.zeros((300, 2)), x])
    found = logistic(design, y, 1.0, 0.5)
    theirs = LogisticRegression(C=2.0, tol=1e-10).fit(x, y)
    assert found[3:] == pytest.approx(theirs.coef_[0], abs=2e-3)


def test_hazards_of_runs_without_any_clue_are_their_kaplan_meier_curve():
    data = lognormal_runs(300, seed=7)
    data = (data[0][["noise"]], data[1])
    model = fitted(data, DiscreteHazard(slopes=False, landmarks=1, ridge=10.0))
    ahead = model.ahead(remember(Memory(), 0, (1.0,), 5), {})
    times = times_of(runs_of(*data))
    for step in (4_000, 8_000, 12_000):
        assert np.exp(ahead.log_survival(step)) == pytest.approx(np.mean(times.time > step), abs=0.08)


def test_hazards_leave_a_probability_of_never():
    data = falling_entropy_runs(40, seed=2, never=0.4, noise=0.02)
    model = fitted((data[0][["train/loss"]], data[1]), DiscreteHazard(slopes=False, landmarks=1), 40_000.0)
    never = np.exp(model.ahead(remember(Memory(), 0, (1.0,), 5), {}).log_survival(40_000))
    assert never == pytest.approx(data[1]["generalised_censored"].mean(), abs=0.1)


@over_models
def test_every_model_says_later_for_a_run_that_is_later_to_see(simulated, model):
    """At the median over seeds none predicts a step that has passed, nor one that the clue contradicts."""
    forecast = fit(*simulated, model=model)
    steps = simulated[0]["step"].values[:10]
    found = []
    for clue in (0.3, 3.0):
        flat = {"clue": np.full(10, clue), "noise": np.ones(10), "weight_norm": np.full(10, 50.0)}
        found.append(forecast.predict({"step": steps, **flat}))
    assert all(each.median > steps[-1] and each.interval.low >= steps[-1] for each in found)
    if forecast.model.measures[:1] == ("clue",) and not isinstance(model, PowerLaw):
        assert found[0].median < found[1].median


@over_models
def test_following_a_run_gives_what_its_whole_history_gives_and_keeps_no_more_than_a_window(simulated, model):
    forecast = fit(*simulated, model=model)
    run = runs_of(*lognormal_runs(1, seed=99, first_seed=500))[0]
    online, sizes = forecast.begin(run.varied), set()
    for place, step in enumerate(run.step[:30].tolist()):
        found = online.update(step, {name: values[place] for name, values in run.values.items()})
        history = {name: values[: place + 1] for name, values in run.values.items()}
        assert found == forecast.predict({"step": run.step[: place + 1], **history}, run.varied)
        sizes.add(len(online.memory.recent))
    assert max(sizes) <= forecast.model.window
    again = forecast.begin(run.varied, memory=Memory(*online.memory))
    values = {name: each[30] for name, each in run.values.items()}
    assert again.update(int(run.step[30]), values) == online.update(int(run.step[30]), values)


VALUES = st.lists(st.sampled_from([0.5, 1.0, 2.0, 4.0, np.nan]), min_size=6, max_size=14)


@given(values=VALUES, gaps=st.lists(st.integers(1, 50), min_size=14, max_size=14))
@settings(max_examples=60)
def test_slopes_are_least_squares_over_the_window_and_levels_the_last_that_was_seen(values, gaps):
    steps = np.cumsum(gaps)[: len(values)]
    data = labelled({"x": np.array([[1.0, 2.0, 4.0]])}, np.array([0, 10, 20]), np.array([20.0]), budget=20)
    inputs = fit_inputs(runs_of(*data), None, (), window=4, slopes=True, landmarks=9).inputs
    memory = Memory()
    for step, value in zip(steps.tolist(), values, strict=True):
        memory = remember(memory, step, (value,), 4)
    level, slope, elapsed = inputs.raw(memory, {})
    seen = np.array([value for value in values if np.isfinite(value)])
    assert np.isnan(level) if not len(seen) else level == pytest.approx(np.log(seen[-1]))
    last = [(s, np.log(v)) for s, v in zip(steps[-4:], values[-4:], strict=True) if np.isfinite(v)]
    expected = np.polyfit(*zip(*last, strict=True), 1)[0] if len(last) > 1 else 0.0
    assert slope == pytest.approx(expected, abs=1e-9)
    assert elapsed == pytest.approx(np.log1p(steps[-1]))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Clock(("learning_rate",)), "field 'learning_rate'"),
        (PowerLaw("nothing"), "no threshold"),
        (AcceleratedFailure(("nothing",)), "measure 'nothing'"),
        (AcceleratedFailure(ridge=0.0), "ridge must be above 0"),
        (AcceleratedFailure(since="end"), "since must be"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(simulated, model, message):
    with pytest.raises(ValueError, match=message) as caught:
        fitted(simulated, model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [median_of_training_runs(), ConstantHazard(), AcceleratedFailure(), DiscreteHazard()])
def test_runs_of_which_none_had_the_event_determine_nothing(model):
    with pytest.raises(ValueError, match="had the event"):
        fitted(lognormal_runs(5, seed=1, budget=600), model)


def test_measures_outside_of_training_are_kept_within_and_said(simulated):
    forecast = fit(*simulated, model=AcceleratedFailure())
    flat = {"noise": np.ones(5), "weight_norm": np.full(5, 50.0)}
    steps = np.arange(5) * 200
    far, further = (forecast.predict({"step": steps, "clue": np.full(5, clue), **flat}) for clue in (1e4, 1e8))
    assert far.median == further.median
    assert "clue outside the range" in (further.warning or "")


def test_a_run_must_be_observed_in_order_and_with_what_the_forecast_looks_at(simulated):
    forecast = fit(*simulated, model=AcceleratedFailure(("clue",)))
    with pytest.raises(ValueError, match="not after step 200"):
        forecast.predict({"step": [200, 200], "clue": [1.0, 1.0]})
    with pytest.raises(ValueError, match="measure 'clue'"):
        forecast.predict({"step": [0], "loss": [1.0]})
    with pytest.raises(ValueError, match="none of clue"):
        forecast.begin().update(0, {"loss": 1.0})
    with pytest.raises(ValueError, match="nothing was observed"):
        forecast.predict({"step": [], "clue": []})
