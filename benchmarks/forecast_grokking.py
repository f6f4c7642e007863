"""Forecasts and a plan on real runs that grok: `python -m benchmarks.forecast_grokking [--write]`.

Seeds, weight decays, models and the plan's budget were fixed before anything was run. Both folders go on from where
they stand, so a second call only reads them. About 12 core-minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import afterfit as af
from afterfit.analysis.forecast import fit
from afterfit.analysis.forecast_models import Clock, ConstantHazard, Model, median_of_training_runs
from afterfit.analysis.forecast_power_law import PowerLaw
from afterfit.analysis.forecast_regressions import AcceleratedFailure, DiscreteHazard, weight_norm_only
from benchmarks.forecast_checks import PAGE, skill

BEGIN, END = "<!-- grokking: written by benchmarks/forecast_grokking.py -->", "<!-- end of grokking -->"
DECAYS, SEEDS, FITTED = (1.0, 2.0), 24, range(12)
OF_TRAINING = ("train/rnc1", "train/spectral_entropy", "train/relative_flatness", "weight_norm")
FIELDS = ("optimizer.weight_decay",)
MODELS: dict[str, Model] = {
    "median of the training runs": median_of_training_runs(),
    "constant hazard": ConstantHazard(),
    "weight norm, steps elapsed": weight_norm_only(),
    "clock of λt": Clock(),
    "power law of the spectral entropy": PowerLaw("train/spectral_entropy"),
    "failure times, measures of training data": AcceleratedFailure(over=OF_TRAINING, fields=FIELDS),
    "failure times, all measures": AcceleratedFailure(fields=FIELDS),
    "hazards, measures of training data": DiscreteHazard(over=OF_TRAINING, fields=FIELDS),
}
WITHIN, BUDGET, PILOTED = 400, 6_000, (0.25, 0.5, 1.0, 2.0)


def forecasts(out: Path, workers: int) -> list[str]:
    """The skill of each model on seeds that no model saw."""
    runs = af.run("modular-addition", seeds=SEEDS, vary={"optimizer.weight_decay": DECAYS}, out=out, workers=workers)
    events = runs.events()
    lines = [
        f"`modular-addition` with weight decay {' and '.join(map(str, DECAYS))}, seeds 0-{SEEDS - 1}, "
        f"{len(events)} runs: {int((~events['generalised_censored']).sum())} generalise within "
        f"{runs.experiment.steps:,} steps, at step {events['generalised'].median():,.0f} in the median "
        f"({events['generalised'].min():,}-{events['generalised'].max():,}). Seeds 0-{FITTED[-1]} fit and calibrate, "
        "the others judge. Intervals over judged runs, 95 %; nominal coverage 80 %.",
        "",
        "| model | error | error at the last landmark | lead at 20 % | interval / T | "
        f"AUC, within {WITHIN} | coverage |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, model in MODELS.items():
        judged = fit(runs, seeds=FITTED, model=model).evaluate(runs, seeds=range(len(FITTED), SEEDS))
        assert judged.coverage
        low, high = judged.coverage.interval
        covered = f"{judged.coverage.estimate:.2f} [{low:.2f}, {high:.2f}]"
        lines.append(f"| {name} | {' | '.join(skill(judged, WITHIN))} | {covered} |")
        print(lines[-1], flush=True)
    return lines


def planned(out: Path, workers: int) -> list[str]:
    """What a plan answers, and whether it held on fresh seeds."""
    values = {"optimizer.weight_decay": PILOTED}
    found = af.plan("modular-addition", BUDGET, values=values, out=out, check_seeds=36, workers=workers)
    command = f"afterfit plan modular-addition --budget {BUDGET} --check-seeds 36 --vary optimizer.weight_decay"
    return [f"`{command} {' '.join(map(str, PILOTED))}` answers:", "", "```", str(found), "```"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/forecast-grokking"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="write what was found into docs/forecasts.md")
    arguments = parser.parse_args()
    lines = planned(arguments.out / "plan", arguments.workers)
    print("\n".join(lines), flush=True)
    lines = [*forecasts(arguments.out / "runs", arguments.workers), "", *lines]
    if arguments.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text("\n".join([before + BEGIN, "", *lines, "", END + after]), encoding="utf-8")


if __name__ == "__main__":
    main()
