"""What is run for the adjudication: every measure on the same runs, over tasks, and pushes of one measure at a time.

Pushes were chosen on seeds from 100 on, which no scale runs: by how far the pushed measure moves and whether the
training data are still memorised. Delays were not looked at.

Quick, seconds of processor time with compilation, on a core that many shared (alone it is about half): addition 69,
multiplication 71, permutations 35, MNIST 69, digits 38, parity 31, each push of parity 50 to 70; the MLPs on a + b and
S₅ and the CNN together 500. In all a quarter of an hour. Judging and drawing take 20 seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from afterfit.interventions import (
    CollapsePenalty,
    ConstantNorm,
    EntropyPenalty,
    FlatnessPenalty,
    Intervention,
)
from afterfit.spec import Every, Experiment
from afterfit.studies.adjudication.rivals import BY_NAME, measures_of
from afterfit.studies.adjudication.settings import SETTINGS
from afterfit.studies.study import Scale, Sweep

DECAY = "optimizer.weight_decay"
TASKS = tuple(SETTINGS)
LABELS = {task: setting.label for task, setting in SETTINGS.items()}
SEEDS: Mapping[Scale, tuple[int, ...]] = {"smoke": (0, 1), "quick": tuple(range(8)), "full": tuple(range(20))}
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
    def explanation(self) -> str:
        """The name of its first push: an explanation may be pushed by more than one of its measures."""
        return next(push.name for push in PUSHES if BY_NAME[push.rival].family == BY_NAME[self.rival].family)

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
BOUND = replace(FLATNESS, measure="bound")
PUSHES = (
    Push("collapse", "collapse (RNC1)", "rnc1", CollapsePenalty(measure="rnc1"), STRENGTH, -0.1, 0.1),
    Push("flatness", "flatness (κ)", "relative_flatness", FLATNESS, STRENGTH, -0.0001, 0.001),
    Push("entropy", "entropy collapse", "spectral_entropy", EntropyPenalty(strength=10.0), TARGET, 1.0, 0.5),
    Push("cdnv", "collapse (CDNV)", "cdnv", CollapsePenalty(measure="cdnv"), STRENGTH, -0.01, 0.01),
    Push("bound", "flatness (bound)", "relative_flatness_bound", BOUND, STRENGTH, -0.0001, 0.001),
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
    decays = SETTINGS[task].at(scale).decays
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
    size = SETTINGS[task].at(scale)
    found, budget = size.experiment, size.budget
    every = max(1, budget // OBSERVATIONS[scale])
    probe = min(PROBE, found.task.sizes()[0])
    return replace(
        found, measures=measures_of(found), steps=budget, schedule=Every(steps=every), probe=probe, snapshots=(),
        stop_when=None if scale == "smoke" else "generalised", patience=budget // 5,
    )  # fmt: skip
