"""The commands on a small run: what they print, and what they leave."""

import json
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
import xarray as xr


@pytest.fixture(scope="module")
def folder(tiny_toml, tmp_path_factory) -> Path:
    """The folder of a small run."""
    import afterfit as af

    out = tmp_path_factory.mktemp("runs") / "small"
    af.run(tiny_toml, out=out, workers=0, vary={"optimizer.weight_decay": [0.5, 1.0]})
    return out


def test_plain_lines_say_what_is_trained_what_happens_and_where_the_report_is(afterfit, tiny_toml, tmp_path):
    code, output, errors = afterfit("run", tiny_toml, "--out", tmp_path / "run", "--workers", 0)
    assert (code, errors) == (0, "")
    lines = output.splitlines()
    assert lines[0] == f"training 2 members in 1 batch; results go to {tmp_path / 'run'}"
    assert re.fullmatch(r"seed [01] memorised at step \d+", lines[1])
    assert "seed 1 finished at step 400" in lines
    assert any(line.split()[:3] == ["1", "finished", "400"] for line in lines)
    assert lines[-1] == f"report: {tmp_path / 'run' / 'report.html'}"
    assert "\x1b" not in output
    code, output, _ = afterfit("run", tiny_toml, "--out", tmp_path / "run", "--workers", 0)
    assert output.splitlines()[0] == f"2 members trained before, nothing left to train in {tmp_path / 'run'}"
    code, output, _ = afterfit("run", tiny_toml, "--out", tmp_path / "run", "--workers", 0, "--seeds", 3)
    assert output.splitlines()[0].startswith("training 1 member in 1 batch; 2 members trained before; results go to ")


def test_quietly_it_says_only_where_the_report_is(afterfit, tiny_toml, tmp_path):
    code, output, errors = afterfit("run", tiny_toml, "--out", tmp_path / "run", "--workers", 0, "--quiet")
    assert (code, output, errors) == (0, f"report: {tmp_path / 'run' / 'report.html'}\n", "")
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_json_lines_say_everything_and_every_line_parses(afterfit, tiny_toml, tmp_path):
    wild = ("--vary", "optimizer.learning-rate", "0.01", "1e30")
    code, output, errors = afterfit(
        "run", tiny_toml, "--out", tmp_path / "run", "--workers", 0, "--seeds", 1, *wild, "--json-lines"
    )
    assert (code, errors) == (0, "")

    def no_such_number(name):
        raise AssertionError(name)

    told = [json.loads(line, parse_constant=no_such_number) for line in output.splitlines()]
    of_kind = {kind: [line for line in told if line["kind"] == kind] for kind in {line["kind"] for line in told}}
    assert [line["varied"] for line in of_kind["member"]] == [
        {"optimizer.learning_rate": 0.01}, {"optimizer.learning_rate": 1e30}
    ]  # fmt: skip
    assert [(line["member"], line["status"]) for line in of_kind["status"]] == [(1, "diverged"), (0, "finished")]
    assert {line["step"] for line in of_kind["observation"] if line["member"] == 0} == set(range(0, 401, 50))
    last = [line for line in of_kind["observation"] if line["member"] == 1][-1]
    assert last["values"]["weight_norm"] is None
    assert of_kind["report"] == [{"kind": "report", "path": str(tmp_path / "run" / "report.html")}]


def test_options_set_fields_and_values_of_one_field_may_be_given_twice(afterfit, tiny_toml, tmp_path):
    options = ("--seeds", "7,9", "--steps", 50, "--model.widths", 8, 4, "--model.bias", "false", "--minibatch.size",
               "none", "--optimizer.weight_decay=0.25", "--vary", "patience", 1, "--vary", "patience", 2)  # fmt: skip
    code, *_ = afterfit("run", tiny_toml, "--out", tmp_path / "run", "--workers", 0, "--batch-size", 4, *options)
    import afterfit as af

    runs = af.open(tmp_path / "run")
    assert code == 0
    assert runs.experiment.model.widths == (8, 4)
    assert not runs.experiment.model.bias
    assert runs.experiment.minibatch.size is None
    assert runs.experiment.optimizer.weight_decay == 0.25
    assert runs.observations["seed"].values.tolist() == [7, 9, 7, 9]
    assert runs.observations["patience"].values.tolist() == [1, 1, 2, 2]


def test_whole_parts_can_be_put_in_and_their_fields_set(afterfit, tiny_toml, tmp_path):
    import afterfit as af
    from afterfit.interventions import Grokfast, Mixing
    from afterfit.spec import SGD, StableMaxCrossEntropy

    code, _, errors = afterfit(
        "run", tiny_toml, "--out", tmp_path / "run", "--steps", 50, "--seeds", 1, "--quiet",
        "--optimizer", "SGD", "--optimizer.momentum", 0.5, "--loss", "StableMaxCrossEntropy",
        "--interventions", "Mixing,Grokfast", "--interventions.1.decay", 0.9,
    )  # fmt: skip
    assert code == 0, errors
    made = af.open(tmp_path / "run").experiment
    assert made.optimizer == SGD(momentum=0.5)
    assert made.loss == StableMaxCrossEntropy()
    assert made.interventions == (Mixing(), Grokfast(decay=0.9))


def test_show_prints_a_row_a_member(afterfit, folder):
    code, output, errors = afterfit("show", folder)
    assert (code, errors) == (0, "")
    assert sum("finished" in line for line in output.splitlines()) == 4


def test_report_writes_the_page_and_the_figures_where_it_is_told(afterfit, folder, tmp_path):
    code, output, _ = afterfit("report", folder, "--out", tmp_path / "page.html", "--figures", "--formats", "svg")
    assert code == 0
    first, *figures = output.splitlines()
    assert first == f"report: {tmp_path / 'page.html'}"
    assert "<html" in (tmp_path / "page.html").read_text()[:500]
    assert figures
    assert all(Path(line.removeprefix("figure: ")).suffix == ".svg" for line in figures)


@pytest.mark.parametrize(
    ("to", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet), ("netcdf", xr.load_dataset)]
)
def test_export_writes_what_other_programs_read(afterfit, folder, tmp_path, to, read):
    code, output, _ = afterfit("export", folder, "--to", to, "--out", tmp_path / "observations")
    assert (code, output) == (0, f"wrote {tmp_path / 'observations'}\n")
    found = read(tmp_path / "observations")
    assert len(found) == 36 or dict(found.sizes) == {"member": 4, "step": 9}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["han-2024"], "afterfit: study = 'han-2024': did you mean 'han-2025'?"),
        (["han-2025", "--claims", "B1,B9"], "afterfit: claims = 'B9': did you mean 'B8'?"),
    ],
)
def test_a_study_or_claim_that_there_is_not_is_refused_in_one_line(afterfit, tmp_path, words, message):
    code, output, errors = afterfit("reproduce", *words, "--out", tmp_path / "no")
    assert (code, output, errors.strip()) == (2, "", message)
    assert not (tmp_path / "no").exists()


def test_list_names_what_there_is(afterfit):
    code, output, _ = afterfit("list")
    assert code == 0
    for name in ("modular-addition", "digits", "ModularArithmetic", "Transformer", "rnc1", "spectral_entropy"):
        assert name in output
    assert "ModularArithmetic" not in afterfit("list", "presets")[1]


def test_a_terminal_shows_a_live_table(command, tiny_toml, tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*command, "run", tiny_toml, "--out", tmp_path / "run", "--workers", "0", "--steps", "60000"],
        stdout=theirs, stderr=theirs, stdin=theirs, env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    shown = read_until_over(ours)
    assert process.wait(timeout=10) == 0
    os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert f"training 2 members in 1 batch; results go to {tmp_path / 'run'}" in " ".join(plain.split())
    assert re.search(r"seed +step +train acc +test acc +memorised +generalised", plain)
    assert re.search(r"\b0 +[\d,]+ +1\.000 +0\.\d{3} +✓ \d+", plain)
    assert re.search(r"batch 0 .*[\d,]+ of 60,000 +[\d,]+ steps/s × 2 +at most .* left", plain)
    assert re.search(r"\d s: 0/2 members done, at most \d+ s left, step [\d,]+ of 60,000, [\d,]+ member-steps/s", plain)
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back
    assert plain.rstrip().endswith("report.html")


def read_until_over(descriptor: int, within: float = 60.0) -> str:
    """All that a pseudo-terminal shows until the other side is closed."""
    content, until = b"", time.monotonic() + within
    while time.monotonic() < until:
        if select.select([descriptor], [], [], 0.5)[0]:
            try:
                content += os.read(descriptor, 65_536)
            except OSError:
                return content.decode()
    raise AssertionError(content.decode())


OWN_MODEL = """
import equinox as eqx
import jax

from afterfit.parts import part


class Net(eqx.Module):
    first: eqx.nn.Linear
    head: eqx.nn.Linear
    name: str = eqx.field(static=True)

    def features(self, inputs):
        return jax.vmap(lambda x: jax.nn.tanh(self.first(jax.nn.one_hot(x, 7).ravel())))(inputs)


@part
class Own:
    '''A network of the user's own.'''

    width: int = 8
    scale: float = 1.0

    def build(self, key, inputs, num_classes, vocabulary):
        first, head = jax.random.split(key)
        first = eqx.nn.Linear(inputs.shape[1] * vocabulary, self.width, key=first)
        first = jax.tree.map(lambda x: self.scale * x, first)
        return Net(first, eqx.nn.Linear(self.width, num_classes, key=head), "own")
"""


@pytest.fixture
def own_model(tmp_path, monkeypatch) -> type:
    """A model from a module that lies where this program, but no other, looks for modules."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "own_network.py").write_text(OWN_MODEL)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    import own_network

    return own_network.Own


@pytest.mark.parametrize("workers", [0, 1])
def test_a_model_of_the_users_own_is_trained_like_any_other(tiny_toml, tmp_path, own_model, workers):
    import afterfit as af

    runs = af.run(
        tiny_toml, out=tmp_path / "run", workers=workers, changes={"model": own_model(width=12)},
        vary={"model.scale": [1.0, 3.0]},
    )  # fmt: skip
    assert runs.observations["model.scale"].values.tolist() == [1.0, 1.0, 3.0, 3.0]
    assert (runs.observations["train/loss"][:, -1] < runs.observations["train/loss"][:, 0]).all()
    assert set(runs.parameters(0)) == {"first.weight", "first.bias", "head.weight", "head.bias"}
    assert runs.experiment.model == own_model(width=12)
    assert runs.network(0).head.weight.shape == (7, 12)


def test_a_model_that_no_worker_could_import_is_refused(tiny_toml, tmp_path):
    import afterfit as af
    from afterfit.parts import SpecError, part

    @part
    class Local:
        width: int = 3

        def build(self, key, inputs, num_classes, vocabulary): ...

    with pytest.raises(SpecError, match=r"<locals>.Local': cannot be imported by a worker process"):
        af.run(tiny_toml, out=tmp_path / "run", workers=1, changes={"model": Local()})
    assert not (tmp_path / "run").exists()
