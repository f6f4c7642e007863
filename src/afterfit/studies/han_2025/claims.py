"""What Han et al. 2025 claim, and the rules by which it is judged, fixed before running. B5 to B7 are our questions."""

from __future__ import annotations

from afterfit.studies.han_2025.collapse import generalise_as_well
from afterfit.studies.han_2025.flatness import pushed, resnet
from afterfit.studies.han_2025.memorising import memorising, representative, stand_in
from afterfit.studies.han_2025.proposition import proposition, where_it_applies
from afterfit.studies.han_2025.tables import VIEWED
from afterfit.studies.study import Claim

ADDITION = (
    "the paper's network and task for fewer seeds and steps; and the one-layer network of the preset modular-addition"
)
CLAIMS = (
    Claim(
        id="B1",
        text="NC clustering falls during memorisation already, flatness improves only with generalisation",
        published="NCC 45–51 to 4 by 3,000 steps; flatness bound 2·10⁴ up to 3.3·10⁵ when memorised, then to 4·10⁴",
        where="figure 1",
        rule="All three, as means over runs of log₂ of ratios with intervals: NCC at memorisation is below half of "
        "that at the start; flatness at memorisation is above that at the start (larger is sharper); flatness when "
        "generalised is below half of that at memorisation. The paper's network decides if it has three runs, else the "
        "one-layer network.",
        needs=VIEWED,
        judge=memorising,
        choices=("flatness", "clustering", "train_fraction"),
        instead=ADDITION,
    ),
    Claim(
        id="B2",
        text="models kept from collapsing, and models pushed to collapse, generalise as well",
        published="λ = 10⁻³: accuracy and flatness unchanged, NCC stays up; pushed to collapse: named, no numbers",
        where="section on suppressing collapse, CIFAR-10 with ResNet-18, 3 seeds",
        rule="In each setting and direction the gentlest strength that moved train NCC by a factor of two (its whole "
        "interval) decides; where none did, nothing can be told. There the interval of the difference of test accuracy "
        "must lie within two points, and that of log₂ of the ratio of times to generalise within ±1 (twice or half as "
        "long). Reproduced if that holds wherever NCC was moved, not reproduced if one of these intervals misses its "
        "margin. A run that diverges never generalises.",
        needs=("collapse", "collapse-norm", "mnist-collapse"),
        judge=generalise_as_well,
        instead="modular addition and an MLP on MNIST; ResNet-18 on a part of CIFAR-10 under B8",
    ),
    Claim(
        id="B3",
        text="models pushed away from flatness generalise later; unplugged, they recover",
        published="validation 60 % with the penalty (78 % without), 78 % after unplugging",
        where="section on delayed generalisation, CIFAR-10 with ResNet-18",
        rule="Modular addition, at the weakest penalty under which flatness is at least twice the control's, on "
        "average until the control generalises: log₂ of the ratio of times to generalise above 0; and, at the weakest "
        "from there on under which three runs or more had not generalised when it was unplugged, these runs' test "
        "accuracy at the end within two points of the control's, which has the same cap. MNIST, if flatness at the "
        "unplug is above the control's: test accuracy there below the control's, and at the end within two points of "
        "that of the matched-schedule control. Whole intervals, all four. Flatness has one definition throughout.",
        needs=("flatness", "flatness-kept", "flatness-norm", "mnist-collapse", "mnist-unplug", "mnist-kept"),
        judge=pushed,
        choices=("flatness",),
        instead="modular addition and an MLP on MNIST; ResNet-18 on a part of CIFAR-10 under B8",
    ),
    Claim(
        id="B4",
        text="Prop 5.3 holds on exact frames, and its bound is respected along training",
        published="κ ≤ λ²k³M⁴e^{−λδ}/(1 + (k − 1)e^{−λδ})²",
        where="proposition 5.3",
        rule="On every exact frame κ is at most the bound and equals its closed form; and in nine of ten runs κ is at "
        "most the bound, at the fitted λ and M, at every kept step from memorisation on, whether its assumptions "
        "hold or not (see B5).",
        needs=VIEWED,
        judge=proposition,
    ),
    Claim(
        id="B5",
        text="(ours) where the assumptions of Prop 5.3 hold along training, its bound does",
        published="",
        where="proposition 5.3",
        rule="As B4, of those kept steps alone at which every measured deviation (spread within classes, frame, "
        "self-duality, global mean, longest mean, bias) is at most the tolerance; inconclusive if there is none.",
        needs=VIEWED,
        judge=where_it_applies,
        choices=("tolerance",),
    ),
    Claim(
        id="B6",
        text="representativeness falls to 0 as validation accuracy reaches 100 %",
        published="0",
        where="figure on representativeness",
        rule="Over runs that generalise, what is left of the largest representativeness at the last kept step is below "
        "one tenth, with its whole interval.",
        needs=VIEWED,
        judge=representative,
        choices=("kernel", "train_fraction"),
        instead=ADDITION,
    ),
    Claim(
        id="B7",
        text="(ours) the plotted bound overstates κ by a factor that changes twofold or more while training",
        published="",
        where="figure 1",
        rule="The interval of log₂ of the change of bound/κ from the start to generalisation lies beyond 1, or −1; "
        "not reproduced if it lies within.",
        needs=("addition", "collapse"),
        judge=stand_in,
        choices=("train_fraction",),
    ),
    Claim(
        id="B8",
        text="B2 and B3 in the paper's network on images",
        published="60 % and 78 %, against 78 %",
        where="CIFAR-10 with ResNet-18, 250 and 400 epochs",
        rule="None: the numbers stand beside the published ones.",
        needs=("resnet-collapse", "resnet-unplug"),
        judge=resnet,
        choices=("flatness",),
        instead="5,000 training images of CIFAR-10 at most (1,000 at the quick scale), 1,000 to test on, a few epochs",
    ),
)
