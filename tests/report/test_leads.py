"""Lead times on the page and for papers: every arm with its counts, also where nothing was varied."""

from __future__ import annotations

import re

import numpy as np
import pytest

from afterfit.analysis.lead_times import lead_times
from afterfit.analysis.times import Times
from afterfit.report import write_figures, write_html
from afterfit.report.arm_drawings import leads
from afterfit.report.arm_leads import event_leads
from afterfit.report.curves import read
from afterfit.report.lead_figures import said_of
from afterfit.report.lead_tables import mean

from .reading import Page
from .synthetic import grokking, meta
from .test_arms import DECAY, made

NAMES = ("flattened", "generalised")
FEW = ["train/accuracy", "test/accuracy"]


def arm(decay, *pairs):
    return [({DECAY: decay}, seed, dict(zip(NAMES, pair, strict=True))) for seed, pair in enumerate(pairs)]


@pytest.fixture(scope="module")
def two_arms():
    """One arm of five runs, of every kind; one that never generalises, though all of it flattens."""
    mixed = arm(1.0, (50, 400), (70, 300), (None, 600), (30, None), (None, None))
    return made(mixed + arm(2.0, *[(9, None)] * 5), names=NAMES)


@pytest.mark.parametrize("seeds", [5, 9])
def test_where_nothing_was_varied_all_members_are_one_arm(seeds, tmp_path):
    observations, events = grokking(seeds=seeds, weight_decays=(1.0,), accidents=False)
    (found,) = event_leads(read(observations, events))
    censored = events["generalised_censored"].to_numpy()
    outcome = Times(events["generalised"].where(~censored, events["generalised_after"]).to_numpy(float), censored)
    event = Times(events["memorised"].to_numpy(float), np.zeros(seeds, bool))
    expected = lead_times(outcome, event)
    (only,) = found.arms
    np.testing.assert_array_equal(only.leads.leads, expected.leads)
    assert (only.n, only.outcomes, only.label) == (seeds, int(np.sum(~censored)), "all runs")
    assert only.group == (0 if seeds > 7 else None), "seeds with a colour each have none together"
    path = write_html(tmp_path, observations=observations[FEW], events=events, meta=meta())
    page = Page(path.read_text(encoding="utf-8"))
    assert page.rows("compared")[0][:3] == ["all runs", str(seeds), str(only.outcomes)]


def test_one_run_alone_has_no_leads():
    observations, events = grokking(seeds=1, weight_decays=(1.0,), accidents=False)
    assert list(event_leads(read(observations, events))) == []


def test_an_arm_without_the_outcome_keeps_its_row_and_draws_nothing_in_it(two_arms):
    (found,) = event_leads(two_arms)
    drawing = leads(found)
    assert dict(drawing.y.ticks) == {1.0: "1", 0.0: "2"}
    assert {mark.group for mark in drawing.marks if mark.kind != "rule"} == {found.arms[0].group}
    (seen,) = (mark for mark in drawing.marks if mark.kind == "seen")
    assert sorted(seen.x) == [230, 350], "a run without the event has no lead to be drawn"


def test_what_stands_beside_an_arm_counts_every_run(two_arms):
    (found,) = event_leads(two_arms)
    mixed, never = (said_of(found, each) for each in found.arms)
    assert mixed.splitlines() == [
        "median 230 [−∞, ∞], mean –",
        "5 runs, 2 censored (without generalised)",
        "led in 2 of 3, 1 without it; false alarms 1 of 2 [1 %, 99 %]",
    ]
    assert never.splitlines() == ["5 runs, 5 censored (without generalised)", "false alarms 5 of 5 [48 %, 100 %]"]


def test_the_mean_is_that_of_the_statistics_where_every_run_has_a_lead():
    run = made(arm(1.0, (50, 400), (70, 300), (40, 600)) + arm(2.0, (5, 10), (5, 20), (5, 40)), names=NAMES)
    (found,) = event_leads(run)
    assert [each.leads.mean.estimate for each in found.arms] == pytest.approx([380, 55 / 3])
    assert mean(found.arms[0]).startswith("380 [")


def test_the_figure_for_papers_states_the_counts_the_same_bytes_each_time(tmp_path):
    observations, events = grokking(seeds=4, weight_decays=(0.1, 1.0, 3.0))
    given = {"observations": observations[FEW[:1]], "events": events, "formats": ("svg",)}
    first, again = (write_figures(tmp_path / folder, **given) for folder in "ab")
    (path,) = (path for path in first if path.stem.startswith("leads_"))
    assert path.stem == "leads_memorised"
    assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    assert len(first) == len(again)
    text = " ".join(re.findall(r">([^<]+)</text>", path.read_text(encoding="utf-8")))
    assert "memorised: lead over generalised" in text
    (found,) = event_leads(read(observations, events))
    for each in found.arms:
        for line in said_of(found, each).splitlines():
            assert line in text


def test_where_no_run_had_both_there_is_no_figure(tmp_path):
    rows = arm(1.0, (9, None), (8, None)) + arm(2.0, (9, None), (7, None))
    (found,) = event_leads(made(rows, names=NAMES))
    assert leads(found) is None
    observations, events = grokking(seeds=3, weight_decays=(0.01, 0.02), accidents=False)
    written = write_figures(tmp_path, observations=observations[FEW[:1]], events=events, formats=("svg",))
    assert not [path for path in written if path.stem.startswith("leads_")]
