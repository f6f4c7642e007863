"""The information plane as published: I(Z;X), I(Z;Y) and nHSIC along training, with x and z of the same image paired.

Features are a function of the image, so I(Z;X) without noise is infinite in truth: what is estimated is what nearest
neighbours can see of it, and its course is what the paper plots. In 4 + 4 dimensions the published estimator (sums of
entropies) scatters by .1 to .3 nats with 10,000 images and more with fewer; "ksg" underestimates more than .9 nats but
keeps the shape of a course (docs/calibration.md). Both are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from afterfit import measures as m
from afterfit.studies.sakamoto_2025.tables import SWEEP, Kept, kept, widest

if TYPE_CHECKING:
    import pandas as pd

    from afterfit.studies.evidence import Evidence
    from afterfit.views import View

DIMENSIONS, NEIGHBOURS, MINIBATCH = 4, 5, 100
# Training images and epochs of the auto-encoder (published: 60,000 and 200), and test images that are looked at.
EFFORT = {"smoke": (64, 1, 200), "quick": (10_000, 5, 2_500), "full": (60_000, 40, 10_000)}
STEPS = (0, 1_000, 4_000, 8_000, 12_000, 16_000, 20_000, 25_000, 40_000, 60_000, 80_000, 100_000)


def information(evidence: Evidence) -> pd.DataFrame:
    """A row a member (at the quick scale of the first seed) and snapshot: I(Z;X), I(Z;Y) by both, and nHSIC."""
    import pandas as pd

    runs = evidence.runs[SWEEP]
    looked_at = list(kept(runs, steps=STEPS, first_seed=evidence.scale == "quick"))
    test = runs.view(looked_at[0].member, "test", looked_at[0].step)
    codes = image_codes(evidence.scale, np.asarray(test.inputs, dtype=np.float32), evidence)

    def of(at: Kept) -> list[dict[str, Any]]:
        evidence.tell(f"information of member {at.member} at step {at.step}")
        train, test = (runs.view(at.member, split, at.step) for split in ("train", "test"))
        scales = ("mean_norm", "max_norm")
        collapse = {f"rnc1_{name}": float(m.rnc1(train.features, train.labels, scale=name)) for name in scales}
        return [at.columns() | collapse | of_view(test.first(len(codes)), codes)]

    return pd.DataFrame(evidence.rows("information", looked_at, of))


def image_codes(scale: str, test_images: np.ndarray, evidence: Evidence) -> np.ndarray:
    """The auto-encoder's four numbers for each of the first test images; it is trained on training images."""
    from afterfit.models.autoencoder import fit_autoencoder
    from afterfit.tasks import Images

    count, epochs, looked_at = EFFORT[scale]
    training = Images(dataset="mnist", train_size=count, test_size=1).table().inputs[:count]
    found = fit_autoencoder(
        training,
        dimensions=DIMENSIONS,
        epochs=epochs,
        minibatch=min(256, count // 2),
        told=lambda epoch, loss: evidence.tell(f"auto-encoder: epoch {epoch} of {epochs}, loss {loss:.4f}"),
    )
    return found.encode(test_images[:looked_at])


def of_view(view: View, codes: np.ndarray) -> dict[str, Any]:
    """All numbers of one view whose rows are the codes' images."""
    features, labels = np.asarray(view.features, dtype=float), np.asarray(view.labels)
    z = (features - features.mean(axis=0)) @ widest(features, DIMENSIONS)
    images = np.asarray(view.inputs, dtype=float).reshape(len(labels), -1)
    found: dict[str, Any] = {"images": len(labels), "accuracy": float((view.logits.argmax(axis=1) == labels).mean())}
    for name, of_labels in (("entropies", "entropies"), ("ksg", "ross")):
        x = m.mutual_information_knn(codes, z, NEIGHBOURS, estimator=name)
        y = m.mutual_information_labels(whitened(z), labels, NEIGHBOURS, estimator=of_labels)
        found |= {f"zx_{name}": float(x), f"zy_{name}": float(y), f"superfluous_{name}": float(x) - float(y)}
        found |= {f"error_{name}": float(np.hypot(x.standard_error, y.standard_error)), f"doubt_{name}": x.warning}
    nhsic_x = float(m.nhsic(features, images, minibatch=min(MINIBATCH, len(labels))))
    nhsic_y = float(m.nhsic_labels(features, labels, minibatch=min(MINIBATCH, len(labels))))
    return found | {"nhsic_x": nhsic_x, "nhsic_y": nhsic_y, "nhsic_difference": nhsic_x - nhsic_y}


def whitened(z: np.ndarray) -> np.ndarray:
    """Principal scores brought to variance one, as before every published estimate; constant columns stay as they are.

    Scores are uncorrelated, so this is what Cholesky's factor of the covariance + 1e-6 does.
    """
    return z / np.sqrt(z.var(axis=0) + 1e-6)
