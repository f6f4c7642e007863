"""Han et al. 2025: flatness is necessary for generalisation, neural collapse is not."""

from afterfit.studies.han_2025 import figures
from afterfit.studies.han_2025.claims import CLAIMS
from afterfit.studies.han_2025.readings import USUAL_FRACTION
from afterfit.studies.han_2025.sweeps import sweeps
from afterfit.studies.study import Choice, Drawing, Study

CHOICES = (
    Choice(
        "flatness",
        "relative flatness of the head: exact κ, or the published bound that is plotted",
        "exact",
        ("bound",),
    ),
    Choice(
        "clustering",
        "NC clustering: means over samples and pairs, as in the code, or sums, as in the text",
        "mean",
        ("sum",),
    ),
    Choice(
        "train_fraction",
        "share of the pairs in figure 1: one half in the text, one fifth in the code",
        USUAL_FRACTION,
        (0.2,),
    ),
    Choice("kernel", "representativeness: kernels of width .02 ‖φ‖, or of width 1", "weighted", ("fixed",)),
    Choice(
        "tolerance", "largest relative deviation that counts as none, for the assumptions of Prop 5.3", 0.1, (0.05, 0.3)
    ),
)
DRAWINGS = (
    Drawing(
        "figure-1", "Figure 1: accuracy, NC clustering, relative flatness (exact κ, and the bound that the paper plots), representativeness. Above the paper's network, below the one-layer network of the arms.",  # noqa: E501
        ("addition", "collapse", "mnist-collapse"), figures.figure_1,
    ),
    Drawing(
        "collapse", "Kept from collapsing (strengths below 0) and pushed to collapse (above 0), without and on images.",
        ("collapse", "mnist-collapse"), figures.arms_of_collapse,
    ),
    Drawing(
        "flatness", "Pushed away from flatness, kept so or unplugged (grey line), against the control that has all that changes at the unplug and no penalty ever.",  # noqa: E501
        ("flatness", "flatness-kept", "mnist-unplug", "mnist-kept"), figures.arms_of_flatness,
    ),
    Drawing(
        "proposition-5-3", "Prop 5.3: κ over its bound on exact frames (points) and by the closed form (2 + (k − 2) e^{−λδ})/k² (lines); the same along training; two of its assumptions there.",  # noqa: E501
        ("addition", "collapse", "mnist-collapse"), figures.proposition,
    ),
    Drawing(
        "resnet", "ResNet-18 on a part of CIFAR-10: clustering penalised either way (above); pushed away from flatness, then unplugged (below).",  # noqa: E501
        ("resnet-collapse", "resnet-unplug"), figures.resnet,
    ),
)  # fmt: skip
STUDY = Study(
    name="han-2025",
    title="Flatness is Necessary, Neural Collapse is Not",
    reference="Han, Adilova, Petzka, Kleesiek, Kamp 2025, “Flatness is Necessary, Neural Collapse is Not: Rethinking "
    "Generalization via Grokking”, NeurIPS 2025, arXiv:2509.17738",
    about="Whether generalisation needs a flat minimum, and whether it needs collapsed classes: both are pushed either "
    "way, with all else held.",
    sweeps=sweeps,
    claims=CLAIMS,
    drawings=DRAWINGS,
    choices=CHOICES,
)
