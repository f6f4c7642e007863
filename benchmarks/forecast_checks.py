"""`python -m benchmarks.forecast_checks`: what forecasts and plans promise, tried on runs whose law is known.

Writes the tables of docs/forecasts.md with --write; no number there is typed by hand.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm

from afterfit.analysis.evaluation import Evaluation
from afterfit.analysis.forecast import fit
from afterfit.analysis.forecast_models import ConstantHazard, Model, median_of_training_runs
from afterfit.analysis.forecast_power_law import PowerLaw
from afterfit.analysis.forecast_regressions import AcceleratedFailure, DiscreteHazard, weight_norm_only
from afterfit.analysis.planning import plan
from afterfit.analysis.proportions import share
from benchmarks.forecast_simulations import decay_runs, falling_entropy_runs, lognormal_runs

BEGIN, END = "<!-- checks: written by benchmarks/forecast_checks.py -->", "<!-- end of checks -->"
PAGE = Path(__file__).parents[1] / "docs" / "forecasts.md"
FITTED, TRIED = 20, 10  # runs to fit on, and to judge on, in each repetition
ENTROPY = "train/spectral_entropy"
Runs = Callable[..., Any]


def clue(n: int, *, seed: int, first_seed: int = 0) -> Any:
    """log T = 9 + u/2 + ε/4; a measure shows u, nothing else shows anything."""
    return lognormal_runs(n, seed=seed, first_seed=first_seed, gap=500)


def clue_cut(n: int, *, seed: int, first_seed: int = 0) -> Any:
    """The same, followed for 9,000 steps: 40 % never have the event by then."""
    return lognormal_runs(n, seed=seed, first_seed=first_seed, gap=500, budget=9_000)


def entropy(n: int, *, seed: int, first_seed: int = 0) -> Any:
    """Truong's power law with noise in the entropy; a fifth of the runs never generalise."""
    return falling_entropy_runs(n, seed=seed, first_seed=first_seed, gap=800, noise=0.01, never=0.2)


CASES: dict[str, tuple[Runs, Model]] = {
    "a clue, median of the training runs": (clue, median_of_training_runs()),
    "a clue, failure times": (clue, AcceleratedFailure()),
    "a clue, hazards": (clue, DiscreteHazard()),
    "a clue, two fifths cut, failure times": (clue_cut, AcceleratedFailure()),
    "power law, a fifth never, power law": (entropy, PowerLaw(ENTROPY)),
    "power law, a fifth never, hazards": (entropy, DiscreteHazard()),
}


def coverage(runs: Runs, model: Model, n: int, level: float, repetitions: int) -> dict[str, Any]:
    """How often intervals hold, over fits, calibrations and fresh runs: at the start, midway, and at all landmarks."""
    start, middle, all_, open_ = [], [], [], []
    for seed in range(repetitions):
        data = runs(FITTED + n, seed=seed)
        forecast = fit(*data, model=model, level=level, calibration_seeds=range(FITTED, FITTED + n))
        judged = forecast.evaluate(*runs(TRIED, seed=seed + 100_000, first_seed=1_000))
        held = [(course, course.covered()) for course in judged.courses]
        start.append(np.nanmean([covered[0] for _, covered in held]))
        late = [
            float(covered[place])
            for course, covered in held
            for place, each in enumerate(course.predictions)
            if each.step == 4_000
        ]
        middle.append(np.mean(late) if late else np.nan)
        all_.append(np.nanmean([np.nanmean(covered) for _, covered in held]))
        open_.append(np.mean([np.isinf(each.interval.high) for course, _ in held for each in course.predictions]))
    return {"start": start, "4,000": middle, "all": all_, "open": float(np.mean(open_))}


def coverage_table(repetitions: int, settings: Sequence[tuple[int, float]]) -> list[str]:
    """One row a case and number of calibration runs."""
    lines = [
        "| runs, model | calibration runs | nominal | at step 0 | at step 4,000 | mean over landmarks | open above |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, (runs, model) in CASES.items():
        for n, level in settings:
            found = coverage(runs, model, n, level, repetitions)
            cells = [_percent(found[place]) for place in ("start", "4,000", "all")]
            lines.append(f"| {name} | {n} | {100 * level:g} | {' | '.join(cells)} | {100 * found['open']:.0f} |")
            print(lines[-1], flush=True)
    return lines


def _percent(values: Sequence[float]) -> str:
    """Mean ± standard error over repetitions, in %."""
    there = np.array(values)[~np.isnan(values)]
    return f"{100 * there.mean():.1f} ± {100 * there.std(ddof=1) / np.sqrt(len(there)):.1f}"


SKILL: dict[str, Model] = {
    "median of the training runs": median_of_training_runs(),
    "constant hazard": ConstantHazard(),
    "weight norm": weight_norm_only(),
    "power law of the clue": PowerLaw("clue"),
    "failure times": AcceleratedFailure(),
    "failure times, Weibull": AcceleratedFailure(distribution="weibull"),
    "failure times from now on": AcceleratedFailure(since="now"),
    "hazards": DiscreteHazard(),
}
ENTROPIC: dict[str, Model] = {
    "median of the training runs": median_of_training_runs(),
    "power law of the entropy": PowerLaw(ENTROPY),
    "failure times": AcceleratedFailure(),
    "failure times from now on": AcceleratedFailure(since="now"),
    "hazards": DiscreteHazard(),
}


def skill_table(runs: Runs, models: dict[str, Model], n: int) -> list[str]:
    """One row a model: n runs to fit and calibrate on, as many to judge on."""
    lines = [
        "| model | error | error at the last landmark | lead at 20 % | interval / T | AUC, within 2,000 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    data, fresh = runs(n, seed=1), runs(n, seed=2, first_seed=1_000)
    for name, model in models.items():
        judged = fit(*data, model=model).evaluate(*fresh)
        lines.append(f"| {name} | {' | '.join(skill(judged))} |")
        print(lines[-1], flush=True)
    return lines


def skill(judged: Evaluation, within: float = 2_000) -> list[str]:
    """What a table shows of an evaluation, each with its interval."""
    area = judged.roc(within).area
    quantities = (judged.error, judged.last_error, judged.steady_lead, judged.width, area)
    shown = []
    for each in quantities:
        if each is None:
            shown.append("–")
            continue
        low, high = (_short(end) for end in each.interval)
        shown.append(f"{_short(each.estimate)} [{low}, {high}]")
    return shown


def _short(value: float) -> str:
    return ("−∞" if value < 0 else "∞") if np.isinf(value) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


DECAYS, SPREAD, AT_ONE = (0.1, 0.3, 1.0, 3.0), 0.3, 3_000


def plan_table(repetitions: int) -> list[str]:
    """Plans from 4 decays × 3 seeds followed for 6,000 steps; the truth is P(T ≤ budget) = Φ(log(budget λ/3000)/.3)."""
    lines = [
        "| budget | plans that name a value | of these, truly at .9 or above | truth there, 5 % quantile | "
        "intervals that hold the truth at λ = .3 |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for budget in (800, 1_200, 3_000, 10_000, 20_000):
        true, held = [], 0
        for seed in range(repetitions):
            found = plan(*decay_runs(DECAYS, 3, seed=seed, budget=6_000, spread=SPREAD), budget=budget, draws=1_000)
            if found.best is not None:
                true.append(_truth(budget, found.best.values["optimizer.weight_decay"]))
            of_it = [each for each in found.candidates if each.values["optimizer.weight_decay"] == 0.3]
            held += bool(of_it) and _truth(budget, 0.3) in of_it[0].probability.interval
        right = f"{100 * np.mean(np.array(true) >= 0.9):.0f} %" if true else "–"
        lowest = f"{np.quantile(true, 0.05):.3f}" if true else "–"
        named = share(len(true), repetitions).estimate
        lines.append(f"| {budget:,} | {100 * named:.0f} % | {right} | {lowest} | {100 * held / repetitions:.1f} % |")
        print(lines[-1], flush=True)
    return lines


def _truth(budget: float, decay: float) -> float:
    return float(norm.cdf(np.log(budget * decay / AT_ONE) / SPREAD))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=300)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/forecasts.md")
    arguments = parser.parse_args()
    started, n = time.process_time(), arguments.repetitions
    lines = [
        f"{n} repetitions, each fitted on {FITTED} runs and judged on {TRIED} fresh ones. In %, ± standard error.",
        "",
        *coverage_table(n, [(9, 0.8), (19, 0.8), (39, 0.9)]),
        "",
        "Skill, 60 runs to fit and calibrate on and 60 to judge on, with 95 % intervals over runs. Log-normal times,",
        "log T = 9 + u/2 + ε/4, of which a measure shows u and nothing else shows anything:",
        "",
        *skill_table(clue, SKILL, 60),
        "",
        "Runs that follow Truong's power law with noise of .01 in the entropy, a fifth of which never generalise:",
        "",
        *skill_table(entropy, ENTROPIC, 60),
        "",
        f"Plans, {n} each, nominal level of the intervals 90 %:",
        "",
        *plan_table(n),
    ]
    if arguments.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text("\n".join([before + BEGIN, "", *lines, "", END + after]), encoding="utf-8")
    print(f"{time.process_time() - started:.0f} s")


if __name__ == "__main__":
    main()
