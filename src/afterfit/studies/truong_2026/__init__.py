"""Truong et al. 2026: spectral entropy collapse before delayed generalisation."""

from __future__ import annotations

from afterfit.studies.study import Choice, Study
from afterfit.studies.truong_2026 import (
    claims_elsewhere,
    claims_forecasts,
    claims_interventions,
    claims_onset,
    figures,
)
from afterfit.studies.truong_2026.sweeps import EASIER_FRACTION, PUBLISHED_FRACTION, sweeps

_JUDGED = (*claims_onset.CLAIMS, *claims_interventions.CLAIMS, *claims_elsewhere.CLAIMS, *claims_forecasts.CLAIMS)
_ORDER = ("C1", "C2", "C3", "C4", "C5", "C6", "C7", "C7S", "C8", "C9", "C10", "C11", "C12", "C13", "C14", "C15")

STUDY = Study(
    name="truong-2026",
    title="Spectral entropy collapse before delayed generalisation",
    reference=(
        "Truong Xuan Khanh, Truong Quynh Hoa, Luu Duc Trung, Phan Thanh Duc 2026, “Spectral Entropy Collapse as an "
        "Empirical Signature of Delayed Generalisation in Grokking”, arXiv 2604.13123"
    ),
    about=(
        "Does the entropy of a representation's spectrum collapse before a network generalises, at a threshold, and "
        "does it cause it? With what the paper leaves out: runs that never generalise, forecasts of seeds that the law "
        "has not seen, a dose–response of the intervention, and a control that is as large and random."
    ),
    sweeps=sweeps,
    claims=tuple(sorted(_JUDGED, key=lambda claim: _ORDER.index(claim.id))),
    drawings=figures.DRAWINGS,
    choices=(
        Choice("center", "whether the covariance is centred", True, (False,)),
        Choice("window", "observations within which H̃ must fall by .05, the present one among them", 5, (6,)),
        Choice("begin", "the step from which on a collapse counts: the start, or where all is memorised", 0, (600,)),
        Choice("train_fraction", "the share of the pairs trained on", PUBLISHED_FRACTION, (EASIER_FRACTION,)),
        Choice("strength", "α of the mixing", 0.3, (0.1, 0.5)),
        Choice("layer", "whose output is mixed: what the head reads, or what the last norm reads", "head", ("block0",)),
        Choice("threshold_at", "the test accuracy at which H̃ is taken for H*", 0.99, (0.5,)),
        Choice("characters", "which waves belong to a frequency of A_F", "sum", ("operands",)),
    ),
)

__all__ = ["STUDY"]
