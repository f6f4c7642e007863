"""What `afterfit show` prints: whole words in 80 columns, one row an arm when there are many members."""

from __future__ import annotations

import pytest
from rich.console import Console

from afterfit.report import members_table, summary_lines

from .synthetic import grokking, meta


def printed(table, width=80):
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def test_every_member_is_a_row_within_eighty_columns_and_nothing_is_cut(run):
    observations, events = run
    lines = printed(members_table(observations, events, meta()))
    assert all(len(line) <= 80 for line in lines)
    assert not any("…" in line for line in lines)
    rows = [line.split() for line in lines if "finished" in line or "diverged" in line]
    assert len(rows) == observations.sizes["member"]
    assert rows[6] == ["0", "1", "finished", "50,000", "1.000", "0.999", "1,002", "22,059", "21,057"]


def test_many_members_are_one_row_an_arm(crowd):
    observations, events = crowd
    lines = printed(members_table(observations, events, meta()))
    assert all(len(line) <= 80 for line in lines)
    rows = [line.split() for line in lines if " of 10" in line]
    assert [row[0] for row in rows] == ["0.3", "1", "3"]
    assert rows[0][1:4] == ["10", "of", "10"]
    assert "8 of 10 28,977 (22,059–38,063)" in " ".join(rows[1])


def test_an_accuracy_below_one_never_reads_as_one():
    observations, events = grokking(seeds=1, weight_decays=(1.0,), accidents=False)
    observations["test/accuracy"][:, -1] = 0.99996
    assert "0.999" in printed(members_table(observations, events, meta()))[-2]


def test_names_with_brackets_are_not_taken_for_styles(run):
    observations, events = run
    lines = printed(members_table(observations, events, meta(title="[bold]a[/bold] [b]")))
    assert "[bold]a[/bold] [b]" in lines[0]


def test_plain_lines_say_what_happened_and_one_line_an_arm(run):
    observations, events = run
    lines = summary_lines(observations, events, meta())
    assert lines[0] == "Modular addition, six weight decays"
    assert lines[1] == "9 members: 3 values of weight decay × 3 seeds."
    assert lines[-1] == (
        "weight decay 1: 2 of 3 memorised, median step (range) 1,002 (1,002–1,002); "
        "2 of 3 generalised, median step (range) 30,061 (22,059–38,063)"
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_run_with_nothing_to_show_is_an_empty_table(width):
    observations, events = grokking(seeds=1)
    table = members_table(observations.isel(member=[]), events.iloc[:0], meta())
    assert printed(table, width)[0].strip() == "Modular addition, six weight decays"
