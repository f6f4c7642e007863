"""The tasks and networks on which the rival explanations are compared: three sizes of each.

Sizes were chosen on seeds from 100 on, which no scale runs, by what a step costs and whether runs memorise and later
generalise. Leads, false alarms, forecasts and delays were not looked at. The full sizes are those of the presets where
there is one, else larger ones of the small, not tried before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from afterfit.models import CNN, MLP, Model, Transformer
from afterfit.spec import MEMORISED, AdamW, Experiment, Minibatch, Threshold
from afterfit.spec.presets import preset
from afterfit.studies.study import Scale
from afterfit.tasks import Images, ModularArithmetic, PermutationComposition, SparseParity, Task

MOMENT = 60  # steps of the tiny sizes


@dataclass(frozen=True)
class Size:
    """One size of a setting.

    Attributes:
        experiment: task, network and training; budget, measures and schedule are the study's.
        decays: weight decays that are run; the first is none: runs that are meant never to generalise.
        budget: steps, if a run does not generalise before.
    """

    experiment: Experiment
    decays: tuple[float, ...]
    budget: int


@dataclass(frozen=True)
class Setting:
    """A task with a network.

    Attributes:
        label: for readers.
        tiny: trains for a moment, for the machinery.
        small: what a core does in some minutes for all seeds.
        full: as published, or a larger size of the small one.
    """

    label: str
    tiny: Experiment
    small: Size
    full: Size

    def at(self, scale: Scale) -> Size:
        """The size of a scale."""
        tiny = Size(self.tiny, self.small.decays, MOMENT)
        return {"smoke": tiny, "quick": self.small, "full": self.full}[scale]


def _pairs(p: int, train_fraction: float, operation: str = "add") -> Task:
    return ModularArithmetic(p=p, train_fraction=train_fraction, operation=operation, sequence="pair")  # type: ignore[arg-type]


def _permutations(n: int, train_fraction: float) -> Task:
    return PermutationComposition(n=n, train_fraction=train_fraction, sequence="pair")


def _attentive(task: Task, *, tiny: bool = False) -> Experiment:
    """A small transformer that generalises within two thousand steps."""
    return Experiment(
        task=task,
        model=Transformer(layers=1, width=8, heads=2, mlp_width=8)
        if tiny
        else Transformer(layers=1, width=64, heads=2, mlp_width=128),
        optimizer=AdamW(learning_rate=2e-3, weight_decay=1.0, b2=0.98),
        minibatch=Minibatch(size=16 if tiny else 128),
    )


def _perceptron(task: Task, width: int) -> Experiment:
    """One hidden layer on one-hot tokens."""
    return Experiment(
        task=task,
        model=MLP(widths=(width,)),
        optimizer=AdamW(learning_rate=2e-3, weight_decay=1.0, b2=0.98),
        minibatch=Minibatch(size=16 if width < 100 else 256),
    )


def _parity(bits: int, parity: int, width: int, *, size: int = 1_000) -> Experiment:
    return Experiment(
        task=SparseParity(bits=bits, parity=parity, train_size=size, test_size=size),
        model=MLP(widths=(width,)),
        optimizer=AdamW(learning_rate=1e-2, weight_decay=0.1),
        minibatch=Minibatch(size=100 if size >= 100 else 20),
    )


def _tiny_images(name: str, model: Model) -> Experiment:
    """Sixty images, called generalised at an accuracy that they reach."""
    usual = preset(name).experiment
    few = replace(usual.task, train_size=60, test_size=60)  # type: ignore[type-var]
    soon = Threshold(name="generalised", measure="test/accuracy", at_least=0.25)
    return replace(
        usual, task=few, model=model, minibatch=Minibatch(size=20), events=(MEMORISED, soon),
        optimizer=AdamW(learning_rate=0.01),
    )  # fmt: skip


def _arithmetic(label: str, operation: str) -> Setting:
    full = replace(preset("modular-addition").experiment, task=_pairs(97, 0.4, operation))
    return Setting(
        f"{label}, transformer",
        tiny=_attentive(_pairs(6, 0.6, operation), tiny=True),
        small=Size(_attentive(_pairs(47, 0.5, operation)), (0.0, 1.0), 2_500),
        full=Size(full, (0.0, 0.5, 1.0), 10_000),
    )


_MNIST, _DIGITS = (preset(name).experiment for name in ("sakamoto-2025", "digits"))
_FEW_MNIST = Images(dataset="mnist", train_size=1_000, test_size=1_000, subset="first")

SETTINGS: Mapping[str, Setting] = {
    "addition": _arithmetic("a + b", "add"),
    "addition-mlp": Setting(
        "a + b, MLP",
        tiny=_perceptron(_pairs(6, 0.6), 8),
        small=Size(_perceptron(_pairs(47, 0.7), 256), (0.0, 2.0), 5_000),
        full=Size(_perceptron(_pairs(97, 0.7), 512), (0.0, 0.5, 2.0), 20_000),
    ),
    "multiplication": _arithmetic("a · b", "multiply"),
    # S₄ for the small transformer: it memorises 70 % of the 576 pairs and does not generalise, so these are runs that
    # count for false alarms only; S₅ takes it too long.
    "permutations": Setting(
        "permutations, transformer",
        tiny=_attentive(_permutations(3, 0.6), tiny=True),
        small=Size(_attentive(_permutations(4, 0.7)), (0.0, 1.0), 1_500),
        full=Size(preset("permutation-s5").experiment, (0.0, 1.0), 20_000),
    ),
    "permutations-mlp": Setting(
        "S₅, MLP",
        tiny=_perceptron(_permutations(3, 0.6), 8),
        small=Size(_perceptron(_permutations(5, 0.8), 256), (0.0, 1.0), 7_000),
        full=Size(_perceptron(_permutations(5, 0.7), 512), (0.0, 1.0), 20_000),
    ),
    # The small one starts from × 4 and not × 8.
    "mnist": Setting(
        "MNIST, MLP",
        tiny=_tiny_images("sakamoto-2025", MLP(widths=(8,))),
        small=Size(replace(_MNIST, task=_FEW_MNIST, model=MLP(widths=(100, 100), init_scale=4.0)), (0.0, 0.5), 3_500),
        full=Size(_MNIST, (0.0, 0.1, 0.3), 25_000),
    ),
    "digits": Setting(
        "digits, MLP",
        tiny=_tiny_images("digits", MLP(widths=(8,))),
        small=Size(replace(_DIGITS, model=MLP(widths=(100, 100), init_scale=5.0)), (0.0, 0.5), 3_500),
        full=Size(_DIGITS, (0.0, 0.25, 0.5), 10_000),
    ),
    "digits-cnn": Setting(
        "digits, CNN",
        tiny=_tiny_images("digits", CNN(channels=(2,), widths=(8,))),
        small=Size(replace(_DIGITS, model=CNN(channels=(8, 16), widths=(64,), init_scale=10.0)), (0.0, 0.5), 3_500),
        full=Size(replace(_DIGITS, model=CNN(init_scale=10.0)), (0.0, 0.25, 0.5), 10_000),
    ),
    "parity": Setting(
        "sparse parity, MLP",
        tiny=_parity(8, 2, 8, size=60),
        small=Size(_parity(30, 3, 100), (0.0, 0.03, 0.1), 3_000),
        full=Size(_parity(40, 3, 200), (0.0, 0.03, 0.1), 10_000),
    ),
}
