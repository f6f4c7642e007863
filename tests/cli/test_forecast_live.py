"""A locked forecast follows a run while it trains."""

import json
import subprocess
from dataclasses import replace

import numpy as np
import pytest

import afterfit as af
from afterfit.analysis.forecast import Forecast, fit
from afterfit.parts import SpecError


@pytest.fixture(scope="module")
def locked(tiny_toml, tmp_path_factory):
    """A forecast of memorising, from twenty seeds."""
    folder = tmp_path_factory.mktemp("forecast")
    runs = af.run(tiny_toml, seeds=20, out=folder / "run", workers=0)
    fit(runs, event="memorised").lock(folder / "forecast.json")
    return folder / "forecast.json"


def run(command, tiny_toml, out, *options):
    asked = [*command, "run", tiny_toml, "--seeds", "30-31", "--out", out, "--workers", "1", *options]
    return subprocess.run(list(map(str, asked)), capture_output=True, text=True, timeout=300)


def test_json_lines_tell_what_the_forecast_says_of_the_whole_history(command, tiny_toml, tmp_path, locked):
    done = run(command, tiny_toml, tmp_path / "run", "--json-lines", "--forecast", locked)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    told = [line for line in told if line["kind"] == "forecast"]
    assert "the mean over 2 held-out seeds;" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    runs, forecast = af.open(tmp_path / "run"), Forecast.load(locked)
    events = runs.events()["memorised"].tolist()
    assert {line["member"] for line in told} == {0, 1}
    for line in told:
        assert line["step"] < events[line["member"]]
        history = runs.observations.isel(member=line["member"]).sel(step=slice(0, line["step"]))
        values = {str(name): array.values for name, array in history.data_vars.items()}
        wanted = forecast.predict({"step": history["step"].values, **values})
        np.testing.assert_allclose(line["median"], wanted.median, rtol=1e-6)
        np.testing.assert_allclose(line["low"], wanted.interval.low, rtol=1e-6)


def test_what_is_no_forecast_or_of_another_event_is_refused(command, tiny_toml, tmp_path, locked):
    written = json.loads(locked.read_text())
    (tmp_path / "changed.json").write_text(json.dumps(written).replace("0.8", "0.7"))
    for path in (tmp_path / "changed.json", tmp_path / "missing.json"):
        done = run(command, tiny_toml, tmp_path / "run", "--forecast", path)
        assert done.returncode == 2
        assert done.stderr.startswith("afterfit: --forecast = ")
        assert done.stderr.count("\n") == 1
    other = tmp_path / "other.toml"
    other.write_text(tiny_toml.read_text().replace('"weight_norm"', '"nc1"'))
    done = run(command, other, tmp_path / "run2", "--forecast", locked)
    assert done.returncode == 2
    assert "are not among the measures of this run" in done.stderr


def test_a_report_shows_a_forecast_when_asked_and_refuses_a_misfit_in_a_line(command, tiny_toml, tmp_path, locked):
    runs = af.run(tiny_toml, seeds=[40], out=tmp_path, workers=0)
    report = [*map(str, command), "report", str(tmp_path), "--figures", "--formats", "svg", "--forecast"]
    subprocess.run([*report, str(locked)], check=True, timeout=300, capture_output=True)
    assert "the mean over 1 held-out seed;" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "forecast_memorised.svg").exists()
    refused = subprocess.run([*report, "missing.json"], capture_output=True, text=True, timeout=300)
    assert refused.returncode == 2
    assert refused.stderr.startswith("afterfit: forecast = ")
    assert refused.stderr.count("\n") == 1
    with pytest.raises(SpecError, match=r"'collapsed'.*the table has"):
        runs.report(forecast=replace(Forecast.load(locked), event="collapsed"))
    runs.report()
    assert "held-out seed" not in (tmp_path / "report.html").read_text(encoding="utf-8")
