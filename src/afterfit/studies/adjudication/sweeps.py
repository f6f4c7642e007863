"""What is run for the adjudication: every measure on the same runs, over tasks, and pushes of one measure at a time.

Sizes and pushes were chosen on seeds from 100 on, which no scale runs: sizes by what a step costs and whether runs
memorise and later generalise, pushes by how far the pushed measure moves and whether the training data are still
memorised. Leads, false alarms, forecasts and delays were not looked at.

Quick, seconds of processor time with compilation, on a core that many shared (alone it is about half): addition 69,
multiplication 71, permutations 35, MNIST 69, digits 38, parity 31, each push of parity 50 to 70; in all nine minutes.
Judging and drawing take 20 seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from afterfit.interventions import (
    CollapsePenalty,
    ConstantNorm,
    EntropyPenalty,
    FlatnessPenalty,
    Intervention,
)
from afterfit.models import MLP, Transformer
from afterfit.spec import MEMORISED, AdamW, Every, Experiment, Minibatch, Threshold
from afterfit.spec.presets import preset
from afterfit.studies.adjudication.rivals import measures_of
from afterfit.studies.study import Scale, Sweep
from afterfit.tasks import Images, ModularArithmetic, PermutationComposition, SparseParity, Task

DECAY = "optimizer.weight_decay"
LABELS = {
    "addition": "a + b, transformer",
    "multiplication": "a · b, transformer",
    "permutations": "permutations, transformer",
    "mnist": "MNIST, MLP",
    "digits": "digits, MLP",
    "parity": "sparse parity, MLP",
}
TASKS = tuple(LABELS)
SEEDS: Mapping[Scale, tuple[int, ...]] = {"smoke": (0, 1), "quick": tuple(range(8)), "full": tuple(range(20))}
# The first weight decay is none: runs that are meant never to generalise.
SMALL_DECAYS = {
    "addition": (0.0, 1.0), "multiplication": (0.0, 1.0), "permutations": (0.0, 1.0), "mnist": (0.0, 0.5),
    "digits": (0.0, 0.5), "parity": (0.0, 0.03, 0.1),
}  # fmt: skip
DECAYS: Mapping[Scale, Mapping[str, tuple[float, ...]]] = {
    "smoke": SMALL_DECAYS,
    "quick": SMALL_DECAYS,
    "full": {
        "addition": (0.0, 0.5, 1.0), "multiplication": (0.0, 0.5, 1.0), "permutations": (0.0, 1.0),
        "mnist": (0.0, 0.1, 0.3), "digits": (0.0, 0.25, 0.5), "parity": (0.0, 0.03, 0.1),
    },
}  # fmt: skip
BUDGETS: Mapping[Scale, Mapping[str, int]] = {
    "smoke": dict.fromkeys(TASKS, 60),
    "quick": {
        "addition": 2_500, "multiplication": 2_500, "permutations": 1_500, "mnist": 3_500, "digits": 3_500,
        "parity": 3_000,
    },
    "full": {
        "addition": 10_000, "multiplication": 10_000, "permutations": 20_000, "mnist": 25_000, "digits": 10_000,
        "parity": 10_000,
    },
}  # fmt: skip
PROBE = 512  # training examples on which measures other than loss and accuracy are taken
OBSERVATIONS: Mapping[Scale, int] = {"smoke": 12, "quick": 60, "full": 60}  # a run to its budget

# Pushed on a network whose steps are cheap, at the decay with which its task generalises soonest.
PUSHED: Mapping[str, float] = {"parity": 0.1}


@dataclass(frozen=True)
class Push:
    """One measure, pushed by itself.

    Attributes:
        name: of the push.
        label: for readers.
        rival: the measure that is pushed.
        part: what pushes.
        field: its number that is varied.
        against: that number against what the explanation says would help.
        along: the same with it.
        matched: what makes its control.
    """

    name: str
    label: str
    rival: str
    part: Intervention
    field: str
    against: float
    along: float
    matched: str = "random_direction"

    @property
    def isolating(self) -> tuple[str, str]:
        """The two arms whose difference is the push and nothing else.

        A random direction has the size of the push and not its aim. A control with steps as long as the baseline's
        still has its norm held, so it is that control less the baseline which leaves the size of steps out.
        """
        return ("arm", "control") if self.matched == "random_direction" else ("control", "baseline")

    @property
    def values(self) -> tuple[float, float]:
        """Against, and along."""
        return self.against, self.along


STRENGTH, TARGET, CONSTANT = (f"interventions.0.{name}" for name in ("strength", "target", "norm"))
FLATNESS = FlatnessPenalty(measure="exact", normalize=False, temperature=1.0)
PUSHES = (
    Push("collapse", "collapse", "rnc1", CollapsePenalty(measure="rnc1"), STRENGTH, -0.1, 0.1),
    Push("flatness", "flatness", "relative_flatness", FLATNESS, STRENGTH, -0.0001, 0.001),
    Push("entropy", "entropy collapse", "spectral_entropy", EntropyPenalty(strength=10.0), TARGET, 1.0, 0.5),
    Push("norm", "norm", "weight_norm", ConstantNorm(of="all"), CONSTANT, 16.0, 9.0, matched="learning_rate"),
)


def sweeps(scale: Scale) -> tuple[Sweep, ...]:
    """Every task with and without weight decay, and every push with its control."""
    return (*(task_sweep(task, scale) for task in TASKS), *(push_sweep(t, p, scale) for t in PUSHED for p in PUSHES))


def push_sweep_name(task: str, push: Push) -> str:
    """Of the folder."""
    return f"{task}-{push.name}"


SWEEPS = (*TASKS, *(push_sweep_name(task, push) for task in PUSHED for push in PUSHES))


def task_sweep(task: str, scale: Scale) -> Sweep:
    """One task over weight decays, and all measures on it."""
    decays = DECAYS[scale][task]
    about = f"{LABELS[task]}: weight decay {', '.join(map(str, decays))}"
    return Sweep(task, about, experiment_of(task, scale), SEEDS[scale], {DECAY: decays})


def push_sweep(task: str, push: Push, scale: Scale) -> Sweep:
    """One push both ways, and its controls."""
    base = experiment_of(task, scale)
    optimizer = replace(base.optimizer, weight_decay=PUSHED[task])
    experiment = replace(base, optimizer=optimizer, interventions=(push.part,))
    # A control is a program of its own, and compiling is most of what the smoke scale does: there one control will do.
    controls = (None,) if scale == "smoke" and push is not PUSHES[0] else (None, push.matched)
    vary = {push.field: push.values, "matched": controls}
    return Sweep(push_sweep_name(task, push), f"{LABELS[task]}: {push.label} pushed", experiment, SEEDS[scale], vary)


def experiment_of(task: str, scale: Scale) -> Experiment:
    """A task's experiment at a scale, with every rival's measure; members go on for a while after generalising."""
    found = {"smoke": tiny, "quick": small, "full": published}[scale](task)
    budget = BUDGETS[scale][task]
    every = max(1, budget // OBSERVATIONS[scale])
    probe = min(PROBE, found.task.sizes()[0])
    return replace(
        found, measures=measures_of(found), steps=budget, schedule=Every(steps=every), probe=probe, snapshots=(),
        stop_when=None if scale == "smoke" else "generalised", patience=budget // 5,
    )  # fmt: skip


def small(task: str) -> Experiment:
    """What a core does in a minute or two for all seeds.

    S₄ in place of S₅, which is too slow: a transformer memorises 70 % of its 576 pairs and does not generalise, so at
    this scale permutations are runs that count for false alarms only. MNIST starts from ×4 and not ×8.
    """
    if task in OPERATIONS:
        return _algorithmic(OPERATIONS[task](p=47, train_fraction=0.5))
    if task == "permutations":
        return _algorithmic(_permutations(4, 0.7))
    if task == "mnist":
        found, images = published(task), Images(dataset="mnist", train_size=1_000, test_size=1_000, subset="first")
        return replace(found, task=images, model=MLP(widths=(100, 100), init_scale=4.0))
    if task == "digits":
        found = published(task)
        return replace(found, model=MLP(widths=(100, 100), init_scale=5.0))
    return _parity(SparseParity(bits=30, parity=3), width=100)


def published(task: str) -> Experiment:
    """The presets where there is one, else a larger size of the small one."""
    if task in OPERATIONS:
        return replace(preset("modular-addition").experiment, task=OPERATIONS[task](p=97, train_fraction=0.4))
    names = {"permutations": "permutation-s5", "mnist": "sakamoto-2025", "digits": "digits"}
    if task in names:
        return preset(names[task]).experiment
    return _parity(SparseParity(bits=40, parity=3), width=200)


def tiny(task: str) -> Experiment:
    """Trains for a moment; images alone are called generalised, at an accuracy that they reach: for the machinery."""
    if task in ("mnist", "digits"):
        found = published(task)
        few = replace(found.task, train_size=60, test_size=60)  # type: ignore[type-var]
        soon = Threshold(name="generalised", measure="test/accuracy", at_least=0.25)
        return replace(
            found, task=few, model=MLP(widths=(8,)), minibatch=Minibatch(size=20), events=(MEMORISED, soon),
            optimizer=AdamW(learning_rate=0.01),
        )  # fmt: skip
    if task == "parity":
        return _parity(SparseParity(bits=8, parity=2, train_size=60, test_size=60), width=8)
    asked = OPERATIONS[task](p=7, train_fraction=0.6) if task in OPERATIONS else _permutations(3, 0.6)
    model = Transformer(layers=1, width=8, heads=2, mlp_width=8)
    return replace(_algorithmic(asked), model=model, minibatch=Minibatch(size=16))


OPERATIONS = {
    "addition": partial(ModularArithmetic, operation="add", sequence="pair"),
    "multiplication": partial(ModularArithmetic, operation="multiply", sequence="pair"),
}


def _permutations(n: int, train_fraction: float) -> PermutationComposition:
    return PermutationComposition(n=n, train_fraction=train_fraction, sequence="pair")


def _algorithmic(task: Task) -> Experiment:
    """A small transformer that generalises within two thousand steps."""
    return Experiment(
        task=task,
        model=Transformer(layers=1, width=64, heads=2, mlp_width=128),
        optimizer=AdamW(learning_rate=2e-3, weight_decay=1.0, b2=0.98),
        minibatch=Minibatch(size=128),
    )


def _parity(task: SparseParity, width: int) -> Experiment:
    return Experiment(
        task=task,
        model=MLP(widths=(width,)),
        optimizer=AdamW(learning_rate=1e-2, weight_decay=0.1),
        minibatch=Minibatch(size=100 if task.train_size >= 100 else 20),
    )
