"""Sakamoto & Sato 2025: whether neural collapse explains grokking and the information bottleneck."""

from afterfit.studies.sakamoto_2025.claims_elsewhere import ARCHITECTURES, OTHERWISE
from afterfit.studies.sakamoto_2025.claims_features import FEATURES, THEOREMS
from afterfit.studies.sakamoto_2025.claims_training import OPEN, TRAINING
from afterfit.studies.sakamoto_2025.figures import DRAWINGS
from afterfit.studies.sakamoto_2025.sweeps import sweeps
from afterfit.studies.study import Choice, Study

STUDY = Study(
    name="sakamoto-2025",
    title="Explaining Grokking and Information Bottleneck through Neural Collapse Emergence",
    reference="Sakamoto & Sato 2025, arXiv 2509.20829",
    about="Whether grokking is the contraction of classes (RNC1) of unseen data, at a time that weight decay sets, and"
    " whether the same contraction is the compression of the information bottleneck.",
    sweeps=sweeps,
    claims=(*TRAINING, *FEATURES, *ARCHITECTURES, *THEOREMS, *OPEN, *OTHERWISE),
    drawings=DRAWINGS,
    choices=(
        Choice(
            "rnc1_scale", "RNC1 divides by the mean feature norm (as the released code) or the largest (as defined)",
            "mean_norm", ("max_norm",),
        ),
        Choice(
            "half_way", "RNC1 is half way as it is, or in its logarithm, in which an exponential decay has no end and"
            " so half way depends on the budget", "linear", ("logarithm",),
        ),
        Choice(
            "epsilon_2", "the RNC1 at which a network counts as collapsed: .1, .2 or .03 (in theorem 4.3's setting"
            " .005, .01 or .002); a sixth of it with the largest norm", "middle", ("loose", "tight"),
        ),
        Choice(
            "information", "the estimator of mutual information: sums of entropies as published, or nearest neighbours"
            " whose errors cancel", "entropies", ("ksg",),
        ),
        Choice(
            "margin_unit", "margins as published, or in units of the gap between the two classes", "raw", ("gap",),
        ),
    ),
)  # fmt: skip
