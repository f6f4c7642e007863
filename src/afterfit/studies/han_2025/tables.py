"""What is computed from kept parameters, and exact frames: kept as tables beside the record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit import measures
from afterfit.studies.han_2025.readings import STRENGTH
from afterfit.theory import collapse_flatness_bound, frame_ingredients, measured_ingredients, simplex_frame

if TYPE_CHECKING:
    import pandas as pd

    from afterfit.lab.runs import Runs
    from afterfit.studies.evidence import Evidence
    from afterfit.views import View

VIEWED = ("addition", "collapse", "mnist-collapse")  # sweeps whose parameters are looked at
SAMPLES = 2_000  # of each split, at most
GAPS = (0.01, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # λδ, how far the own logit leads
# The two readings of "a Gaussian kernel, bandwidth 1, weight .02", as options of `measures.representativeness`.
KERNELS: dict[str, dict[str, Any]] = {
    "weighted": {"bandwidth": 0.02, "scale": "feature_norm"},
    "fixed": {"bandwidth": 1.0, "scale": "fixed"},
}
DEVIATIONS = ("within_class", "frame", "self_duality", "global_mean", "longest_mean", "bias")


def frames(evidence: Evidence) -> pd.DataFrame:
    """Exact frames, one sample a class: κ measured, κ by the closed form, and the bound of Prop 5.3."""
    import pandas as pd

    rows = []
    for k in (2, 3, 10, 97):
        for radius in (0.5, 3.0):
            for gap in GAPS:
                growth = gap * (k - 1) / (k * radius**2)
                means = simplex_frame(k, k + 2, radius)
                found = float(measures.relative_flatness(means, growth * means))
                rows.append(
                    {
                        "classes": k, "radius": radius, "gap": gap, "growth": growth, "kappa": found,
                        "closed_form": frame_ingredients(k, growth, radius).relative_flatness,
                        "bound": collapse_flatness_bound(k, growth, radius),
                        "expected_share": (2 + (k - 2) * np.exp(-gap)) / k**2,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def along_training(evidence: Evidence) -> pd.DataFrame:
    """One row a sweep, member and kept step: clustering by both definitions, Prop 5.3, representativeness.

    Of members that are left alone or pushed to collapse, and of at most 2,000 samples of each split. The assumptions of
    Prop 5.3 are measured, as `theory.measured_ingredients` defines their deviations.
    """
    import pandas as pd

    def of(at: tuple[str, int, int]) -> list[dict[str, Any]]:
        sweep, member, step = at
        runs = evidence.runs[sweep]
        record = runs.members[member]
        seen, unseen = (runs.view(member, split, step).first(SAMPLES) for split in ("train", "test"))
        usual = getattr(runs.experiment.task, "train_fraction", None)
        row = {"sweep": sweep, "member": member, "seed": record.seed, "strength": _strength(runs, member), "step": step}
        row |= {"train_fraction": record.varied.get("task.train_fraction", usual)}
        return [row | looked_at(seen, unseen)]

    # Those kept from collapsing are far from what the proposition assumes.
    kept = [
        (sweep, record.member, step)
        for sweep in VIEWED
        for record in evidence.runs[sweep].members
        if _strength(evidence.runs[sweep], record.member) >= 0
        for step in evidence.runs[sweep].snapshots(record.member)
    ]
    return pd.DataFrame(evidence.rows("along_training", kept, of))


def _strength(runs: Runs, member: int) -> float:
    """By which collapse is penalised in a member."""
    strength = runs.observations.coords.get(STRENGTH)
    return 0.0 if strength is None else float(strength.sel(member=member))


def looked_at(seen: View, unseen: View) -> dict[str, float]:
    """What one network shows; NaN for all of it where it has diverged."""
    weight, bias = _double(seen.head_weight), None if seen.head_bias is None else _double(seen.head_bias)
    features, unseen_features = _double(seen.features), _double(unseen.features)
    if not all(np.isfinite(each).all() for each in (features, unseen_features, weight)):
        return {}

    def loss(features: Any, labels: Any) -> Any:
        logits = features @ weight.T + (0.0 if bias is None else bias)
        top = logits.max(axis=1)
        return top + np.log(np.exp(logits - top[:, None]).sum(axis=1)) - logits[np.arange(len(labels)), labels]

    found = _proposition(features, seen.labels, weight, bias)
    found["plotted_bound"] = float(measures.relative_flatness_bound(features, weight, bias))
    found |= clustering(features, seen.labels)
    found["train_loss"] = float(loss(features, seen.labels).mean())
    found["test_loss"] = float(loss(unseen_features, unseen.labels).mean())
    for name, kernel in KERNELS.items():
        estimate = measures.representativeness(
            loss, features, seen.labels, unseen_features, unseen.labels, draws=8, **kernel
        )
        found |= {f"representativeness_{name}": float(estimate), f"{name}_error": float(estimate.standard_error)}
    return found


def clustering(features: Any, labels: Any) -> dict[str, float]:
    """Σ_{c≠c'} (V_c + V_c')/(2‖μ_c − μ_c'‖²) as published, V_c a sum over the class; and as coded, means of both."""
    means = measures.class_means(features, labels)
    classes, place = np.unique(labels, return_inverse=True)
    spread = ((features - means[place]) ** 2).sum(axis=1)
    sums = np.bincount(place, weights=spread, minlength=len(classes))
    distances = ((means[:, None] - means[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        published = float(((sums[:, None] + sums[None]) / (2 * distances)).sum())
    return {"ncc_sum": published, "ncc_mean": float(measures.cdnv(features, labels))}


def _proposition(features: Any, labels: Any, weight: Any, bias: Any) -> dict[str, float]:
    """M, λ, κ, the bound of Prop 5.3 and the deviations; of the bound NaN where a class has no sample."""
    if len(np.unique(labels)) < len(weight):
        return {"kappa": float(measures.relative_flatness(features, weight, bias))}
    found = measured_ingredients(features, labels, weight, bias)
    named = {"kappa": "relative_flatness", "theorem_bound": "bound", "radius": "radius", "growth": "growth"}
    numbers = {name: float(getattr(found, field)) for name, field in named.items()}
    return numbers | {name: float(getattr(found, name)) for name in DEVIATIONS}


def _double(array: Any) -> Any:
    return np.asarray(array, dtype=np.float64)
