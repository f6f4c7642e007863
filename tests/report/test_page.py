"""What the HTML report promises: one file, no network, nothing lost, nothing injected."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from afterfit.report import write_html
from afterfit.report.payload import script_json

from .reading import Page, decoded
from .synthetic import grokking, meta

EVIL = "</script><script>alert(1)</script><!--<b>&'\""
LOADING = ("src", "href", "srcset", "data", "poster", "action", "background", "xlink:href", "manifest")


def page_of(observations, events, folder, **changes):
    return Page(write_html(folder, observations=observations, events=events, meta=meta(**changes)).read_text("utf-8"))


def test_nothing_is_loaded_from_anywhere(page):
    loads = [(e["tag"], name) for e in page.elements for name in LOADING if name in e]
    assert loads == []
    assert not page.all("link")
    assert not page.all("iframe")
    (style,) = page.all("style")
    assert "url(" not in style["text"]
    assert "@import" not in style["text"]


def test_the_policy_lets_exactly_the_two_scripts_of_the_page_run_and_nothing_load(page):
    (policy,) = [e["content"] for e in page.all("meta") if e.get("http-equiv") == "Content-Security-Policy"]
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    runnable = [e["text"] for e in page.all("script") if e.get("type") is None]
    assert {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in runnable} == allowed
    assert len(runnable) == 2
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


def test_every_element_is_closed_and_no_id_is_used_twice(page):
    assert page.open == []
    ids = [e["id"] for e in page.elements if "id" in e]
    assert len(ids) == len(set(ids))


def test_every_measure_has_a_panel_with_a_caption_and_drawable_data(run, page):
    observations, _ = run
    measures = {str(name).rpartition("/")[2] for name in observations.data_vars}
    figures = [f for f in page.all("figure") if f["data-kind"] == "curves"]
    assert len(figures) == len(measures)
    for figure in figures:
        (caption,) = page.within(figure, "figcaption")
        assert len(caption["text"].split()) > 8
        assert "vertical axis" in caption["text"]
        assert page.within(figure, "script"), "no data"


def test_every_member_is_a_row_of_the_table(run, page):
    observations, events = run
    rows = page.rows("sortable")
    assert len(rows) == observations.sizes["member"]
    for row, (member, event) in zip(rows, events.iterrows(), strict=True):
        assert row[0] == str(member)
        assert row[1] == str(event["seed"])
        assert row[3] == event["status"]
        for cell, name in ((row[5], "memorised"), (row[6], "generalised")):
            step = event[f"{name}_after"] if event[f"{name}_censored"] else event[name]
            assert cell.replace(",", "").split()[-1] == str(step)
            assert cell.startswith(">") == event[f"{name}_censored"]


def test_the_delay_is_what_lies_between_the_two_events(run, page):
    _, events = run
    for row, (_, event) in zip(page.rows("sortable"), events.iterrows(), strict=True):
        if not event["memorised_censored"] and not event["generalised_censored"]:
            assert int(row[7].replace(",", "")) == event["generalised"] - event["memorised"]


def test_marks_stand_at_the_steps_and_values_of_the_events(run, page):
    observations, events = run
    marks = page.figure("Accuracy")["marks"]
    names = page.shared()["events"]
    for name, split in (("memorised", "train"), ("generalised", "test")):
        found = [m for m in marks if names[m["event"]] == name]
        steps = {member: step for m in found for member, step in zip(m["members"], m["steps"], strict=True)}
        assert steps == {i: int(step) for i, step in enumerate(events[name]) if step is not pd.NA}
        for mark in found:
            for member, step, value in zip(mark["members"], mark["steps"], mark["values"], strict=True):
                curve = observations[f"{split}/accuracy"].isel(member=member).sel(step=step)
                assert value == pytest.approx(float(curve))


def test_the_curves_that_are_drawn_are_the_observations(run, page):
    observations, _ = run
    steps = decoded(page.shared()["steps"])
    seen = {}
    for curve in page.figure("NC1")["curves"]:
        ends = np.cumsum(curve["lengths"])[:-1]
        parts = zip(np.split(decoded(curve["at"]), ends), np.split(decoded(curve["values"]), ends), strict=True)
        seen |= {(curve["split"], m): part for m, part in zip(curve["members"], parts, strict=True)}
    assert len(seen) == 2 * observations.sizes["member"]
    for (split, member), (at, values) in seen.items():
        truth = observations[f"{split}/nc1"].isel(member=member).dropna("step")
        np.testing.assert_array_equal(steps[at], truth["step"])
        np.testing.assert_allclose(values, truth, rtol=1e-6)


def test_the_median_is_that_of_the_members_that_did_not_diverge(crowd, tmp_path):
    observations, events = crowd
    shown = page_of(observations, events, tmp_path)
    medians = [m for m in shown.figure("Accuracy")["medians"] if m["split"] == "test"]
    assert len(medians) == 3
    last = observations["test/accuracy"].to_numpy()[20:29]
    assert np.isnan(observations["test/accuracy"].to_numpy()[29]).any()
    np.testing.assert_allclose(decoded(medians[2]["values"]), np.median(last, axis=0), rtol=1e-6)


def test_names_from_outside_stay_text(tmp_path):
    observations, events = grokking(seeds=1)
    observations = observations.rename({"optimizer.weight_decay": EVIL}).assign(
        {f"train/{EVIL}": observations["weight_norm"]}
    )
    observations = observations.assign_coords({"status": ("member", [EVIL] * 3)})
    observations = observations.assign_coords({EVIL: ("member", [f"{EVIL}{i}" for i in range(3)])})
    events[f"{EVIL}_censored"], events[f"{EVIL}_after"], events[EVIL] = True, 7, pd.NA
    shown = page_of(
        observations,
        events,
        tmp_path,
        title=EVIL,
        command=EVIL,
        experiment={EVIL: {EVIL: EVIL}},
        versions={EVIL: EVIL},
        created=EVIL,
        code_version=EVIL,
    )
    assert len([e for e in shown.all("script") if e.get("type") is None]) == 2
    assert not shown.all("b")
    assert not any(name.startswith("on") for e in shown.elements for name in e)
    assert shown.all("h1")[0]["text"] == EVIL
    assert "alert(1)" in shown.rows("sortable")[0][2]


def test_what_plotly_is_given_to_show_has_no_markup_of_others(tmp_path):
    observations, events = grokking(seeds=1)
    observations = observations.assign_coords({"optimizer.weight_decay": ("member", [f"<b>{i}</b>" for i in range(3)])})
    shared = page_of(observations, events, tmp_path).shared()
    assert all("&lt;b&gt;" in name and "<b>" not in name for name in shared["members"])


def test_json_in_the_page_cannot_end_its_script():
    text = script_json({"a": EVIL, "b": "\u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": EVIL, "b": "\u2028"}


def test_the_command_versions_and_settings_are_there(page):
    assert page.all("pre")[0]["text"] == meta()["command"]
    (setup,) = page.all("section", id="setup")
    for text in ("ModularArithmetic", "0.9, 0.98", "0.1, 0.3, 1.0", "varied", "0.8.1", "0.1.0+g0c16ebb", "2-core AMD"):
        assert text in setup["text"]


def test_rules_and_parts_that_were_written_by_the_lab_read_as_sentences(run, tmp_path):
    rule = {"kind": "Threshold", "name": "memorised", "measure": "train/accuracy", "at_least": 0.99, "at_most": None}
    shown = page_of(*run, tmp_path, rules=[{**rule, "sustained": 3}], title=None, name="modular-addition")
    (setup,) = shown.all("section", id="setup")
    assert "train/accuracy ≥ 0.99, in 3 observations in a row" in setup["text"]
    assert "optimizer · AdamW" in [caption["text"] for caption in shown.within(setup, "caption")]
    assert shown.all("h1")[0]["text"] == "modular-addition"


def test_the_summary_says_the_numbers(page):
    lead = page.all("p", cls="lead")[0]["text"]
    assert "9 members: 3 values of weight decay × 3 seeds." in lead
    assert "8 of 9 memorised (median step 1,098, range 1,002 to 1,317)." in lead
    assert "2 of 9 generalised (median not reached, range 22,059 to 38,063)." in lead
    assert "1 diverged." in lead
    assert "7 had not generalised" in lead


def test_a_legend_has_one_entry_a_value_not_one_a_member(crowd, tmp_path):
    shown = page_of(*crowd, tmp_path)
    assert [b["text"].strip() for b in shown.all("button") if "data-entry" in b] == ["0.3", "1", "3"]


def test_the_same_run_gives_the_same_page(run, written, tmp_path):
    observations, events = run
    again = write_html(tmp_path / "again.html", observations=observations, events=events, meta=meta())
    assert again.name == "again.html"
    assert again.read_bytes() == written.read_bytes()


def empty_events(count):
    columns = {"memorised": pd.array([pd.NA] * count, dtype="Int64")}
    columns |= {"memorised_after": pd.array([pd.NA] * count, dtype="Int64"), "memorised_censored": [True] * count}
    return pd.DataFrame(columns, index=pd.RangeIndex(count, name="member"))


def begun(count, steps=()):
    """A run in which no member has been observed."""
    coords = {"member": np.arange(count), "step": np.array(steps, dtype=int)}
    coords |= {"seed": ("member", np.arange(count)), "status": ("member", np.array(["waiting"] * count, dtype=str))}
    return xr.Dataset(coords=coords)


def one_observation():
    observations, _ = grokking(seeds=1)
    return observations.isel(step=[0]), empty_events(3)


def nothing_seen_of_one_measure():
    observations, events = grokking(seeds=1)
    return observations.assign({"train/nc2": observations["train/nc2"] * np.nan}), events


def without_events():
    observations, events = grokking(seeds=1)
    return observations, events[[]]


def all_diverged():
    observations, events = grokking(seeds=1)
    wild = observations["train/loss"].where(observations["step"] < 100, 1e300)
    return observations.assign({"train/loss": wild}).assign_coords(status=("member", ["diverged"] * 3)), events


PARTIAL = {
    "no members": lambda: (begun(0), empty_events(0)),
    "nothing observed": lambda: (begun(3), empty_events(3)),
    "one observation": one_observation,
    "a measure all NaN": nothing_seen_of_one_measure,
    "no events declared": without_events,
    "all censored": lambda: grokking(weight_decays=(0.001,), accidents=False),
    "all diverged": all_diverged,
    "one member": lambda: grokking(seeds=1, weight_decays=(1.0,), accidents=False),
}


@pytest.mark.parametrize("case", PARTIAL)
def test_a_partial_run_gives_a_sensible_page(case, tmp_path):
    observations, events = PARTIAL[case]()
    shown = page_of(observations, events, tmp_path)
    count = observations.sizes["member"]
    assert len(shown.rows("sortable") if count else []) == count
    assert "nan" not in shown.all("main")[0]["text"].split("{")[0].lower().split()
    for script in shown.all("script", type="application/json"):
        json.loads(script["text"])


def test_a_run_that_has_just_begun_says_so(tmp_path):
    shown = page_of(begun(3), empty_events(3), tmp_path)
    assert "Nothing has been observed yet." in shown.all("p", cls="lead")[0]["text"]
    assert "No measure has been observed yet." in shown.all("section", id="curves")[0]["text"]


def test_a_measure_without_values_keeps_its_panel_and_says_that_it_is_empty(tmp_path):
    shown = page_of(*nothing_seen_of_one_measure(), tmp_path)
    assert shown.figure("NC2") is None
    assert len(shown.all("div", cls="empty")) == 1


def test_a_diverged_member_does_not_set_the_scale(run, tmp_path):
    observations, events = run
    loss = observations["train/loss"].copy()
    loss[-1, :20] = 1e30
    shown = page_of(observations.assign({"train/loss": loss}), events, tmp_path)
    assert shown.figure("Loss")["range"][1] < 1e3


def test_a_large_run_stays_under_fifteen_megabytes_beyond_plotly(tmp_path):
    from plotly.offline import get_plotlyjs

    steps = np.unique(np.linspace(0, 200_000, 1000).astype(int))
    observations, events = grokking(seeds=30, weight_decays=(0.03, 0.1, 0.3, 1.0, 3.0, 10.0), steps=steps)
    more = {f"train/measure_{i}": observations["train/nc1"] * (i + 1) for i in range(24 - len(observations.data_vars))}
    path = write_html(tmp_path, observations=observations.assign(more), events=events, meta=meta())
    assert len(observations.data_vars) + len(more) == 24
    assert path.stat().st_size - len(get_plotlyjs().encode()) < 15e6
