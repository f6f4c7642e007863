"""Help and version are there at once: neither JAX nor PyTorch lies on their way."""

import subprocess
import sys

import pytest

from afterfit import __version__


@pytest.mark.parametrize("asked", [["--help"], ["--version"], ["run", "--help"], ["run", "digits", "--help"]])
def test_no_framework_is_imported_for_it(asked):
    program = f"""
import sys
from afterfit.cli import main
try:
    main({asked})
except SystemExit as ended:
    assert not ended.code
print({{"jax", "torch", "pandas", "xarray", "matplotlib"}} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")


def test_the_version_is_the_packages(afterfit, capsys):
    from afterfit.cli import main

    main(["--version"])
    assert capsys.readouterr().out == f"afterfit {__version__}\n"


def test_the_help_of_a_preset_names_every_field_that_can_be_set(afterfit, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    code, text, _ = afterfit("run", "power-2022", "--help")
    assert code == 0
    for option in ("--task.train-fraction", "--model.heads", "--optimizer.weight-decay", "--minibatch.size",
                   "--schedule.steps", "--stop-when", "--vary FIELD V [V ...]", "--quiet", "--json-lines"):  # fmt: skip
        assert option in text
    assert "heads; they divide the width" in text
    assert "(default: 100000)" in text
