"""The fan of a forecast: drawn is what was predicted, judged are runs that it has not seen, and the rest is said."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from afterfit.analysis.evaluation_curves import Course
from afterfit.analysis.forecast import fit
from afterfit.analysis.forecast_models import Clock, median_of_training_runs
from afterfit.analysis.proportions import wilson
from afterfit.analysis.results import Interval
from afterfit.report import fans_of, write_figures, write_html
from afterfit.report.arm_payload import drawing_payload
from afterfit.report.curves import read
from afterfit.report.fan_drawings import fan_drawing, span_of
from afterfit.report.fan_figures import MOST, chosen
from afterfit.report.fan_tables import held, in_order
from afterfit.report.fans import CALIBRATED, FITTED, HELD_OUT, Fan, coverage

from .reading import Page
from .synthetic import grokking, meta

DECAY = "optimizer.weight_decay"
FEW = ["train/accuracy", "test/accuracy"]


@pytest.fixture(scope="module")
def two_arms():
    """Fourteen seeds of two weight decays, of which one is mostly too slow; one member diverged."""
    observations, events = grokking(seeds=14, weight_decays=(0.3, 3.0))
    return observations[FEW], events


@pytest.fixture(scope="module")
def forecast(two_arms):
    """Seeds 0 to 9: five to fit, five to calibrate."""
    return fit(*two_arms, model=Clock(("weight_decay",)), seeds=range(10))


@pytest.fixture(scope="module")
def fans(two_arms, forecast):
    return fans_of(forecast, *two_arms)


@pytest.fixture(scope="module")
def shown(two_arms, fans, tmp_path_factory):
    observations, events = two_arms
    path = write_html(tmp_path_factory.mktemp("fan"), observations=observations, events=events, meta=meta(), fans=fans)
    return Page(path.read_text(encoding="utf-8"))


def panels(page):
    figures = [figure for figure in page.all("figure") if (figure.get("id") or "").startswith("forecast-")]
    return [json.loads(page.within(figure, "script")[0]["text"])["choices"] for figure in figures]


def marks_of(drawing):
    return {mark.kind: mark for mark in drawing.marks}


def drawn(two_arms, fans, fan):
    return marks_of(fan_drawing(read(*two_arms), fans, fan, span_of(fans.members, fans.forecast.horizon)))


def test_every_member_says_what_its_seed_was_used_for(fans):
    assert len(fans.members) == 28
    expected = {seed: FITTED if seed % 2 == 0 else CALIBRATED for seed in range(10)}
    assert {fan.seed: fan.role for fan in fans.members} == expected | dict.fromkeys(range(10, 14), HELD_OUT)


def test_data_that_was_used_is_told_under_another_seed(two_arms, forecast):
    observations, events = two_arms
    renamed = observations.assign_coords(seed=("member", observations["seed"].values + 100))
    assert {fan.role for fan in fans_of(forecast, renamed, events).members if fan.seed < 110} == {FITTED, CALIBRATED}


def test_coverage_is_that_of_the_evaluation_where_every_seed_has_as_many_runs(two_arms, forecast, fans):
    expected = forecast.evaluate(*two_arms, seeds=range(10, 14)).coverage
    assert fans.coverage.estimate == pytest.approx(expected.estimate)
    assert fans.coverage.n == 4
    assert fans.coverage.interval == wilson(fans.coverage.estimate, 4)


def a_fan(fans, seed, *holds):
    """A run of which the interval held the step at these landmarks and not at others."""
    base, time = fans.members[0].course, 1000.0
    predictions = [
        replace(base.predictions[0], interval=Interval(900.0 if each else 1100.0, 2000.0, 0.8)) for each in holds
    ]
    return Fan(0, seed, HELD_OUT, Course(base.run, time, True, False, predictions))


def test_runs_of_one_seed_count_as_one(fans):
    found = coverage([a_fan(fans, 1, True, True), a_fan(fans, 1, False), a_fan(fans, 2, True)])
    assert (found.estimate, found.n) == (0.75, 2)
    assert tuple(found.interval) == tuple(wilson(0.75, 2))
    assert coverage([]) is None


def test_runs_that_were_used_are_not_judged(two_arms, forecast):
    observations, events = two_arms
    seen = observations.isel(member=observations["seed"].values < 10)
    fans = fans_of(forecast, seen, events)
    assert fans.coverage is None
    assert held(fans) == "No held-out run tells whether the intervals hold."


def test_an_event_or_a_field_that_is_not_there_is_refused_and_a_setting_stands_in_for_a_field(two_arms, forecast):
    observations, events = two_arms
    with pytest.raises(ValueError, match="'collapsed'"):
        fans_of(replace(forecast, event="collapsed"), observations, events)
    bare = observations.drop_vars(DECAY)
    with pytest.raises(ValueError, match="weight_decay"):
        fans_of(forecast, bare, events)
    settings = dict(zip(observations["member"].values.tolist(), observations[DECAY].values.tolist(), strict=True))
    given = fans_of(forecast, bare, events, {member: {DECAY: value} for member, value in settings.items()})
    wanted = fans_of(forecast, observations, events)
    assert [f.course.predictions[0].median for f in given.members] == [
        f.course.predictions[0].median for f in wanted.members
    ]


def test_the_band_is_the_interval_and_the_line_the_median_cut_at_the_edge(two_arms, fans):
    span = span_of(fans.members, fans.forecast.horizon)
    for fan in fans.members:
        marks, predictions = drawn(two_arms, fans, fan), fan.course.predictions
        half = len(predictions)
        np.testing.assert_array_equal(marks["median"].x, [each.step for each in predictions])
        clipped = [np.clip(each.median, span.low, span.high) for each in predictions]
        np.testing.assert_array_equal(marks["median"].y, clipped)
        high, low = marks["band"].y[:half], marks["band"].y[half:][::-1]
        np.testing.assert_array_equal(high, [min(each.interval.high, span.high) for each in predictions])
        np.testing.assert_array_equal(low, [np.clip(each.interval.low, span.low, span.high) for each in predictions])
        assert np.all(high[np.isinf([each.interval.high for each in predictions])] == span.high)


def test_the_true_step_is_a_line_and_a_run_without_it_an_arrow(two_arms, fans):
    _, events = two_arms
    for fan in fans.members:
        marks, step = drawn(two_arms, fans, fan), events.loc[fan.member, "generalised"]
        if events.loc[fan.member, "generalised_censored"]:
            assert {"truth", "came"}.isdisjoint(marks)
            assert marks["up"].y.tolist() == [fans.forecast.horizon]
        else:
            assert {"upto", "up"}.isdisjoint(marks)
            assert marks["truth"].y.tolist() == [step, step]
            assert (marks["came"].x.tolist(), marks["came"].y.tolist()) == ([step], [step])


def test_runs_that_were_used_are_grey_and_a_diverged_one_says_so(two_arms, fans):
    for fan in fans.members:
        marks = drawn(two_arms, fans, fan)
        assert (marks["band"].group is None) == (marks["median"].group is None) == (fan.seed < 10)
    assert [fan.seed for fan in fans.members if fan.diverged] == [13]
    (lost,) = (fan for fan in fans.members if fan.diverged)
    assert drawn(two_arms, fans, lost)["up"].text[0].startswith("seed 13, held out, diverged\n")


def test_one_landmark_is_drawn_as_a_sliver(two_arms, fans):
    fan = fans.members[-2]
    course = fan.course._replace(predictions=fan.course.predictions[:1])
    marks = drawn(two_arms, fans, replace(fan, course=course))
    assert len(marks["band"].x) == 4
    assert np.ptp(marks["band"].x) > 0
    assert len(marks["median"].text) == 2


def test_the_page_has_a_figure_an_arm_in_which_held_out_members_come_first(two_arms, fans, shown):
    found = panels(shown)
    assert len(found) == 2
    for choices in found:
        names = [choice["name"] for choice in choices]
        assert [re.sub(", diverged", "", name) for name in names[:4]] == [f"seed {s}, held out" for s in range(10, 14)]
        assert names[4:9] == [f"seed {seed}, used to calibrate" for seed in range(1, 10, 2)]
    offered = [option["text"] for option in shown.all("option")]
    assert [name for choices in found for name in (choice["name"] for choice in choices)] == offered[-28:]


def test_the_page_says_coverage_with_its_interval_and_what_is_not_counted(fans, shown):
    (section,) = [section for section in shown.all("section") if section.get("id") == "forecast"]
    low, high = fans.coverage.interval
    assert f"{100 * fans.coverage.estimate:.0f} % [{100 * low:.0f} %, {100 * high:.0f} %]" in section["text"]
    assert "the mean over 4 held-out seeds" in section["text"]
    assert "grey and not counted: 5 seeds to fit and 5 seeds to calibrate." in section["text"]


def test_what_is_drawn_is_finite_and_what_is_not_a_line_of_its_own_within_the_axes(two_arms, fans):
    run, span = read(*two_arms), span_of(fans.members, fans.forecast.horizon)
    for fan in fans.members:
        data = drawing_payload(fan_drawing(run, fans, fan, span))
        json.dumps(data, allow_nan=False)
        for axis in "xy":
            low, high = data[axis]["range"]
            assert all(low - 1 <= each <= high + 1 for mark in data["marks"] for each in mark[axis])


def test_without_a_forecast_there_is_no_section_and_a_forecast_of_nothing_says_so(two_arms, forecast, tmp_path):
    observations, events = two_arms
    given = {"observations": observations, "events": events, "meta": meta()}
    page = Page(write_html(tmp_path, **given).read_text(encoding="utf-8"))
    assert [section for section in page.all("section") if section.get("id") == "forecast"] == []
    nothing = replace(fans_of(forecast, observations, events), members=(), coverage=None)
    page = Page(write_html(tmp_path, **given, fans=nothing).read_text(encoding="utf-8"))
    (section,) = [section for section in page.all("section") if section.get("id") == "forecast"]
    assert "Nothing was predicted" in section["text"]
    assert not panels(page)


def test_names_from_outside_stay_text(two_arms, tmp_path):
    evil = "</script><b>&$x$"
    observations, events = two_arms
    observations = observations.rename({DECAY: evil})
    events = events.rename(columns={f"generalised{end}": f"{evil}{end}" for end in ("", "_after", "_censored")})
    forecast = fit(observations, events, event=evil, model=median_of_training_runs(), seeds=range(10))
    fans = fans_of(forecast, observations, events)
    given = {"observations": observations[FEW[:1]], "events": events, "fans": fans}
    page = Page(write_html(tmp_path, meta=meta(), **given).read_text(encoding="utf-8"))
    assert not page.all("b")
    assert all("<b>" not in json.dumps(choices) for choices in panels(page))
    written = write_figures(tmp_path, **given, formats=("svg",))
    (drawing,) = (path for path in written if path.name.startswith("forecast_"))
    assert "$x$" in drawing.read_text(encoding="utf-8")


def test_a_paper_shows_six_members_of_the_arms_in_turn_held_out_ones_first(two_arms, fans):
    found = chosen(read(*two_arms), fans)
    assert [fan.seed for fan in found] == [10, 10, 11, 11, 12, 12]
    assert len(found) == MOST
    used = replace(fans, members=tuple(fan for fan in fans.members if fan.seed in (3, 13, 4)))
    assert [fan.seed for fan in chosen(read(*two_arms), used)] == [13, 13, 3, 3, 4, 4]
    assert [fan.seed for fan in in_order(used.members)] == [13, 13, 3, 3, 4, 4]


def test_the_figure_for_papers_states_coverage_and_runs_the_same_bytes_each_time(two_arms, fans, tmp_path):
    observations, events = two_arms
    given = {"observations": observations[FEW[:1]], "events": events, "formats": ("svg",), "fans": fans}
    first, again = (write_figures(tmp_path / folder, **given) for folder in "ab")
    (path,) = (path for path in first if path.stem == "forecast_generalised")
    assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert len(first) == len(again)
    text = " ".join(re.findall(r">([^<]+)</text>", path.read_text(encoding="utf-8")))
    assert "weight decay 0.3, seed 10, held out" in text
    assert "the mean over 4 held-out seeds" in text
    assert "6 of 8 held-out runs are shown." in text
    assert "not shown and not counted: 5 seeds to fit and 5 seeds to calibrate." in text


def test_seeds_with_a_colour_each_are_one_arm(tmp_path):
    observations, events = grokking(seeds=6, weight_decays=(3.0,), accidents=False)
    forecast = fit(observations, events, model=median_of_training_runs(), seeds=range(4))
    fans = fans_of(forecast, observations, events)
    path = write_html(tmp_path, observations=observations[FEW], events=events, meta=meta(), fans=fans)
    (choices,) = panels(Page(path.read_text(encoding="utf-8")))
    groups = [next(mark["group"] for mark in choice["marks"] if mark["kind"] == "median") for choice in choices]
    assert groups == [4, 5, None, None, None, None]
