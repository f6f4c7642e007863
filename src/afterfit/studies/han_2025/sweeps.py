"""What is run for Han et al. 2025.

On one idle core a step takes about 4.5 ms in the one-layer network of the arms, 15 to 20 ms in the paper's own, 0.3 ms
in the MLP and 10 ms in a ResNet-18 of an eighth of the published width (150 ms at full width). Norm-matched arms train
their baseline too. Runs on modular addition end when they have generalised, so that only those that never do cost their
whole budget. In thousands of steps (k), with four seeds an arm at the quick scale and five at the full one:

| sweep | quick | full |
| --- | --- | --- |
| collapse: clustering penalised, 4 or 8 strengths | 50 % of the pairs, up to 4 k | 40 %, up to 10 k |
| collapse-norm: one strength, or three | up to 2 k | up to 10 k |
| flatness, and flatness-kept: one strength, or three | up to 4 k, and 3 k | up to 10 k |
| flatness-norm: one strength | up to 2 k | up to 10 k |
| mnist-collapse, mnist-unplug, mnist-kept | 5,000 images, 3 k | 60,000 images, 20 epochs |
| addition: the paper's network and task | 1 seed, 50 % of the pairs, up to 6 k | 4 seeds, 50 % and 20 %, up to 100 k |
| resnet-collapse, resnet-unplug | 1 seed, 1,000 images, narrow, 0.2 k | 3 seeds, 5,000 images, full width, 6 epochs |

Quick is about 12 core-minutes when idle; full about 2 hours of two cores. Strengths were fixed before on one run each,
with a seed that is not in the study (100), by what they did to clustering and to flatness. The published strength of
the push away from flatness, −10⁻², keeps modular addition from generalising within any budget that a quick scale has:
there a tenth of it is run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from afterfit.interventions import (
    CollapsePenalty,
    FlatnessPenalty,
    LearningRate,
    NormalizedFeatures,
    NormCap,
    WeightDecay,
    When,
)
from afterfit.models import MLP
from afterfit.spec import SGD, Every, Experiment, Logarithmic, Minibatch, Paced, Threshold
from afterfit.spec.presets import preset
from afterfit.studies.han_2025.readings import STRENGTH
from afterfit.studies.study import Scale, Sweep
from afterfit.tasks import Images, ModularArithmetic

MEASURES = ("loss", "accuracy", "cdnv", "relative_flatness", "relative_flatness_bound", "weight_norm")
# Where parameters are kept, for what cannot be taken while training.
SNAPSHOTS = (
    0, 100, 300, 600, 1_000, 1_500, 2_000, 3_000, 4_000, 6_000, 8_000, 10_000, 12_000, 16_000, 20_000, 30_000, 50_000,
    100_000,
)  # fmt: skip
CAP = 50.0  # of ‖W‖_F, as published
AWAY = -1e-2  # the published strength of the push away from flatness
IMAGE_EVENTS = (
    Threshold(name="memorised", measure="train/accuracy", at_least=0.99),
    Threshold(name="generalised", measure="test/accuracy", at_least=0.85),
)


def sweeps(scale: Scale) -> tuple[Sweep, ...]:
    """All that is run at a scale; the paper's network on images last."""
    return (
        *_collapse(scale),
        *_mnist(scale),
        *_flatness(scale),
        _addition(scale),
        *_resnet(scale),
    )


def _at(scale: Scale, smoke: Any, quick: Any, full: Any) -> Any:
    return {"smoke": smoke, "quick": quick, "full": full}[scale]


def _sized(experiment: Experiment, scale: Scale, **changes: Any) -> Experiment:
    """An experiment on modular addition with the study's measures, as small as it can be at the smoke scale."""
    if scale == "smoke":  # one network, so that little is compiled
        task, model = ModularArithmetic(p=7, train_fraction=0.5, sequence="pair"), MLP(widths=(16,))
        changes |= {
            "task": task, "model": model, "minibatch": Minibatch(size=8), "steps": 100, "schedule": Every(steps=25),
            "stop_when": None, "patience": 0,
        }  # fmt: skip
    return replace(experiment, measures=MEASURES, **changes)


def _addition(scale: Scale) -> Sweep:
    """Figure 1: x + y mod 97 by a decoder of two layers on the whole sequence, the preset "han-2025"."""
    usual = preset("han-2025").experiment
    experiment = _sized(
        usual, scale, task=ModularArithmetic(operation="add", train_fraction=0.5, sequence="full"), probe=2_048,
        steps=_at(scale, 100, 6_000, 100_000), schedule=Logarithmic(per_decade=25), snapshots=SNAPSHOTS,
        stop_when="generalised", patience=_at(scale, 0, 1_000, 10_000),
    )  # fmt: skip
    fractions, seeds = _at(scale, (0.5,), (0.5,), (0.5, 0.2)), _at(scale, (42,), (42,), (42, 43, 44, 45))
    return Sweep("addition", "a + b mod 97, the paper's network", experiment, seeds, {"task.train_fraction": fractions})


def _one_layer(scale: Scale, **changes: Any) -> Experiment:
    """The cheap network in which arms are run: the preset "modular-addition"."""
    task = ModularArithmetic(train_fraction=_at(scale, 0.5, 0.5, 0.4), sequence="pair")
    usual = {"task": task, "steps": _at(scale, 100, 4_000, 10_000), "schedule": Every(steps=100)}
    return _sized(preset("modular-addition").experiment, scale, patience=_at(scale, 0, 500, 2_000), **(usual | changes))


def _arm_seeds(scale: Scale) -> tuple[int, ...]:
    return tuple(range(_at(scale, 1, 4, 5)))


def _collapse(scale: Scale) -> tuple[Sweep, Sweep]:
    """Towards collapse and away from it; and the same with the norm of all parameters as without."""
    penalty, seeds = (CollapsePenalty(),), _arm_seeds(scale)
    all_doses = (-1e-1, -1e-2, -1e-3, -1e-4, 0.0, 1e-3, 1e-2, 1e-1)
    doses = _at(scale, (-1e-2, 0.0, 1e-2), (-1e-2, -1e-3, 0.0, 1e-2), all_doses)
    norm = _one_layer(scale, interventions=penalty, matched="norm", steps=_at(scale, 100, 2_000, 10_000))
    matched = _at(scale, (-1e-2,), (-1e-3,), (-1e-2, -1e-3, 1e-2))
    return (
        Sweep(
            "collapse",
            "clustering penalised either way",
            _one_layer(scale, interventions=penalty, snapshots=SNAPSHOTS),
            seeds,
            {STRENGTH: doses},
        ),
        Sweep(
            "collapse-norm",
            "the same, parameters' norm as without",
            norm,
            seeds,
            {STRENGTH: matched},
        ),
    )


def _flatness(scale: Scale) -> tuple[Sweep, ...]:
    """Away from flatness until the unplug, for good, and for good with the norm of all parameters as without.

    Features are normalised in the penalty only. Nothing else changes at this unplug, so strength 0 is its
    matched-schedule control.
    """
    seeds, cap = _arm_seeds(scale), NormCap(cap=CAP)
    until = When(until=_at(scale, 50, 2_000, 5_000))
    doses = _at(scale, (AWAY,), (AWAY / 10,), (AWAY / 10, AWAY, 10 * AWAY))
    unplugged = _one_layer(scale, interventions=(FlatnessPenalty(strength=AWAY, when=until), cap))
    forever = (FlatnessPenalty(strength=AWAY), cap)
    kept = _one_layer(scale, interventions=forever, steps=_at(scale, 100, 3_000, 10_000))
    return (
        Sweep(
            "flatness",
            "pushed away from flatness, then unplugged",
            unplugged,
            seeds,
            {STRENGTH: (*doses, 0.0)},
        ),
        Sweep("flatness-kept", "pushed away from flatness for good", kept, seeds, {STRENGTH: doses}),
        Sweep(
            "flatness-norm",
            "the same, parameters' norm as without",
            replace(kept, matched="norm", steps=_at(scale, 100, 2_000, 10_000)),
            seeds,
            {STRENGTH: doses[:1]},
        ),
    )


def _mlp(scale: Scale, **changes: Any) -> Experiment:
    """MNIST by two hidden layers, with the optimiser that the paper has for images."""
    steps = _at(scale, 60, 3_000, 18_740)
    if scale == "smoke":  # the digits need no file
        task, model = Images(dataset="digits", train_size=200, test_size=100), MLP(widths=(16,))
    else:
        sizes = {"quick": (5_000, 2_000), "full": (60_000, None)}[scale]
        task, model = Images(dataset="mnist", train_size=sizes[0], test_size=sizes[1]), MLP(widths=(200, 200))
    return Experiment(
        task=task, model=model, optimizer=SGD(learning_rate=1e-2, momentum=0.9), minibatch=Minibatch(size=64),
        steps=steps, schedule=Paced(until=(500,), every=(20, _at(scale, 20, 100, 200))), measures=MEASURES, probe=2_000,
        events=IMAGE_EVENTS, **changes,
    )  # fmt: skip


def push_and_unplug(steps: int) -> tuple[Any, ...]:
    """As published: half of the steps with the penalty and normalised features; then a rate of .1, a cosine, decay."""
    until, since = When(until=steps // 2), When(begin=steps // 2)
    return (
        FlatnessPenalty(strength=AWAY, when=until),
        NormalizedFeatures(strength=1.0, when=until),
        NormCap(cap=CAP),
        LearningRate(value=0.1, end=1e-4, shape="cosine", over=steps - steps // 2, when=since),
        WeightDecay(value=2e-4, when=since),
    )


def _mnist(scale: Scale) -> tuple[Sweep, ...]:
    plain, seeds = _mlp(scale), _arm_seeds(scale)
    doses = (-3e-2, -1e-2, -1e-3, 0.0, 1e-2, 1e-1)
    doses = _at(scale, (-1e-2, 0.0, 1e-2), doses, (-1e-1, *doses[:4], 1e-3, *doses[4:]))
    collapse = replace(plain, interventions=(CollapsePenalty(),), snapshots=SNAPSHOTS)
    kept = (FlatnessPenalty(strength=AWAY), NormalizedFeatures(), NormCap(cap=CAP))
    return (
        Sweep("mnist-collapse", "MNIST, clustering penalised either way", collapse, seeds, {STRENGTH: doses}),
        Sweep(
            "mnist-unplug", "MNIST, pushed away from flatness, then unplugged; and the schedule alone",
            replace(plain, interventions=push_and_unplug(plain.steps)), seeds, {"matched": (None, "schedule")},
        ),
        Sweep(
            "mnist-kept", "MNIST, pushed away from flatness for good; features normalised in the network or not",
            replace(plain, interventions=kept), seeds, {"interventions.1.strength": (1.0, 0.0)},
        ),
    )  # fmt: skip


def _residual(full: bool) -> Experiment:
    """The preset "han-2025-resnet" on the part of CIFAR-10 that is there; or on less of it, an eighth as wide."""
    task = Images(dataset="cifar-10", train_size=5_000 if full else 1_000, test_size=1_000 if full else 500)
    widths = (64, 128, 256, 512) if full else (8, 16, 32, 64)
    usual = preset("han-2025-resnet").experiment
    return replace(
        usual, task=task, model=replace(usual.model, widths=widths), measures=MEASURES, probe=1_000,  # type: ignore[type-var]
        steps=468 if full else 200, schedule=Every(steps=52 if full else 25),
    )  # fmt: skip


def _resnet(scale: Scale) -> tuple[Sweep, Sweep]:
    """The paper's network and optimiser on the part of CIFAR-10 that is there."""
    plain = _mlp(scale) if scale == "smoke" else _residual(scale == "full")  # which takes minutes to compile
    seeds, doses = tuple(range(_at(scale, 1, 1, 3))), (-1e-3, 0.0, 1e-3)
    pushed = replace(plain, interventions=push_and_unplug(plain.steps))
    return (
        Sweep(
            "resnet-collapse",
            "ResNet-18, clustering penalised either way",
            replace(plain, interventions=(CollapsePenalty(),)),
            seeds,
            {STRENGTH: _at(scale, doses[:2], doses, doses)},
        ),
        Sweep(
            "resnet-unplug",
            "ResNet-18, pushed away from flatness, then unplugged; and the schedule alone",
            pushed,
            seeds,
            {"matched": (None, "schedule")},
        ),
    )
