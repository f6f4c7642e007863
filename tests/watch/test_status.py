"""What a watch says of a run: a paragraph with a number for each sentence, and a forecast only where it fits."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from afterfit.analysis.forecast import fit
from afterfit.analysis.forecast_models import Clock
from afterfit.analysis.forecast_regressions import AcceleratedFailure
from afterfit.analysis.phases import FEWEST, Phase, PhaseRules, trend_of
from afterfit.views import View
from afterfit.watch.following import NO_FORECAST, Following
from afterfit.watch.overhead import Overhead
from afterfit.watch.recorder import Recorder
from afterfit.watch.status import advice_of, status_of, trend_sentences
from afterfit.watch.watch import Watch, _rules

STEPS = np.arange(0, 3_001, 100)


def recorder(columns, n=20):
    """A watch's memory of a run, observed every 100 steps."""
    kept = Recorder(None, _rules(PhaseRules()), {}, 0, {})
    for i in range(n):
        kept.add(100 * i, {name: float(values[i]) for name, values in columns.items()})
    return kept


def waiting(n=20):
    at = np.arange(n)
    return {
        "train/accuracy": np.where(at < 4, 0.5, 1.0), "test/accuracy": np.full(n, 0.1), "train/loss": np.exp(-at / 4.0),
        "train/rnc1": 0.5 * np.exp(-at / 10), "train/nc2": 3 + at / 10, "weight_norm": 40.0 - at,
        "test/rnc1": np.full(n, 0.9),
    }  # fmt: skip


def said(columns, forecast=(None, NO_FORECAST), problems=()):
    return status_of(recorder(columns), PhaseRules(), forecast, Overhead(None, 256), problems)


def test_a_status_is_a_paragraph_in_which_every_sentence_has_its_number():
    status = said(waiting())
    lines = str(status).splitlines()
    assert lines[0] == (
        "Step 1,900, memorised: training accuracy 1.000 has reached 0.99, and test accuracy 0.100 rose by 0.000 over "
        "the last 10 observations, not more than 0.05."
    )
    assert lines[1] == "Events: memorised at step 400; not yet generalised."
    assert lines[2] == "Rising: NC2 4 → 4.9 (p = 6e-07)."
    assert lines[3].startswith("Falling: RNC1 0.1839 → 0.07478 (p = 6e-07) and weight norm 30 → 21 (p = 6e-07).")
    assert lines[4] == "Flat: test accuracy 0.1 → 0.1 (p = 1)."
    assert lines[5] == "Trends over the last 10 observations: rising or falling where Kendall's test has p < 0.05."
    assert lines[6].startswith("No forecast: none that was calibrated on runs of this kind was given; fit one")
    assert lines[7] == "Next: Keep training: RNC1 and weight norm are still falling."
    assert lines[8].startswith("Watching took 0 % of the time")
    assert len(lines) == 9
    assert status.trends["test/rnc1"].direction == "flat"  # every trend can be asked for


def test_before_anything_was_observed_it_says_so_and_what_failed():
    empty = Recorder(None, _rules(PhaseRules()), {}, 0, {})
    status = status_of(empty, PhaseRules(), (None, ""), Overhead(None, 256), ["the observation at step 0 failed"])
    assert str(status).splitlines()[0] == "Nothing was observed yet."
    assert "observation at step 0 failed" in str(status)
    assert status.phase.name == "unknown"


def test_few_observations_have_no_trends():
    few = status_of(recorder(waiting(), 3), PhaseRules(), (None, ""), Overhead(None, 256), ())
    assert f"Trends are told from {FEWEST} observations on." in str(few)


def trends(**directions):
    values = {"falling": np.linspace(1, 0.1, 10), "flat": np.ones(10), "rising": np.linspace(0.1, 1, 10)}
    at = np.arange(10)
    return {name.replace("__", "/"): trend_of(at, values[each]) for name, each in directions.items()}


@pytest.mark.parametrize(
    ("moving", "advice"),
    [
        ({"train__rnc1": "falling", "weight_norm": "flat"}, "Keep training: RNC1 is still falling."),
        ({"train__rnc1": "flat", "weight_norm": "rising"}, "RNC1 and weight norm do not fall: more weight decay"),
        ({"weight_norm": "flat"}, "Weight norm does not fall: more weight decay"),
        ({}, "Keep training: whether RNC1 or the weight norm falls is known from 5 observations on."),
    ],
)
def test_advice_for_a_run_that_waits_rests_on_what_still_falls(moving, advice):
    assert advice_of(Phase("memorised", ""), trends(**moving)).startswith(advice)


def test_what_moves_alike_is_listed_in_one_sentence():
    told = trend_sentences(trends(a="rising", b="rising", c="rising", d="flat"))
    assert told[0].startswith("Rising: a 0.1 → 1 (p = 6e-07), b 0.1 → 1 (p = 6e-07) and c 0.1 → 1 (p = 6e-07).")
    assert told[1] == "Flat: d 1 → 1 (p = 1)."


# Forecasts


def table(n=40):
    """Runs whose entropy falls to .4 at the step at which they generalise."""
    draw = np.random.default_rng(0)
    times = draw.uniform(1_000, 2_800, n)
    entropy = 0.8 - 0.4 * STEPS / times[:, None] + 0.005 * draw.normal(size=(n, len(STEPS)))
    observations = xr.Dataset(
        {"train/spectral_entropy": (("member", "step"), entropy)},
        coords={
            "member": np.arange(n), "step": STEPS, "seed": ("member", np.arange(n)),
            "status": ("member", ["finished"] * n), "optimizer.weight_decay": ("member", draw.choice([0.5, 1.0], n)),
        },
    )  # fmt: skip
    seen = np.ceil(times / 100) * 100
    events = pd.DataFrame(
        {"generalised": seen, "generalised_censored": [False] * n, "generalised_after": seen - 100},
        index=pd.Index(np.arange(n), name="member"),
    )
    return observations, events


@pytest.fixture(scope="module")
def entropy_forecast():
    """It looks at one measure and one field."""
    model = AcceleratedFailure(over=("train/spectral_entropy",), fields=("weight_decay",))
    return fit(*table(), model=model)


EVENTS = ("memorised", "generalised")
VARIED = {"weight_decay": 1.0}


def shown(forecast, values, *, varied=VARIED, events=EVENTS, measure="train/spectral_entropy"):
    following = Following(forecast, varied, events)
    for i, value in enumerate(values):
        following.update(100 * i, {measure: value})
    return following


ENTROPY = 0.8 - 0.4 * np.arange(8) / 20


def test_a_forecast_that_fits_is_that_of_the_whole_history(entropy_forecast):
    prediction, why = shown(entropy_forecast, ENTROPY).answer(None)
    history = {"step": np.arange(8) * 100, "train/spectral_entropy": ENTROPY}
    wanted = entropy_forecast.predict(history, VARIED)
    assert (prediction.median, prediction.interval, why) == (wanted.median, wanted.interval, "")
    status = said(waiting(), forecast=(prediction, why))
    assert f"Forecast: step {prediction.median:,.0f}"[:16] in str(status)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"varied": {}}, "it needs to know weight_decay: give varied={'weight_decay': …}"),
        ({"varied": {"weight_decay": "much"}}, "it needs to know weight_decay: give varied="),
        ({"events": ("memorised",)}, "it is about 'generalised', and this run declares memorised"),
        ({"events": ()}, "it is about 'generalised', and this run declares no event"),
        ({"measure": "train/rnc1"}, "it looks at train/spectral_entropy, which is not observed here: name it in"),
        ({"varied": {"weight_decay": 30.0}}, "weight_decay is far from what the training runs had"),
    ],
)
def test_a_forecast_that_does_not_fit_is_not_shown_and_says_why(entropy_forecast, options, reason):
    prediction, why = shown(entropy_forecast, ENTROPY, **options).answer(None)
    assert prediction is None
    assert why.startswith(reason)
    assert f"No forecast: {reason}" in str(said(waiting(), forecast=(prediction, why)))


def test_values_beyond_those_of_the_training_runs_are_no_ground_for_a_forecast(entropy_forecast):
    assert shown(entropy_forecast, ENTROPY).answer(None)[0] is not None
    prediction, why = shown(entropy_forecast, [*ENTROPY, 3.0]).answer(None)
    assert prediction is None
    assert why.startswith("train/spectral_entropy is far from what the training runs had: it was calibrated on runs of")


def test_what_is_a_little_beyond_the_training_runs_is_forecast_with_a_warning(entropy_forecast):
    inputs = entropy_forecast.model.inputs
    ends = inputs.low[0] - np.array([0.9, 1.1]) * inputs.scale[0]  # in logarithms, if it is one that is taken so
    near, far = np.exp(ends) if inputs.logs[0] else ends
    prediction, _ = shown(entropy_forecast, [*ENTROPY, near]).answer(None)
    assert "outside the range of the training runs" in prediction.warning
    assert shown(entropy_forecast, [*ENTROPY, far]).answer(None)[0] is None


def test_what_has_come_is_not_forecast(entropy_forecast):
    assert shown(entropy_forecast, ENTROPY).answer(700) == (
        None, "'generalised', which it is about, came at step 700",
    )  # fmt: skip


def test_without_observations_or_a_forecast_there_is_none(entropy_forecast):
    assert Following(None, {}, EVENTS).answer(None) == (None, NO_FORECAST)
    assert shown(entropy_forecast, []).answer(None)[0] is None


def test_a_forecast_that_looks_at_no_measure_follows_the_clock():
    clock = fit(*table(), model=Clock(("weight_decay",)))
    prediction, why = shown(clock, ENTROPY, measure="anything").answer(None)
    assert (prediction.step, why) == (700, "")


def test_a_watch_whose_forecast_does_not_fit_observes_as_ever(entropy_forecast, tmp_path):
    import afterfit as af
    from afterfit.views import View

    entropy_forecast.lock(tmp_path / "forecast.json")
    draw, labels = np.random.default_rng(0), np.arange(30) % 3
    features = draw.normal(size=(30, 3))
    view = View(
        inputs=None, labels=labels, features=features, logits=features, head_weight=np.eye(3), head_bias=None,
        num_classes=3,
    )  # fmt: skip
    watch = af.Watch(measures=["accuracy"], forecast=tmp_path / "forecast.json", varied=VARIED, strict=True)
    assert watch.observe(0, train=view, test=view)
    assert "No forecast: it looks at train/spectral_entropy, which is not observed here" in str(watch.status())


def test_a_forecast_goes_back_with_the_loop(entropy_forecast):
    rows = [(int(step), float(value)) for step, value in zip(STEPS, ENTROPY, strict=False)]

    features, weight = np.random.default_rng(0).normal(size=(30, 5)), np.eye(3, 5)
    view = View(
        inputs=None, labels=np.arange(30) % 3, features=features, logits=features @ weight.T, head_weight=weight,
        head_bias=None, num_classes=3,
    )  # fmt: skip

    def answer(observed):
        watch = Watch(measures=["rnc1"], forecast=entropy_forecast, strict=True, varied=VARIED)
        for step, value in observed:
            watch.observe(step, train=view, **{"train/spectral_entropy": value})
        return watch._following.answer(None)

    assert answer([*rows, *rows[-3:]]) == answer(rows)
    assert answer(rows)[0] is not None
