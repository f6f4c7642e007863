"""What is run for Truong et al. 2026.

A step of the published network takes 4.5 to 8 ms on one core, nearly all of it in matrix products at almost its peak.
Runs end 1,000 steps after they generalise (200 in arms of interventions), so that only those that never do cost their
whole budget. In thousands of steps (k) and seeds:

| sweep | quick | full |
| --- | --- | --- |
| main: 20 % of the pairs | 3 seeds, up to 20 k | 30 seeds, up to 50 k |
| easier: 40 % | 6 seeds, up to 6 k | 10 seeds, up to 10 k |
| followed: 40 %, to the end | 6 seeds, 6 k | 6 seeds, 10 k |
| mixing, 3 strengths | 4 seeds, up to 6 k, at 40 % | 10 seeds, up to 50 k, at 20 % |
| mixing before the last norm | 3 seeds, likewise | 5 seeds, likewise |
| control: norm-matched (trains its baseline too) | 4 seeds, likewise | 30 seeds, likewise |
| control: random direction | 4 seeds, likewise | 10 seeds, likewise |
| no weight decay; random labels | 2 seeds each, 6 k, at 40 % | 6 seeds each, 16 k, at 20 % |
| a − b, a × b | 2 seeds each, up to 6 k, at 40 % | 5 seeds each, up to 50 k, at 20 % |
| S₅, 10 % | 2 seeds, up to 6 k | 6 seeds, up to 50 k |
| MLP, p = 41 | 3 seeds, 40 k (0.2 ms a step) | 10 seeds, 80 k |

Quick is about 190 k steps, 15 minutes of one idle core; full about 2.2 million, 1.5 to 2.5 hours of two.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from afterfit.interventions import LabelNoise, Mixing
from afterfit.models import MLP
from afterfit.spec import Drop, Every, Experiment, LargestSlope, Minibatch, Threshold
from afterfit.spec.presets import preset
from afterfit.studies.study import Scale, Sweep
from afterfit.tasks import ModularArithmetic, PermutationComposition

PUBLISHED_FRACTION, EASIER_FRACTION = 0.2, 0.4
SMOKE = 200  # steps
STRENGTHS = (0.1, 0.3, 0.5)  # of the mixing; the paper names none
ENTROPY = {True: "train/spectral_entropy", False: "train/spectral_entropy[center=false]"}  # by centring
ALIGNMENT = {"sum": "train/fourier_alignment", "operands": "train/fourier_alignment[characters=operands]"}
# The spectrum itself is looked at there: at the start, when all is memorised, and on the way.
SNAPSHOTS = (0, 600, 1_200, 1_800, 2_400, 4_000, 8_000, 12_000, 16_000, 20_000)
MEASURES = ("loss", "accuracy", "spectral_entropy", "spectral_entropy[center=false]", "weight_norm", "rnc1")
FOURIER = ("fourier_alignment", "fourier_alignment[characters=operands]")
# Phase II begins when .95 of the training set is right. Nothing here is divided by what a run moved in all.
EVENTS = (
    Threshold(name="memorised", measure="train/accuracy", at_least=0.95),
    Threshold(name="half", measure="test/accuracy", at_least=0.5),
    Threshold(name="generalised", measure="test/accuracy", at_least=0.99),
    Drop(name="entropy_collapsed", measure=ENTROPY[True], by=0.05, window=5),
    LargestSlope(name="jump", measure="test/accuracy", direction="rise"),
    LargestSlope(name="steepest_fall", measure=ENTROPY[True], direction="fall"),
)


def arms_fraction(scale: Scale) -> float:
    """The share of the pairs on which interventions and controls train: the published one at the full scale."""
    return PUBLISHED_FRACTION if scale == "full" else EASIER_FRACTION


def baseline(scale: Scale) -> str:
    """The sweep with which arms are paired by seed."""
    return "main" if scale == "full" else "easier"


def sweeps(scale: Scale) -> tuple[Sweep, ...]:
    """All that is run at a scale, what says most first."""
    return (
        _addition("easier", EASIER_FRACTION, scale, seeds=(2, 6, 10), steps=(SMOKE, 6_000, 10_000)),
        _addition("main", PUBLISHED_FRACTION, scale, seeds=(2, 3, 30), steps=(SMOKE, 20_000, 50_000)),
        *_mixing(scale),
        *_controls(scale),
        *_never(scale),
        _addition("followed", EASIER_FRACTION, scale, seeds=(1, 6, 6), steps=(SMOKE, 6_000, 10_000), stop_when=None),
        *_other_tasks(scale),
    )


def _at(scale: Scale, of: tuple[Any, Any, Any]) -> Any:
    return of[("smoke", "quick", "full").index(scale)]


def _experiment(fraction: float, scale: Scale, *, fourier: bool = False, **changes: Any) -> Experiment:
    """The published set-up with the study's measures and events; at the smoke scale a network that compiles at once."""
    small: dict[str, Any] = {
        "model": MLP(widths=(16, 16)),
        "minibatch": Minibatch(size=16, order="replacement"),
        "probe": 32,
        "schedule": Every(steps=20),
    }
    settings: dict[str, Any] = (small if scale == "smoke" else {}) | {
        "task": ModularArithmetic(p=_at(scale, (13, 97, 97)), train_fraction=fraction, sequence="pair"),
        "measures": MEASURES + (FOURIER if fourier else ()),
        "events": EVENTS,
        "stop_when": "generalised",
        "patience": 200,
    }
    return replace(preset("truong-2026").experiment, **(settings | changes))


def _addition(name: str, fraction: float, scale: Scale, *, seeds: Any, steps: Any, **changes: Any) -> Sweep:
    settings: dict[str, Any] = {"fourier": True, "snapshots": SNAPSHOTS, "patience": 1_000}
    experiment = _experiment(fraction, scale, steps=_at(scale, steps), **settings | changes)
    about = f"a + b from {100 * fraction:.0f} % of the pairs" + (", to the end" if "stop_when" in changes else "")
    return Sweep(name, about, experiment, tuple(range(_at(scale, seeds))))


def _arm(
    name: str, about: str, scale: Scale, *, seeds: Any, vary: dict[str, Any], budget: int = 50_000, **changes: Any
) -> Sweep:
    """An arm, or several, of interventions, with this budget at the full scale: paired by seed with the baseline."""
    experiment = _experiment(arms_fraction(scale), scale, steps=_at(scale, (SMOKE, 6_000, budget)), **changes)
    return Sweep(name, about, experiment, tuple(range(_at(scale, seeds))), vary)


def _mixing(scale: Scale) -> tuple[Sweep, Sweep]:
    strengths = _at(scale, (STRENGTHS[1:], STRENGTHS, STRENGTHS))
    early = Mixing(strength=0.3, layer=_at(scale, ("hidden0", "block0", "block0")))
    return (
        _arm(
            "mixing", "what the head reads is mixed", scale, seeds=(2, 4, 10), interventions=(Mixing(),),
            vary={"interventions.0.strength": strengths},
        ),
        _arm(
            "mixing-early", "what the last norm reads is mixed", scale, seeds=(1, 3, 5), interventions=(early,),
            vary={"interventions.0.strength": (0.3,)},
        ),
    )  # fmt: skip


def _controls(scale: Scale) -> tuple[Sweep, ...]:
    mixed = (Mixing(strength=0.3),)
    return (
        _arm(
            "norm-matched", "mixing at .3 with the parameters' norm of the paired run without", scale,
            seeds=(2, 4, 30), interventions=mixed, matched="norm", vary={},
        ),
        _arm(
            "random-direction", "features moved as far as mixing at .3 does, in a random direction", scale,
            seeds=(1, 4, 10), interventions=mixed, matched="random_direction", vary={},
        ),
    )  # fmt: skip


def _never(scale: Scale) -> tuple[Sweep, ...]:
    """Runs that are not expected to generalise: what the collapse does there is its rate of false alarms."""
    decay = {"optimizer.weight_decay": (0.0,)}
    labels = (LabelNoise(strength=1.0, num_classes=_at(scale, (13, 97, 97))),)
    # With fewer seeds, none of them would not show that it is seldom. The budget is longer than those of the main runs
    # take that generalise (at the quick scale 8,000 to 11,000 steps).
    shared: dict[str, Any] = {"seeds": (1, 2, 6), "budget": 16_000}
    return (
        _arm("no-decay", "no weight decay", scale, vary=decay, **shared),
        _arm("random-labels", "labels drawn at random, once", scale, interventions=labels, vary={}, **shared),
        _mlp(scale),
    )


def _mlp(scale: Scale) -> Sweep:
    """Two hidden layers as wide as the transformer; the paper gives no widths. Of 336 training pairs, 256 a step."""
    experiment = _experiment(
        PUBLISHED_FRACTION, scale, steps=_at(scale, (SMOKE, 40_000, 80_000)),
        task=ModularArithmetic(p=_at(scale, (13, 41, 41)), train_fraction=PUBLISHED_FRACTION, sequence="pair"),
        model=MLP(widths=_at(scale, ((16, 16), (128, 128), (128, 128)))),
        minibatch=Minibatch(size=_at(scale, (16, 256, 256)), order="replacement"),
    )  # fmt: skip
    return Sweep("mlp", "a + b by a multilayer perceptron, p = 41", experiment, tuple(range(_at(scale, (1, 3, 10)))))


def _other_tasks(scale: Scale) -> tuple[Sweep, Sweep]:
    operations = {"task.operation": _at(scale, (("subtract",), ("subtract", "multiply"), ("subtract", "multiply")))}
    n = _at(scale, (4, 5, 5))
    composition = PermutationComposition(n=n, train_fraction=0.1, sequence="pair")
    experiment = _experiment(PUBLISHED_FRACTION, scale, steps=_at(scale, (SMOKE, 6_000, 50_000)), task=composition)
    return (
        _arm("operations", "a − b and a × b", scale, seeds=(1, 2, 5), vary=operations),
        Sweep("s5", "composition in S₅ from 10 % of the pairs", experiment, tuple(range(_at(scale, (1, 2, 6))))),
    )
