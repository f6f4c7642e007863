"""What is run for Sakamoto & Sato 2025.

On one core a step takes .9 to 1.6 ms for one MLP, 65 ms for the CNN and 20 ms for the transformer; gradient descent on
128 digits .2 ms. So the quick scale trains for about six core-minutes, and the full one for about four core-hours:
MNIST one and a half, CNN one, Fashion-MNIST, the open questions and the transformer half each, gradient descent a
quarter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from afterfit.models import CNN, MLP, Model, VisionTransformer
from afterfit.report.wording import counted
from afterfit.spec import SGD, CrossEntropy, Every, Experiment, Logarithmic, Minibatch, Paced, SquaredError, Threshold
from afterfit.spec.events import MEMORISED
from afterfit.spec.presets import preset
from afterfit.studies.study import Scale, Sweep
from afterfit.tasks import Images

DECAYS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
SEEDS = (42, 43, 44, 45, 46)
SIX_SEEDS = (*SEEDS, 47)  # the fewest by which a claim of all runs can hold
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
QUICK_SCHEDULE = Paced(until=(150,), every=(50, 333))
# The measures of the smaller sweeps.
FEW = ("loss", "accuracy", "nc1", "rnc1", "rnc1[scale=max_norm]", "nc2", "weight_norm")
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
        "smoke": (200, SEEDS[:1], (0.01,)),  # one member, as in the other sweeps of MLPs: they share a program
        "quick": (20_000, SEEDS[:2], (0.3, 0.1, 0.01)),
        "full": (100_000, SEEDS, DECAYS),
    }[scale]
    experiment = _sized(observed(preset("sakamoto-2025").experiment, steps=steps), scale)
    if scale == "quick":  # the published schedule's first 42 observations cost as much as thousands of steps
        experiment = replace(experiment, measures=FEW, schedule=QUICK_SCHEDULE)
    if scale == "smoke":
        experiment = replace(experiment, measures=FEW)
    return Sweep("mnist", "MNIST, 1,000 images", experiment, seeds, {"optimizer.weight_decay": decays})


def sweeps(scale: Scale) -> tuple[Sweep, ...]:
    """All that is run at a scale, what decides most first."""
    return (
        main_sweep(scale), gradient_descent(scale), fashion(scale), cross_entropy(scale), no_decay(scale), cnn(scale),
        transformer(scale),
    )  # fmt: skip


def _sized(experiment: Experiment, scale: Scale) -> Experiment:
    """At the smoke scale few images, seldom looked at."""
    if scale != "smoke":
        return experiment
    assert isinstance(experiment.task, Images)
    task = replace(experiment.task, train_size=200, test_size=200)
    return replace(experiment, task=task, schedule=Every(steps=25), snapshots=(50, 150))


def _like_main(scale: Scale, steps: dict[Scale, int], name: str = "sakamoto-2025", **changes: object) -> Experiment:
    """The main sweep's recipe with something else changed, and fewer measures."""
    experiment = replace(preset(name).experiment, measures=FEW, steps=steps[scale], **changes)  # type: ignore[arg-type]
    if scale == "quick":
        experiment = replace(experiment, schedule=QUICK_SCHEDULE)
    return _sized(replace(experiment, events=(*experiment.events, *TIMES)), scale)


def fashion(scale: Scale) -> Sweep:
    """Fashion-MNIST: figure 6. Of the six decays those with which it memorises first and should be done by the end."""
    decays = {"smoke": (0.3,), "quick": (0.1,), "full": (0.1, 0.03, 0.01)}[scale]
    seeds = SEEDS[: {"smoke": 1, "quick": 2, "full": 3}[scale]]
    experiment = _like_main(scale, {"smoke": 100, "quick": 12_000, "full": 100_000}, "sakamoto-2025-fashion")
    return Sweep("fashion", "Fashion-MNIST, 1,000 images", experiment, seeds, {"optimizer.weight_decay": decays})


def cross_entropy(scale: Scale) -> Sweep:
    """The paper's open question: another loss."""
    decays = {"smoke": (0.3,), "quick": (0.3,), "full": (0.3, 0.1)}[scale]
    seeds = SEEDS[: {"smoke": 1, "quick": 2, "full": 3}[scale]]
    experiment = _like_main(scale, {"smoke": 100, "quick": 12_000, "full": 100_000}, loss=CrossEntropy())
    vary = {"optimizer.weight_decay": decays}
    return Sweep("cross-entropy", "cross-entropy in place of squared error", experiment, seeds, vary)


def no_decay(scale: Scale) -> Sweep:
    """The paper's open question: no weight decay."""
    seeds = SIX_SEEDS[: {"smoke": 1, "quick": 2, "full": 6}[scale]]
    experiment = _like_main(scale, {"smoke": 100, "quick": 12_000, "full": 100_000})
    return Sweep("no-decay", "no weight decay", experiment, seeds, {"optimizer.weight_decay": (0.0,)})


def _images(scale: Scale, model: Model, steps: int) -> Experiment:
    """The main recipe with another architecture, so many steps at the full scale, tested on 2,000 images.

    An observation of all 10,000 takes as long as 35 steps; it is made as often as at the quick scale of the main sweep.
    """
    task = Images(dataset="mnist", train_size=1_000, test_size=2_000, subset="first")
    budget: dict[Scale, int] = {"smoke": 2, "quick": 400, "full": steps}
    experiment = _like_main(scale, budget, model=model, task=task)
    if scale == "full":
        experiment = replace(experiment, schedule=QUICK_SCHEDULE)
    if scale == "smoke":
        small = replace(task, train_size=100, test_size=50)
        experiment = replace(experiment, task=small, measures=FEW[:4], events=experiment.events[:2], snapshots=())
    return experiment


# Of their weight decay nothing is published. With .1 an MLP memorises by step 5,000 at .15 of the test set, is half way
# up by 10,000 and at .7 by 12,000: its grokking has begun within the budget (with .3 it generalises while it
# memorises). And six seeds, rather than a few runs with each decay.
GROKKING_DECAY = {"optimizer.weight_decay": (0.1,)}


def cnn(scale: Scale) -> Sweep:
    """The CNN of figure 7."""
    experiment = _images(scale, CNN(init_scale=8.0), steps=9_000)
    seeds = SIX_SEEDS if scale == "full" else SEEDS[:1]
    return Sweep("cnn", "a CNN on 1,000 MNIST images", experiment, seeds, GROKKING_DECAY)


def transformer(scale: Scale) -> Sweep:
    """The vision transformer of figure 9."""
    experiment = _images(scale, VisionTransformer(init_scale=8.0), steps=9_000)
    seeds = SIX_SEEDS if scale == "full" else SEEDS[:1]
    return Sweep("transformer", "a vision transformer on 1,000 MNIST images", experiment, seeds, GROKKING_DECAY)


GD_RATES = (0.01, 0.005)  # for 64 samples; the loss is a sum, so they fall with more
# In theorem 4.3's setting: ½ of the squared error per sample starts at .5; RNC1 at .16, and fitting alone brings it to
# about .02. So ε₂ lies below; above the floor, which weight decay sets and which is .005 for λ = .1, .0008 for .03.
# Found with one pilot seed (0), which is not among those judged.
GD_LOSS = 0.1
GD_COLLAPSES = {"loose": 0.01, "middle": 0.005, "tight": 0.002}
GD_TIMES = (
    Threshold(name="tau1", measure="train/loss", at_most=GD_LOSS),
    *(
        Threshold(name="tau2" if name == "middle" else f"tau2_{name}", measure="train/rnc1", at_most=bound)
        for name, bound in GD_COLLAPSES.items()
    ),
)


def gradient_descent(scale: Scale) -> Sweep:
    """Theorem 4.3's own setting, which no experiment of the paper has.

    Full-batch gradient descent on ½‖f(X) − Y‖² + (λ/2)‖θ‖², first width at least N and none wider after it, a smooth
    leaky activation, no biases, two linear layers at the end, PyTorch's default initialisation (the theorem's condition
    on it has constants that are not published). N images of handwritten digits, 8 × 8.
    """
    samples = 128 if scale == "full" else 64
    steps = {"smoke": 200, "quick": 100_000, "full": 600_000}[scale]
    experiment = Experiment(
        task=Images(dataset="digits", train_size=samples, subset="first"),
        model=MLP(widths=(samples, 32, 32), activation="smooth_leaky_relu", bias=False, linear=1),
        loss=SquaredError(reduction="half_sum"),
        optimizer=SGD(learning_rate=GD_RATES[0] * 64 / samples),
        minibatch=Minibatch(size=None),
        steps=steps,
        schedule=Logarithmic(per_decade=10 if scale == "smoke" else 40),
        measures=FEW[:4] if scale == "smoke" else FEW,
        events=(MEMORISED, *GD_TIMES),
        stop_when="tau2_tight",
    )
    decays = {"smoke": (0.03,), "quick": (0.03, 0.01, 0.003), "full": (0.03, 0.01, 0.003, 0.001)}[scale]
    rates = tuple(rate * 64 / samples for rate in GD_RATES)[: 1 if scale == "smoke" else 2]
    seeds = (1,) if scale == "smoke" else (1, 2, 3)
    vary = {"optimizer.weight_decay": decays, "optimizer.learning_rate": rates}
    return Sweep("gradient-descent", f"theorem 4.3's setting, {samples} digits", experiment, seeds, vary)


def in_place(sweep: Callable[[Scale], Sweep]) -> str:
    """What is run in place of the published decays, seeds and 100,000 steps, at the full and at the quick scale."""
    made = {scale: sweep(scale) for scale in ("full", "quick")}
    return "; ".join(f"{scale}: {_said(each)}" for scale, each in made.items())


def _said(sweep: Sweep) -> str:
    decays = ", ".join(f"{decay:g}" for decay in sweep.vary["optimizer.weight_decay"])
    return f"{counted(len(sweep.seeds), 'seed')}, weight decay {decays}, {sweep.experiment.steps:,} steps"
