"""A study of a few seconds: what is run, judged, drawn, kept, and refused."""

import json
import re
from dataclasses import replace
from io import StringIO

import pandas as pd
import pytest
from rich.console import Console

import afterfit as af
from afterfit.analysis import share
from afterfit.lab.progress import PlainLines
from afterfit.models import MLP
from afterfit.parts import SpecError
from afterfit.report import study_table
from afterfit.spec import AdamW, CrossEntropy, Every, Experiment, Minibatch
from afterfit.studies import reproduce as machinery
from afterfit.studies import rules
from afterfit.studies.drawings import COLOURS, courses, panels
from afterfit.studies.study import Choice, Claim, Drawing, Finding, Measured, Study, Sweep
from afterfit.tasks import ModularArithmetic

TINY = Experiment(
    task=ModularArithmetic(p=7, train_fraction=0.6, sequence="pair"),
    model=MLP(widths=(16,)),
    loss=CrossEntropy(),
    optimizer=AdamW(learning_rate=0.01, weight_decay=0.5),
    minibatch=Minibatch(size=8),
    steps=200,
    schedule=Every(steps=50),
    measures=("loss", "accuracy", "rnc1", "rnc1[scale=max_norm]"),
    snapshots=(100,),
)


def sweeps(scale):
    plain = Sweep("plain", "three seeds", replace(TINY, steps=100 if scale == "smoke" else 200), (0, 1, 2))
    return (plain, Sweep("decays", "two decays", TINY, (0,), {"optimizer.weight_decay": (0.1, 0.5)}))


def spread(evidence):
    """Of the features of every member at its snapshot."""
    evidence.tell("looking")
    runs = evidence.runs["plain"]
    rows = [
        {"member": r.member, "spread": float(runs.view(r.member, "test", 100).features.std())} for r in runs.members
    ]
    return pd.DataFrame(rows)


def memorised(evidence):
    events = evidence.events("plain")
    count = int((~events["memorised_censored"]).sum())
    ruling = rules.all_runs("memorised", count, len(events))
    found = evidence.table("spread", spread, needs=("plain",))
    return Finding(
        *ruling,
        measured=(
            Measured.of("share that memorises", share(count, len(events)), "10/10"),
            Measured("smallest spread", found["spread"].min(), n=len(found)),
        ),
    )


def small(evidence):
    measure = "train/rnc1" if evidence.choices["scale"] == "mean" else "train/rnc1[scale=max_norm]"
    last = evidence.observations("decays")[measure].isel(step=-1)
    held = bool((last < 0.0 if evidence.choices["scale"] == "max" else last < 1e9).all())
    return Finding("reproduced" if held else "not reproduced", f"{measure} decides")


def accuracy(evidence):
    figure, axes = panels(1)
    courses(axes[0, 0], evidence.observations("plain"), "train/accuracy", colour=COLOURS[0], label="train")
    return figure


TINY_STUDY = Study(
    name="tiny",
    title="A <small> study",
    reference="Nobody 2026",
    about="Whether it runs.",
    sweeps=sweeps,
    claims=(
        Claim("T1", "all memorise", "10/10", "Fig 1", "as `all_runs`", ("plain",), memorised),
        Claim("T2", "it is small", "small", "Fig 2", "below", ("decays",), small, choices=("scale",)),
    ),
    drawings=(Drawing("accuracy", "Train accuracy.", ("plain",), accuracy),),
    choices=(Choice("scale", "which norm", "mean", ("max",)),),
)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(machinery, "study_named", lambda name: TINY_STUDY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("studies") / "tiny"


def test_a_study_runs_judges_draws_and_keeps_a_record(folder):
    done = af.reproduce("tiny", out=folder, workers=0)
    assert done.verdicts["T2"] == "reproduced"
    record = json.loads((folder / "record" / "record.json").read_text())
    assert record["claims"][0]["measured"][0]["published"] == "10/10"
    assert record["claims"][0]["measured"][0]["n"] == 3
    assert [sweep["members"] for sweep in record["sweeps"]] == [3, 2]
    assert record["wall_seconds"] >= 1
    assert {"environment", "versions", "code_version", "command"} <= record.keys()
    assert (folder / "record" / "figures" / "accuracy.svg").read_text().startswith("<?xml")
    kept = pd.read_csv(folder / "record" / "tables" / "spread.csv")
    assert kept["member"].tolist() == [0, 1, 2]
    assert done.table()["claim"].tolist() == ["T1", "T1"]


def test_a_choice_is_judged_under_its_other_values_too(folder):
    claims = json.loads((folder / "record" / "record.json").read_text())["claims"]
    under = claims[1]["under"]
    assert [(each["choice"], each["value"], each["verdict"]) for each in under] == [("scale", "max", "not reproduced")]
    assert claims[0]["under"] == []


def test_the_page_escapes_what_it_is_given_and_asks_the_network_for_nothing(folder):
    page = (folder / "study.html").read_text()
    assert "A &lt;small&gt; study" in page
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", page)
    for claim in ("T1", "T2"):
        assert f'id="{claim}"' in page


def test_the_terminal_says_of_every_claim_what_decided_it_and_by_which_rule(folder):
    record = json.loads((folder / "record" / "record.json").read_text(encoding="utf-8"))
    console = Console(width=100, record=True, file=StringIO())
    console.print(study_table(record))
    shown = " ".join(console.export_text().split())
    for claim in record["claims"]:
        said = f"{claim['id']} {claim['verdict']}: {claim['because']}."
        assert " ".join(said.split()) in shown
        assert f"Rule: {claim['rule'].rstrip('.')}." in shown


def test_a_second_call_computes_nothing_anew_and_gives_the_same(folder, monkeypatch):
    before = (folder / "record" / "figures" / "accuracy.svg").read_bytes()
    told = []

    class Told(machinery.Silent):
        def message(self, message):
            told.append(message.get("text", message["kind"]))

    done = af.reproduce("tiny", out=folder, workers=0, progress=Told())
    assert not any("looking" in text or "computing" in text or text == "rows" for text in told)
    assert done.verdicts["T2"] == "reproduced"
    assert (folder / "record" / "figures" / "accuracy.svg").read_bytes() == before


def test_plain_lines_say_which_sweep_comes_before_it_is_trained(tmp_path):
    told = StringIO()
    af.reproduce("tiny", scale="smoke", claims=["T1"], out=tmp_path / "told", workers=0, progress=PlainLines(told))
    assert told.getvalue().startswith("plain: three seeds\n")


def test_claims_that_are_asked_for_run_only_what_they_need(tmp_path):
    done = af.reproduce("tiny", claims=["T2"], out=tmp_path / "one", workers=0)
    assert list(done.runs) == ["decays"]
    assert list(done.verdicts) == ["T2"]
    assert done.record["figures"] == []
    assert done.record["command"] == "afterfit reproduce tiny --scale quick --claims T2"


@pytest.mark.parametrize(
    ("scale", "asked", "workers"), [("smoke", {}, 0), ("smoke", {"workers": 1}, 1), ("quick", {}, None)]
)
def test_the_smoke_scale_is_trained_here_unless_workers_are_asked_for(tmp_path, monkeypatch, scale, asked, workers):
    seen = []

    def stop(*args, workers, **how):
        seen.append(workers)
        raise SystemExit

    monkeypatch.setattr(machinery, "run", stop)
    with pytest.raises(SystemExit):
        af.reproduce("tiny", scale=scale, out=tmp_path / "t", **asked)
    assert seen == [workers]


def test_the_smoke_scale_gives_no_verdicts(tmp_path):
    done = af.reproduce("tiny", scale="smoke", out=tmp_path / "smoke", workers=0)
    assert set(done.verdicts.values()) == {None}
    assert all(claim["because"] for claim in done.record["claims"])


def test_wrong_requests_are_refused_before_work(tmp_path, folder):
    with pytest.raises(SpecError, match=r"^claims = 'T3'"):
        af.reproduce("tiny", claims=["T3"], out=tmp_path / "no")
    with pytest.raises(SpecError, match=r"^scale = 'huge': must be one of smoke, quick, full"):
        af.reproduce("tiny", scale="huge", out=tmp_path / "no")
    with pytest.raises(SpecError, match=r"^out = .*: holds tiny at scale quick"):
        af.reproduce("tiny", scale="smoke", out=folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("…")
    with pytest.raises(SpecError, match=r"^out = .*: is not empty"):
        af.reproduce("tiny", out=tmp_path / "other")
    assert not (tmp_path / "no").exists()


def test_numbers_that_json_does_not_have_become_words():
    found = machinery.plain({"a": float("inf"), "b": [float("nan"), 1.5], "c": None, "d": True})
    assert found == {"a": "inf", "b": ["nan", 1.5], "c": None, "d": True}
