"""Runs that look like grokking, made without training: seeds times weight decays, with all that can go wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

BUDGET = 50_000


def schedule(count: int = 120, budget: int = BUDGET) -> np.ndarray:
    """Steps from 0 to the budget, dense at the start as a logarithmic schedule is."""
    return np.unique(np.r_[0, np.geomspace(1, budget, count).round()]).astype(int)


def _rise(steps: np.ndarray, at: float, width: float = 0.12) -> np.ndarray:
    return 1 / (1 + np.exp(-(np.log10(np.maximum(steps, 0.5)) - np.log10(at)) / width))


def _measures(steps: np.ndarray, fit: float, grok: float, noise: np.random.Generator) -> dict[str, np.ndarray]:
    early, late = _rise(steps, fit), _rise(steps, grok)
    wobble = 1 + 0.04 * noise.standard_normal(steps.size)
    return {
        "train/accuracy": np.clip(0.01 + 0.99 * early, 0, 1).round(4),
        "test/accuracy": np.clip(0.01 + 0.99 * late, 0, 1).round(4),
        "train/loss": 4.6 * (1 - early) * wobble + 2e-6,
        "test/loss": (4.6 + 12 * early * (1 - late)) * (1 - late) * wobble + 3e-4,
        "train/nc1": (50 * (1 - early) + 4 * (1 - late)) * wobble + 0.02,
        "test/nc1": 40 * (1 - late) * wobble + 0.3,
        "train/rnc1": (0.5 - 0.2 * early - 0.29 * late) * wobble,
        "train/nc2": 1 + 40 * (1 - late) * wobble,
        "train/cdnv": (20 * (1 - early) + 2 * (1 - late)) * wobble + 0.004,
        "train/within_class_variance": (9 + 60 * early * (1 - late) - 8.9 * late) * wobble,
        "train/between_class_variance": (1 + 80 * early) * wobble,
        "train/spectral_entropy": np.clip((0.78 + 0.05 * early - 0.4 * late) * wobble, 0, 1),
        "train/spectral_entropy@block0": np.clip((0.9 - 0.3 * late) * wobble, 0, 1),
        "train/relative_flatness": (2 + 900 * early * (1 - late)) * wobble,
        "train/relative_flatness_bound": (20 + 9e4 * early * (1 - late)) * wobble,
        "weight_norm": (30 + 30 * early - 25 * late) * wobble,
    }


def _first(steps: np.ndarray, values: np.ndarray, threshold: float) -> tuple[object, object, bool]:
    seen = np.isfinite(values)
    held = np.flatnonzero(seen & (values >= threshold))
    if held.size:
        return int(steps[held[0]]), int(steps[max(held[0] - 1, 0)]), False
    return pd.NA, int(steps[seen][-1]) if seen.any() else pd.NA, True


def event_table(observations: xr.Dataset) -> pd.DataFrame:
    """Memorised and generalised at an accuracy of .99, one row a member."""
    steps = observations["step"].to_numpy()
    columns: dict[str, object] = {
        str(name): coord.to_numpy() for name, coord in observations.coords.items() if coord.dims == ("member",)
    }
    for event, name in (("memorised", "train/accuracy"), ("generalised", "test/accuracy")):
        found = [_first(steps, row, 0.99) for row in observations[name].to_numpy()]
        columns[event] = pd.array([step for step, _, _ in found], dtype="Int64")
        columns[f"{event}_after"] = pd.array([after for _, after, _ in found], dtype="Int64")
        columns[f"{event}_censored"] = [censored for _, _, censored in found]
    columns.pop("member")
    return pd.DataFrame(columns, index=pd.Index(observations["member"].to_numpy(), name="member"))


def grokking(
    *,
    seeds: int = 3,
    weight_decays: tuple[float, ...] = (0.1, 0.3, 1.0),
    steps: np.ndarray | None = None,
    accidents: bool = True,
) -> tuple[xr.Dataset, pd.DataFrame]:
    """A run of seeds × weight decays: the smallest weight decay is too slow for the budget, one member diverges."""
    steps = schedule() if steps is None else steps
    arms = [(seed, decay) for decay in weight_decays for seed in range(seeds)]
    data: dict[str, list[np.ndarray]] = {}
    for seed, decay in arms:
        noise = np.random.default_rng([seed, int(1000 * decay)])
        fit, grok = 300 * noise.lognormal(0, 0.15), 9000 / decay**0.9 * noise.lognormal(0, 0.3)
        for name, row in _measures(steps, fit, grok, noise).items():
            data.setdefault(name, []).append(row)
    status = ["finished"] * len(arms)
    if accidents:
        status[-1] = "diverged"
        for rows in data.values():
            rows[-1][steps > 150] = np.nan
    return _labelled(data, steps, arms, status)


def _labelled(
    data: dict[str, list[np.ndarray]], steps: np.ndarray, arms: list[tuple[int, float]], status: list[str]
) -> tuple[xr.Dataset, pd.DataFrame]:
    observations = xr.Dataset(
        {name: (("member", "step"), np.array(rows)) for name, rows in data.items()},
        coords={
            "member": np.arange(len(arms)),
            "step": steps,
            "seed": ("member", [seed for seed, _ in arms]),
            "status": ("member", status),
            "optimizer.weight_decay": ("member", [decay for _, decay in arms]),
        },
    )
    return observations, event_table(observations)


def meta(**changes: object) -> dict[str, object]:
    """What a run says about itself."""
    return {
        "title": "Modular addition, six weight decays",
        "experiment": {
            "task": {"kind": "ModularArithmetic", "operation": "a+b", "p": 97, "train_fraction": 0.3},
            "model": {"kind": "Transformer", "layers": 1, "width": 128, "heads": 4, "mlp_width": 512},
            "optimizer": {"kind": "AdamW", "learning_rate": 1e-3, "betas": [0.9, 0.98], "weight_decay": 1.0},
            "steps": BUDGET,
            "minibatch": 512,
            "interventions": [],
        },
        "vary": {"optimizer.weight_decay": [0.1, 0.3, 1.0]},
        "seeds": [0, 1, 2],
        "rules": {"memorised": "train/accuracy >= 0.99", "generalised": "test/accuracy >= 0.99"},
        "environment": {"machine": "2-core AMD", "system": "Linux 6.1", "device": "cpu"},
        "versions": {"python": "3.12.4", "jax": "0.8.1", "numpy": "2.3.0"},
        "code_version": "0.1.0+g0c16ebb",
        "command": "afterfit run modular-addition --seeds 3 --vary optimizer.weight_decay 0.1 0.3 1.0",
        "created": "2026-10-21T20:15:00+00:00",
        **changes,
    }
