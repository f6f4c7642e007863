"""`afterfit doctor` as a user types it."""

import pytest

import afterfit as af


@pytest.fixture(scope="module")
def folder(tiny_toml, tmp_path_factory):
    """A run to look over."""
    out = tmp_path_factory.mktemp("runs") / "small"
    af.run(tiny_toml, out=out, workers=0)
    return out


def test_a_preset_is_looked_over_and_passes(afterfit):
    code, output, errors = afterfit("doctor", "modular-addition", "--strict")
    assert (code, errors) == (0, "")
    assert "ok: decay clock: η λ × 10,000 steps = 10 (η = 0.001, λ = 1)" in output
    assert output.splitlines()[-1].endswith("checks passed.")
    assert "warning" not in output
    assert "\x1b" not in output


def test_fields_are_set_as_for_run_and_strictly_a_warning_is_a_failure(afterfit):
    asked = ("doctor", "modular-addition", "--steps", 500, "--vary", "optimizer.weight_decay", 0.1, 5.0)
    code, output, _ = afterfit(*asked)
    assert code == 0
    assert output.startswith("warning: decay clock (weight_decay 0.1): η λ × 500 steps = 0.05")
    assert "    change: train for 10,000 steps or more, or raise λ to 2" in output
    assert afterfit(*asked, "--strict")[0] == 1


def test_a_file_and_a_run_folder_are_looked_over(afterfit, tiny_toml, folder):
    code, output, _ = afterfit("doctor", tiny_toml)
    assert (code, "phase" in output) == (0, False)
    code, output, _ = afterfit("doctor", folder, "--strict")
    assert (code, "warning: phase: over while memorised" in output) == (1, True)


@pytest.mark.parametrize(("arguments", "message"), [
    ((), "PRESET = '': comes first: afterfit doctor PRESET [options], or afterfit doctor DIR"),
    (("digts",), "preset = 'digts': did you mean 'digits'?"),
    (("digits", "--out", "x"), "--out = 'x': no such option; did you mean '--steps'?"),
    (("digits", "--strict", "yes"), "--strict = 'yes': takes no value"),
    (("digits", "--stps", "3"), "--stps = '3': no such option; did you mean '--steps'?"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_line(afterfit, arguments, message):
    assert afterfit("doctor", *arguments) == (2, "", f"afterfit: {message}\n")


def test_help_tells_of_the_doctor_and_of_the_fields(afterfit):
    code, output, _ = afterfit("doctor", "digits", "--help")
    assert code == 0
    assert "nothing is trained" in " ".join(output.split())
    assert "--strict" in output
    assert "--optimizer.weight-decay" in output
    assert "--workers" not in output


def test_options_of_a_run_folder_and_folders_without_a_run_are_refused_in_a_line(afterfit, folder, tmp_path):
    code, _, errors = afterfit("doctor", folder, "--steps", 3)
    assert (code, errors) == (
        2, "afterfit: --steps = '3': a run folder is judged as it is: only --strict goes with it\n",
    )  # fmt: skip
    code, _, errors = afterfit("doctor", tmp_path)
    assert (code, errors.count("\n")) == (1, 1)
