"""Presets: published set-ups and two that a laptop finishes in a minute, each a plain `Experiment`.

What a paper leaves open is said beside the value that was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from afterfit.models import CNN, MLP, ResNet18, Transformer, VisionTransformer
from afterfit.parts import SpecError, nearest
from afterfit.spec.events import MEMORISED, Threshold
from afterfit.spec.experiment import Experiment, Minibatch
from afterfit.spec.losses import SquaredError
from afterfit.spec.optimizers import SGD, AdamW
from afterfit.spec.schedules import Every, Paced
from afterfit.tasks import Images, ModularArithmetic, PermutationComposition


@dataclass(frozen=True)
class Preset:
    """An experiment with a name, what it shows, and its usual seeds."""

    about: str
    experiment: Experiment
    seeds: tuple[int, ...] = (0, 1, 2, 3)


# Adam's second moment decays faster (.98) in the algorithmic set-ups since Power et al. 2022.
_MODULAR_ADDITION = Experiment(
    task=ModularArithmetic(operation="add", p=97, train_fraction=0.4, sequence="pair"),
    model=Transformer(layers=1, width=128, heads=4, mlp_width=512),
    optimizer=AdamW(learning_rate=1e-3, weight_decay=1.0, b2=0.98),
    minibatch=Minibatch(size=512),
    steps=10_000,
    schedule=Every(steps=200),
    probe=2_048,
    stop_when="generalised",
    patience=400,
)

_NANDA_2023 = Experiment(
    task=ModularArithmetic(operation="add", p=113, train_fraction=0.3, sequence="equals"),
    model=Transformer(layers=1, width=128, heads=4, mlp_width=512, norm="none", bias="mlp", init="normal"),
    optimizer=AdamW(learning_rate=1e-3, weight_decay=1.0, b2=0.98, warmup_steps=10),
    minibatch=Minibatch(size=None),
    steps=40_000,
    schedule=Every(steps=100),
)

# Norm and positions are those of the released code; division, the paper's first figure, at half of the pairs.
_POWER_2022 = Experiment(
    task=ModularArithmetic(operation="divide", p=97, train_fraction=0.5, sequence="full"),
    model=Transformer(
        layers=2, width=128, heads=4, mlp_width=512, norm="post", positions="sinusoidal", bias="none", init="torch"
    ),
    optimizer=AdamW(learning_rate=1e-3, weight_decay=1.0, b2=0.98, warmup_steps=10),
    minibatch=Minibatch(size=512),
    steps=100_000,
    schedule=Every(steps=200),
    stop_when="generalised",
    patience=2_000,
)

# Positions, norm, activation and read-out are those of the same group's companion code; betas are open: PyTorch's.
_TRUONG_2026 = Experiment(
    task=ModularArithmetic(operation="add", p=97, train_fraction=0.2, sequence="pair"),
    model=Transformer(
        layers=1, width=128, heads=4, mlp_width=512, activation="gelu", norm="post", final_norm=True,
        causal=False, bias="all", init="torch",
    ),
    optimizer=AdamW(learning_rate=1e-3, weight_decay=1.0),
    minibatch=Minibatch(size=512, order="replacement"),
    steps=50_000,
    schedule=Every(steps=200),
    probe=512,
)  # fmt: skip

# No one paper's: at 60 % it generalises within a few minutes on one core, where 50 % leaves half of the seeds behind.
_PERMUTATION_S5 = Experiment(
    task=PermutationComposition(n=5, train_fraction=0.6, sequence="pair"),
    model=Transformer(layers=1, width=128, heads=4, mlp_width=512),
    optimizer=AdamW(learning_rate=1e-3, weight_decay=1.0, b2=0.98),
    minibatch=Minibatch(size=512),
    steps=20_000,
    schedule=Every(steps=200),
    stop_when="generalised",
    patience=1_000,
)

# Image networks do not reach .99 on the test set: "generalised" is declared at .85, near what the papers call it.
_IMAGE_EVENTS = (MEMORISED, Threshold(name="generalised", measure="test/accuracy", at_least=0.85))

_SAKAMOTO_2025 = Experiment(
    task=Images(dataset="mnist", train_size=1_000, subset="first"),
    model=MLP(widths=(200, 200, 200), activation="relu", init_scale=8.0),
    loss=SquaredError(reduction="sum"),
    optimizer=AdamW(learning_rate=1e-3, weight_decay=0.01),
    minibatch=Minibatch(size=100),
    steps=100_000,
    schedule=Paced(until=(30, 150), every=(1, 10, 666)),
    events=_IMAGE_EVENTS,
)

_SAKAMOTO_2025_FASHION = replace(_SAKAMOTO_2025, task=Images(dataset="fashion-mnist", train_size=1_000, subset="first"))

# Convolutions with zeros around, a class token from N(0, 1), layer norms after the sums: the released code's. There the
# scale multiplies the linear layers of the one, feed-forward part and head of the other, weights and biases.
_SAKAMOTO_2025_CNN = replace(_SAKAMOTO_2025, model=CNN(channels=(16, 32), widths=(128,), init_scale=8.0))
_SAKAMOTO_2025_TRANSFORMER = replace(
    _SAKAMOTO_2025, model=VisionTransformer(width=128, heads=4, mlp_width=256, patch=4, init_scale=8.0)
)

# ResNet-18 on small images without augmentation comes to about .8 of the test set: "generalised" is declared at .75.
_CIFAR_EVENTS = (MEMORISED, Threshold(name="generalised", measure="test/accuracy", at_least=0.75))

# All images of the files. Minibatch, rate, decay and steps are not given apart for CIFAR-10: those of MNIST.
_SAKAMOTO_2025_RESNET = replace(
    _SAKAMOTO_2025,
    task=Images(dataset="cifar-10", train_size=None),
    model=ResNet18(stem="3x3", init="torch"),
    events=_CIFAR_EVENTS,
)

# The released code's: 20 % of the pairs, 1e5 steps, one seed; the text has 50 %, 1e6 and three. Network and warm-up are
# those of Power et al., whose code it goes back to; the rate is a tenth of theirs.
_HAN_2025 = replace(
    _POWER_2022,
    task=ModularArithmetic(operation="add", p=97, train_fraction=0.2, sequence="full"),
    optimizer=AdamW(learning_rate=1e-4, weight_decay=1.0, b2=0.98, warmup_steps=10),
    stop_when=None,
    patience=0,
)

# 250 epochs of 781 minibatches, observed after each. Open: initialisation (torchvision's); augmentation, decay (none).
_HAN_2025_RESNET = Experiment(
    task=Images(dataset="cifar-10", train_size=None),
    model=ResNet18(stem="7x7", init="torchvision"),
    optimizer=SGD(learning_rate=1e-2, momentum=0.9),
    minibatch=Minibatch(size=64),
    steps=250 * 781,
    schedule=Every(steps=781),
    events=_CIFAR_EVENTS,
)

# Liu et al. 2022, "Omnigrok", figure 3, as its released code has it: three linear layers, pixels in [0, 1], all
# parameters × 8, PyTorch's MSELoss (mean over minibatch and classes), batches of 200. Theirs is float64, ours float32.
_OMNIGROK = Experiment(
    task=Images(dataset="mnist", train_size=1_000, subset="first", normalise="unit"),
    model=MLP(widths=(200, 200), activation="relu", init_scale=8.0),
    loss=SquaredError(reduction="mean"),
    optimizer=AdamW(learning_rate=1e-3, weight_decay=0.01),
    minibatch=Minibatch(size=200),
    steps=100_000,
    schedule=Paced(until=(30, 150), every=(1, 10, 667)),
    events=_IMAGE_EVENTS,
)

# The mechanism of the two above, a large initialisation and weight decay, on 150 images of 8 × 8 pixels. Seeds 0-7
# (each draws its own images) memorise at step 250 (median; 150-300) with 17 % of the test images right, stay below 50 %
# until about step 2,100, and generalise (85 %) at 3,575 (3,350-3,650); 1,000 steps later 89-93 % are right.
_DIGITS = Experiment(
    task=Images(dataset="digits", train_size=150, subset="random"),
    model=MLP(widths=(400, 400), activation="relu", init_scale=5.0),
    loss=SquaredError(reduction="sum"),
    optimizer=AdamW(learning_rate=1e-3, weight_decay=0.25),
    minibatch=Minibatch(size=50),
    steps=10_000,
    schedule=Paced(until=(500,), every=(25, 100)),
    events=_IMAGE_EVENTS,
    stop_when="generalised",
    patience=1_000,
)

PRESETS: Mapping[str, Preset] = {
    "modular-addition": Preset("(a + b) mod 97 by a one-layer transformer: grokking in a minute", _MODULAR_ADDITION),
    "nanda-2023": Preset("(a + b) mod 113, full batch, no layer norm (Nanda et al. 2023)", _NANDA_2023),
    "power-2022": Preset("(a / b) mod 97, two-layer decoder, full token sequence (Power et al. 2022)", _POWER_2022),
    "truong-2026": Preset("(a + b) mod 97 from 20 % of the pairs (Truong et al. 2026)", _TRUONG_2026),
    "permutation-s5": Preset("composition of permutations of five things", _PERMUTATION_S5),
    "sakamoto-2025": Preset("1,000 MNIST images, initialisation × 8 (Sakamoto & Sato 2025)", _SAKAMOTO_2025, (42,)),
    "sakamoto-2025-fashion": Preset("the same on Fashion-MNIST", _SAKAMOTO_2025_FASHION, (42,)),
    "sakamoto-2025-cnn": Preset("the same on MNIST by a convolutional network", _SAKAMOTO_2025_CNN, (42,)),
    "sakamoto-2025-transformer": Preset("the same by a vision transformer", _SAKAMOTO_2025_TRANSFORMER, (42,)),
    "sakamoto-2025-resnet": Preset("all of CIFAR-10 by a ResNet-18, default start", _SAKAMOTO_2025_RESNET, (42,)),
    "han-2025": Preset("(a + b) mod 97 from 20 %, two-layer decoder (Han et al. 2025)", _HAN_2025, (42,)),
    "han-2025-resnet": Preset("all of CIFAR-10 by a ResNet-18 (Han et al. 2025)", _HAN_2025_RESNET, (0, 1, 2)),
    "omnigrok": Preset("1,000 MNIST images, mean squared error (Liu et al. 2022)", _OMNIGROK),
    "digits": Preset("scikit-learn's digits: grokking on real images with no download", _DIGITS),
}


def preset(name: str) -> Preset:
    """The preset of this name, or SpecError with the nearest name."""
    if name not in PRESETS:
        raise SpecError("preset", name, nearest(name, PRESETS))
    return PRESETS[name]
