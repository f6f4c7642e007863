"""What each measure is called, what its number means, in which unit, and who introduced it.

One table for everything that people look at: the HTML report, the figures for papers and the terminal.
"""

from __future__ import annotations

from dataclasses import dataclass

FIT, COLLAPSE, SPECTRUM = "Fit and generalisation", "Neural collapse", "Spectrum of the features"
FLATNESS, INFORMATION, NORMS, OTHER = "Flatness and curvature", "Information", "Norms and structure", "Other measures"
FAMILIES = (FIT, COLLAPSE, SPECTRUM, FLATNESS, INFORMATION, NORMS, OTHER)

DIMENSIONLESS = "dimensionless"
SQUARED_FEATURES = "squared units of the features"
NATS = "nats"
LOSS = "units of the loss (nats for cross-entropy)"


@dataclass(frozen=True)
class Caption:
    """How one measure is presented; `limits` are the ends of a scale that is the same in every run."""

    title: str
    family: str
    meaning: str
    source: str = ""
    unit: str = DIMENSIONLESS
    limits: tuple[float, float] | None = None


PAPYAN = "Papyan, Han & Donoho 2020"
SAKAMOTO = "Sakamoto & Sato 2025"
HAN = "Han et al. 2025"
PETZKA = "Petzka et al. 2021"
TRUONG = "Truong et al. 2026"

KNOWN: dict[str, Caption] = {
    "accuracy": Caption(
        "Accuracy",
        FIT,
        "Share of the samples of a split whose largest logit is the right class; a rise on the test split long after "
        "the training split has been fit is grokking.",
        "Power et al. 2022",
        limits=(0.0, 1.0),
    ),
    "loss": Caption(
        "Loss",
        FIT,
        "The loss that training minimises, evaluated on each split.",
        unit=LOSS,
    ),
    "cross_entropy": Caption("Cross-entropy", FIT, "Mean negative log-probability of the right class.", unit=NATS),
    "squared_error": Caption(
        "Squared error",
        FIT,
        "Mean over samples of the squared distance between outputs and one-hot labels.",
    ),
    "nearest_class_mean_accuracy": Caption(
        "Accuracy of the nearest class mean",
        FIT,
        "Share of the samples of a split that lie nearest to the mean of their own class.",
        limits=(0.0, 1.0),
    ),
    "error_bound": Caption(
        "Error bound",
        FIT,
        "Upper bound on the probability of misclassification from the spread of each class along the directions that "
        "separate it from the others; a value above 1 says nothing.",
        f"{SAKAMOTO}, Theorem 3.2",
    ),
    "softmax_collapse": Caption(
        "Softmax collapse",
        FIT,
        "Share of the samples whose loss is exactly 0 in the number format of the logits, so that they no longer drive "
        "learning.",
        "Prieto et al. 2025",
        limits=(0.0, 1.0),
    ),
    "nc1": Caption(
        "NC1",
        COLLAPSE,
        "Variance of the features within classes relative to the variance between classes; 0 when every class is a "
        "point and the classes differ.",
        f"{PAPYAN}; trace ratio as in {SAKAMOTO}",
    ),
    "rnc1": Caption(
        "RNC1",
        COLLAPSE,
        "Variance of the features within classes divided by the squared norm of the features; 0 when every class is a "
        "point, whatever the distance between classes.",
        SAKAMOTO,
    ),
    "nc2": Caption(
        "NC2",
        COLLAPSE,
        "Condition number of the matrix of class means; 1 when the means are orthogonal and of equal norm.",
        f"{SAKAMOTO}, after {PAPYAN}",
    ),
    "nc3": Caption(
        "NC3",
        COLLAPSE,
        "Squared distance between the normalised head weights and the normalised, centred class means; 0 when they "
        "are dual to each other, 4 when opposite.",
        PAPYAN,
    ),
    "nc4": Caption(
        "NC4",
        COLLAPSE,
        "Share of the samples on which the head disagrees with the nearest class mean; 0 when the two decide alike.",
        PAPYAN,
        limits=(0.0, 1.0),
    ),
    "cdnv": Caption(
        "CDNV",
        COLLAPSE,
        "Class-distance normalised variance: mean over pairs of classes of their average variance divided by the "
        "squared distance of their means; 0 at collapse.",
        "Galanti, György & Hutter 2022",
    ),
    "within_class_variance": Caption(
        "Within-class variance",
        COLLAPSE,
        "Trace of the covariance of the features around their class means, Tr Σ_W; it depends on the scale of the "
        "features.",
        PAPYAN,
        unit=SQUARED_FEATURES,
    ),
    "between_class_variance": Caption(
        "Between-class variance",
        COLLAPSE,
        "Trace of the covariance of the class means around the global mean, Tr Σ_B; it depends on the scale of the "
        "features.",
        PAPYAN,
        unit=SQUARED_FEATURES,
    ),
    "spectral_entropy": Caption(
        "Spectral entropy",
        SPECTRUM,
        "Entropy of the normalised eigenvalues of the feature covariance divided by log(dimension): 1 when the "
        "variance is spread evenly over all directions, 0 when it lies in one.",
        TRUONG,
        limits=(0.0, 1.0),
    ),
    "effective_rank": Caption(
        "Effective rank",
        SPECTRUM,
        "Exponential of the entropy of the normalised singular values of the features: the number of directions in "
        "use.",
        "Roy & Vetterli 2007",
        unit="directions",
    ),
    "participation_ratio": Caption(
        "Participation ratio",
        SPECTRUM,
        "(Σ λ)² / Σ λ² over the eigenvalues λ of the feature covariance: the number of directions that carry the "
        "variance.",
        "Gao et al. 2017",
        unit="directions",
    ),
    "stable_rank": Caption(
        "Stable rank",
        SPECTRUM,
        "Squared Frobenius norm divided by the squared spectral norm: a lower bound on the rank that small "
        "perturbations hardly move.",
        "Rudelson & Vershynin 2007",
        unit="directions",
    ),
    "fourier_alignment": Caption(
        "Fourier alignment",
        SPECTRUM,
        "Overlap of the leading directions of the representation with the Fourier basis of the inputs modulo p; 1 "
        "when they span the same space.",
        f"{TRUONG}; Nanda et al. 2023",
    ),
    "relative_flatness": Caption(
        "Relative flatness",
        FLATNESS,
        "κ: trace of the loss Hessian of the head weighted by products of its weights, unchanged when layers are "
        "rescaled without changing the function; small is flat.",
        PETZKA,
        unit=LOSS,
    ),
    "relative_flatness_bound": Caption(
        "Bound on relative flatness",
        FLATNESS,
        "‖W‖² (1 − ‖p‖²) ‖φ‖² averaged over samples, as published; unlike κ it moves when one vector is added to every "
        "row of W, which leaves the network the same.",
        HAN,
        unit=LOSS,
    ),
    "hessian_trace": Caption(
        "Trace of the Hessian",
        FLATNESS,
        "Sum of the curvatures of the loss over all parameters; it changes when layers are rescaled.",
        unit="units of the loss per squared parameter",
    ),
    "sharpness": Caption(
        "Sharpness",
        FLATNESS,
        "Largest eigenvalue of the Hessian of the loss; it changes when layers are rescaled.",
        "Cohen et al. 2021",
        unit="units of the loss per squared parameter",
    ),
    "learning_coefficient": Caption(
        "Local learning coefficient",
        FLATNESS,
        "How fast the volume of parameters with nearly the same loss shrinks around the current ones; smaller is more "
        "degenerate.",
        "Lau et al. 2023",
    ),
    "representativeness": Caption(
        "Representativeness",
        FLATNESS,
        "How badly the training features stand for unseen ones, by kernel density estimates; 0 when they do so well.",
        HAN,
    ),
    "superfluous_information": Caption(
        "Superfluous information",
        INFORMATION,
        "I(Z;X) − I(Z;Y): what the features keep of the input beyond the label; an estimate that can come out "
        "negative.",
        SAKAMOTO,
        unit=NATS,
    ),
    "superfluous_information_bound": Caption(
        "Bound on superfluous information",
        INFORMATION,
        "Upper bound on I(Z;X) − I(Z;Y) from the covariance of the features within each class.",
        f"{SAKAMOTO}, Theorem 3.4",
        unit=NATS,
    ),
    "mutual_information_inputs": Caption(
        "I(Z;X)",
        INFORMATION,
        "Mutual information of features and inputs by nearest neighbours; an estimate that can come out negative.",
        "Berrett, Samworth & Yuan 2019",
        unit=NATS,
    ),
    "mutual_information_labels": Caption(
        "I(Z;Y)",
        INFORMATION,
        "Mutual information of features and labels by nearest neighbours; at most the entropy of the labels, up to the "
        "error of the estimate.",
        "Ross 2014",
        unit=NATS,
    ),
    "nhsic": Caption(
        "nHSIC",
        INFORMATION,
        "Normalised Hilbert–Schmidt independence criterion: kernel dependence of the features on another variable; 0 "
        "when they are independent.",
        "Fukumizu et al. 2007",
    ),
    "weight_norm": Caption(
        "Weight norm",
        NORMS,
        "Euclidean norm of all parameters together, ‖θ‖.",
        "Liu et al. 2022",
        unit="units of the parameters",
    ),
    "gradient_norm": Caption(
        "Gradient norm",
        NORMS,
        "Euclidean norm of the gradient of the loss with respect to all parameters.",
        unit="units of the loss per parameter",
    ),
    "feature_norm": Caption(
        "Feature norm",
        NORMS,
        "Mean Euclidean norm of the features that the head reads.",
        unit="units of the features",
    ),
}


def caption_of(measure: str) -> Caption:
    """The caption of a measure without its split: `nc1`, `rnc1[scale=max_norm]`, `spectral_entropy@block0`.

    Its own name when it is unknown.
    """
    written, _, layer = measure.partition("@")
    name, _, options = written.partition("[")
    known = KNOWN.get(name) or Caption(
        name.replace("_", " ") or measure, OTHER, f"The measure {name}, as it was recorded.", unit="unit not recorded"
    )
    added = [options.rstrip("]").replace("_", " ").replace("=", " ")] * bool(options) + [layer] * bool(layer)
    if not added:
        return known
    return Caption(
        ", ".join([known.title, *added]),
        known.family,
        known.meaning,
        known.source,
        unit=known.unit,
        limits=known.limits,
    )


def order_of(measure: str) -> tuple[int, int, str]:
    """Sort key that puts measures into the order of families, then of the table above, then of the layers."""
    name = measure.partition("@")[0].partition("[")[0]
    rank = list(KNOWN).index(name) if name in KNOWN else len(KNOWN)
    return FAMILIES.index(caption_of(measure).family), rank, measure
