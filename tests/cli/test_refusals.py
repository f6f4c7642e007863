"""What cannot be is refused on the command line in one line, before JAX is even imported, and leaves nothing behind."""

import os
import subprocess
import sys

import pytest

ADDITION = "modular-addition"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder to run in, and no data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFTERFIT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("AFTERFIT_DOWNLOAD", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


REFUSED = [
    (["run", "modulr-addition"], "preset = 'modulr-addition': did you mean 'modular-addition'?"),
    (["run"], "PRESET = '': comes first: afterfit run PRESET [options]"),
    (["run", "--seeds", "3", ADDITION], "PRESET = '--seeds': comes first: afterfit run PRESET [options]"),
    (["run", ADDITION, "digits"], "PRESET = 'digits': one preset at a time; options begin with --"),
    (["run", "nothing.toml"], "preset = 'nothing.toml': cannot be read: No such file or directory"),
    (["run", ADDITION, "--optimizer.wieght-decay", "1"],
     "--optimizer.wieght-decay = '1': no such option; did you mean '--optimizer.weight-decay'?"),
    (["run", ADDITION, "--zzz"], "--zzz = '': no such option; see afterfit run modular-addition --help"),
    (["run", ADDITION, "--task.p", "abc"], "--task.p = 'abc': must be a whole number"),
    (["run", ADDITION, "--task.p", "7", "11"], "--task.p = '7,11': must be a whole number"),
    (["run", ADDITION, "--task.p"], "--task.p = '': needs a value: a whole number"),
    (["run", ADDITION, "--model.causal"], "--model.causal = '': needs a value: true or false"),
    (["run", ADDITION, "--quiet", "3"], "--quiet = '3': takes no value"),
    (["run", ADDITION, "--out"], "--out = '': needs one value"),
    (["run", ADDITION, "--workers", "two"], "--workers = 'two': must be a whole number or none"),
    (["run", ADDITION, "--task.operation", "divide", "--task.p", "96"], "task.p = 96: must be prime to divide by"),
    (["run", ADDITION, "--task.train-fraction", "1"], "task.train_fraction = 1.0: must lie between 0 and 1, both"),
    (["run", ADDITION, "--task.train-fraction", "0.00001"], "task.train_fraction = 1e-05: leaves 0 of 9409 examples"),
    (["run", ADDITION, "--model.heads", "3"], "model.heads = 3: must divide width = 128: one of 1, 2, 4, 8"),
    (["run", ADDITION, "--minibatch.size", "5000"], "minibatch.size = 5000: must be at most the 3763 training"),
    (["run", ADDITION, "--optimizer.learning-rate=-1"], "optimizer.learning_rate = -1.0: must be a finite number"),
    (["run", ADDITION, "--optimizer.learning-rate", "nan"], "optimizer.learning_rate = nan: must be a finite number"),
    (["run", ADDITION, "--optimizer.weight-decay", "-0.1"], "optimizer.weight_decay = -0.1: must be a finite number"),
    (["run", ADDITION, "--vary"], "--vary = '': needs a field and its values, such as --vary optimizer.weight_decay"),
    (["run", ADDITION, "--vary", "optimizer.weight-decay"], "vary optimizer.weight_decay = []: needs one value"),
    (["run", ADDITION, "--vary", "optimizer.weigth_decay", "1"], "optimizer.weigth_decay = '1': no such field; did"),
    (["run", ADDITION, "--vary", "steps", "5", "--vary", "steps", "5"], "vary steps = ['5', '5']: has a value twice"),
    (["run", ADDITION, "--seeds", "0"], "seeds = '0': must be a count above 0, a range such as 42-46, or different"),
    (["run", ADDITION, "--steps", "0"], "steps = 0: must be 1 or more"),
    (["run", ADDITION, "--stop-when", "generalized"], "stop_when = 'generalized': did you mean 'generalised'?"),
    (["frob"], "Unrecognized options: frob"),
    (["show"], "Missing from afterfit show: DIR"),
    (["export", ".", "--to", "xls"], "invalid choice 'xls' for argument '--to'. Expected one of"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=lambda given: " ".join(given)[:60])
def test_it_is_refused_in_one_line(afterfit, tmp_path, arguments, message):
    code, output, errors = afterfit(*arguments)
    assert code == 2
    assert output == ""
    assert errors.startswith(f"afterfit: {message}")
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_refusal_does_not_wait_for_jax():
    program = """
import io, sys
from contextlib import redirect_stderr
from afterfit.cli import main
for arguments in eval(sys.argv[1]):
    try:
        with redirect_stderr(io.StringIO()):
            main(arguments)
    except SystemExit as ended:
        assert ended.code == 2
print({"jax", "torch", "equinox", "optax"} & set(sys.modules))
"""
    asked = repr([arguments for arguments, _ in REFUSED])
    done = subprocess.run([sys.executable, "-c", program, asked], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("options", [[], ["--batch-size", "2"]])
def test_missing_data_are_told_with_what_to_do(afterfit, tmp_path, options):
    code, _, errors = afterfit("run", "sakamoto-2025", *options)
    assert code == 1
    assert errors.startswith("afterfit: mnist: no file train-images-idx3-ubyte.gz in ")
    assert "run `afterfit download mnist`" in errors
    assert errors.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not what was published"])
def test_data_that_are_not_what_was_published_are_refused_by_their_checksum(afterfit, tmp_path, content):
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    path = tmp_path / "data" / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    (path.parent / "train-labels-idx1-ubyte.gz").write_bytes(content)
    code, _, errors = afterfit("run", "sakamoto-2025", "--batch-size", 2)
    assert code == 1
    assert errors.startswith(f"afterfit: {path}: SHA-256 is ")
    assert errors.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("out", ["/dev/null/run", "/proc/run", "{here}/file", "{here}/file/run"])
def test_a_folder_that_cannot_be_written_is_refused(afterfit, tiny_toml, tmp_path, out):
    (tmp_path / "file").touch()
    out = out.format(here=tmp_path)
    code, _, errors = afterfit("run", tiny_toml, "--out", out)
    assert code == 1
    assert errors.startswith("afterfit: ")
    assert "cannot be used" in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("what", ["show", "report", ("export", "--to", "csv")])
def test_a_folder_without_a_run_is_refused(afterfit, tmp_path, what):
    what, *options = [what] if isinstance(what, str) else what
    code, output, errors = afterfit(what, tmp_path, *options)
    assert (code, output) == (1, "")
    assert errors == f"afterfit: {tmp_path} holds no run: neither runs.sqlite nor run.json is there\n"


def test_a_reader_that_has_seen_enough_is_no_error_worth_words(tiny_toml, command):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*command, "list"], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode != 0
    assert done.stderr == ""
