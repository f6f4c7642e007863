"""What is run for Sakamoto & Sato 2025."""

from __future__ import annotations

from dataclasses import replace

from afterfit.spec import Experiment, Threshold
from afterfit.spec.presets import preset
from afterfit.studies.study import Scale, Sweep

DECAYS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
SEEDS = (42, 43, 44, 45, 46)
# Where parameters are kept, for what cannot be taken while training: information, the theorems' bounds, margins.
SNAPSHOTS = (
    0, 10, 30, 100, 150, 300, 1_000, 2_000, 4_000, 6_000, 8_000, 12_000, 16_000, 20_000, 25_000, 30_000, 40_000, 50_000,
    60_000, 70_000, 80_000, 90_000, 100_000,
)  # fmt: skip
MEASURES = (
    "loss", "accuracy", "nc1", "rnc1", "rnc1[scale=max_norm]", "nc2", "cdnv", "within_class_variance",
    "between_class_variance", "spectral_entropy", "relative_flatness", "relative_flatness[loss=squared_error]",
    "relative_flatness_bound", "nc4", "weight_norm",
)  # fmt: skip
# τ₁ is the first step with training loss ≤ ε₁, τ₂ that with RNC1 ≤ ε₂; the theorem holds for any, so several.
# A network that says nothing has a loss of 1; at the start RNC1 is about .3.
LOSSES = {"tau1": 0.5, "tau1_tight": 0.1}
COLLAPSES = {"tau2_loose": 0.2, "tau2": 0.1, "tau2_tight": 0.03}
TIMES = (
    *(Threshold(name=name, measure="train/loss", at_most=bound) for name, bound in LOSSES.items()),
    *(Threshold(name=name, measure="train/rnc1", at_most=bound) for name, bound in COLLAPSES.items()),
)


def observed(experiment: Experiment, **changes: object) -> Experiment:
    """An experiment with the study's measures, times and snapshots."""
    events = (*experiment.events, *TIMES)
    return replace(experiment, measures=MEASURES, events=events, snapshots=SNAPSHOTS, **changes)  # type: ignore[arg-type]


def main_sweep(scale: Scale) -> Sweep:
    """1,000 MNIST images, initialisation × 8, over weight decays: figures 2 to 4."""
    steps, seeds, decays = {
        "smoke": (200, SEEDS[:1], (0.3, 0.01)),
        "quick": (40_000, SEEDS[:3], (0.3, 0.1, 0.03, 0.01)),
        "full": (100_000, SEEDS, DECAYS),
    }[scale]
    experiment = observed(preset("sakamoto-2025").experiment, steps=steps)
    return Sweep("mnist", "MNIST, 1,000 images", experiment, seeds, {"optimizer.weight_decay": decays})
