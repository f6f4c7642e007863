"""What is computed from runs once and kept: every run's events, spectra at snapshots, forecasts of held-out seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit import measures
from afterfit.analysis.evaluation import evaluate
from afterfit.analysis.forecast import fit
from afterfit.analysis.forecast_models import Model, median_of_training_runs
from afterfit.analysis.forecast_power_law import PowerLaw
from afterfit.analysis.forecast_regressions import AcceleratedFailure, weight_norm_only
from afterfit.studies.evidence import kept_steps
from afterfit.studies.truong_2026.readings import (
    GENERALISED,
    HALF,
    MEMORISED,
    Collapse,
    first,
    relative_errors,
    value_at,
)
from afterfit.studies.truong_2026.sweeps import ENTROPY

if TYPE_CHECKING:
    import pandas as pd

    from afterfit.lab.runs import Runs
    from afterfit.studies.evidence import Evidence

MEMORISED_BY = 600  # the first observation by which the published runs fit their training set
LEVEL = 0.8  # of the forecasts' intervals: four calibration runs bound it
SHOWN = 512  # examples, where all are observed
EMBEDDINGS = ("embedding", "position")
NORMS = ("norm", "norm_without_embeddings")
RANKS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128)
ADDITION = ("main", "easier")


def all_runs(evidence: Evidence) -> pd.DataFrame:
    """One row a run: when what happened, and H̃ at the start, at T_grok and at the end."""
    import pandas as pd

    return pd.DataFrame([row for sweep in evidence.runs for row in _run_rows(evidence.runs[sweep], sweep)])


def _run_rows(runs: Runs, sweep: str) -> list[dict[str, Any]]:
    observations = runs.observations
    rules: dict[str, Any] = {"memorised": MEMORISED, "half": HALF, "generalised": GENERALISED}
    rules["collapsed"] = Collapse(ENTROPY[True])
    rules["collapsed_late"] = Collapse(ENTROPY[True], begin=MEMORISED_BY)
    rules["collapsed_uncentred"] = Collapse(ENTROPY[False])
    found = {name: first(observations, rule) for name, rule in rules.items()}
    rows = []
    for record in runs.members:
        varied = ", ".join(f"{name.rpartition('.')[2]} = {value}" for name, value in record.varied.items())
        row = {"sweep": sweep, "arm": varied, "seed": record.seed, "status": record.status, "last_step": record.step}
        row |= {name: steps.get(record.member) for name, steps in found.items()}
        ends = {"start": 0, "at_t_grok": row["generalised"], "end": record.step}
        for name, step in ends.items():
            known = None if step is None else value_at(observations, record.member, ENTROPY[True], step)
            row[f"entropy_{name}"] = known
        rows.append(row)
    return rows


def spectra(evidence: Evidence) -> pd.DataFrame:
    """By run and snapshot: H̃ in float64, norms with and without the embeddings, and the leading eigenvalues."""
    import pandas as pd

    kept = [
        (sweep, record.member, step)
        for sweep in ADDITION
        for record in evidence.runs[sweep].members
        for step in kept_steps(evidence.runs[sweep], record.member)
    ]

    def of(at: tuple[str, int, int]) -> list[dict[str, Any]]:
        sweep, member, step = at
        runs = evidence.runs[sweep]
        row = {"sweep": sweep, "seed": runs.members[member].seed, "step": step}
        return [row | _of_snapshot(runs, member, step)]

    rows = evidence.rows("spectra", kept, of)
    columns = ["sweep", "seed", "step", "entropy", "entropy_float32", "entropy_uncentred", *NORMS]
    return pd.DataFrame(rows, columns=[*columns, *(f"share_{rank}" for rank in RANKS)])


def _of_snapshot(runs: Runs, member: int, step: int) -> dict[str, float]:
    view = runs.view(member, "train", step).first(runs.experiment.probe or SHOWN)  # as while training
    features = np.asarray(view.features, dtype=np.float64)
    spectrum = np.asarray(measures.spectrum(features))
    inner = {name: array for name, array in view.parameters.items() if name.partition(".")[0] not in EMBEDDINGS}
    found = {
        "entropy": float(measures.spectral_entropy(features)),
        "entropy_float32": float(measures.spectral_entropy(features.astype(np.float32))),
        "entropy_uncentred": float(measures.spectral_entropy(features, center=False)),
        NORMS[0]: float(measures.weight_norm(view.parameters)),
        NORMS[1]: float(measures.weight_norm(inner)),
    }
    shares = spectrum / spectrum.sum() if spectrum.sum() > 0 else spectrum
    return found | {f"share_{rank}": float(shares[rank - 1]) for rank in RANKS if rank <= len(shares)}


def fitted_labels(evidence: Evidence) -> pd.DataFrame:
    """By run with random labels: the share of its training examples to which it gives the label it was taught."""
    import pandas as pd

    runs, rows = evidence.runs["random-labels"], []
    for record in runs.members:
        said = runs.view(record.member, "train").logits.argmax(axis=1)
        share = float(np.mean(said == runs.taught_labels(record.member)))
        rows.append({"seed": record.seed, "step": record.step, "fitted": share})
    return pd.DataFrame(rows, columns=["seed", "step", "fitted"])


def models() -> dict[str, tuple[str, Model]]:
    """What is fitted, by name, with the entropy that it looks at ("" for none)."""
    found: dict[str, tuple[str, Model]] = {
        "median of the training runs": ("", median_of_training_runs()),
        "weight norm": ("", weight_norm_only()),
    }
    for measure in ENTROPY.values():
        found[f"power law of H̃@{measure}"] = (measure, PowerLaw(measure))
        found[f"failure times of H̃@{measure}"] = (measure, AcceleratedFailure((measure,)))
    return found


def held_out(evidence: Evidence) -> pd.DataFrame:
    """By model and held-out run: median relative error, that at the last observation before, share of intervals held.

    Seeds of even place fit and calibrate, the others judge. A model that its runs do not determine has no rows.
    """
    import pandas as pd

    columns = ["sweep", "model", "measure", "seed", "error", "last_error", "coverage", "refused"]
    rows = [row for sweep in ADDITION for row in _held_out_rows(evidence, sweep)]
    return pd.DataFrame(rows, columns=columns)


def _held_out_rows(evidence: Evidence, sweep: str) -> list[dict[str, Any]]:
    observations = evidence.observations(sweep)
    events = evidence.runs[sweep].events({"generalised": GENERALISED})
    seeds = sorted(set(observations["seed"].values.tolist()))
    rows = []
    for name, (measure, model) in models().items():
        row: dict[str, Any] = {"sweep": sweep, "model": name.partition("@")[0], "measure": measure}
        try:
            forecast = fit(observations, events, model=model, seeds=seeds[::2], level=LEVEL)
            judged = evaluate(forecast, observations, events, seeds=seeds[1::2])
        except (ValueError, ArithmeticError) as error:  # too few runs, none that generalised, no fit: it says which
            rows.append({**row, "refused": str(error)})
            continue
        for course in judged.courses:
            # At every observation: the forecast's landmarks end where its last calibration run does.
            errors = [] if course.run.censored else relative_errors(forecast.model, course.run)
            rows.append({
                **row,
                "seed": course.run.used.seed,
                "error": float(np.median(errors)) if errors else None,
                "last_error": errors[-1] if errors else None,
                "coverage": _known_mean(course.covered()),
            })  # fmt: skip
    return rows


def _known_mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
