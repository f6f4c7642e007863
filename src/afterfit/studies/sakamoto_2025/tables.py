"""Numbers that are taken of kept parameters after training: bounds, the chain, margins, rates.

Each function gives a table of plain columns with a row a member and snapshot (or finer); none depends on a choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from afterfit import measures as m
from afterfit import theory
from afterfit.studies.evidence import kept_steps
from afterfit.studies.sakamoto_2025.readings import DECAY

if TYPE_CHECKING:
    import pandas as pd

    from afterfit.lab.runs import Runs
    from afterfit.studies.evidence import Evidence
    from afterfit.views import View

SWEEP = "mnist"
# Snapshots that are looked at, each the first that was kept from there on: not all, since each costs a second or more.
STEPS = (
    0, 50, 100, 150, 1_000, 4_000, 8_000, 12_000, 16_000, 20_000, 25_000, 30_000, 40_000, 60_000, 80_000, 100_000,
)  # fmt: skip
NOISES = (0.03, 0.1, 0.3, 1.0)  # σ of theorem 3.4, in units of B
DIRECTIONS = (
    1  # of a class that the estimate sees: with 900 samples only 1 + 1 dimensions are calibrated beyond .05 nats
)
RATE_SIZES, RATE_DRAWS = (10, 20, 40, 80, 160, 320), 200
EARLY, LATE, MARGIN_DECAY = 16_000, 100_000, 0.01  # of figure 2
PAIR = (0, 1)  # the classes of figure 2's violins


class Kept(NamedTuple):
    """One member at one of its snapshots."""

    member: int
    seed: int
    decay: float
    step: int

    def columns(self) -> dict[str, Any]:
        """As the first columns of a row."""
        return self._asdict()


def kept(runs: Runs, *, first_seed: bool = False, steps: tuple[int, ...] = STEPS) -> Iterator[Kept]:
    """All members (or those of the first seed), each at the first snapshot from every one of the steps on."""
    first = min(record.seed for record in runs.members)
    for record in runs.members:
        if first_seed and record.seed != first:
            continue
        there = kept_steps(runs, record.member)
        found = {_first_from(there, step) for step in steps}
        for step in sorted(step for step in found if step is not None):
            yield Kept(record.member, record.seed, float(record.varied[DECAY]), step)


def _first_from(there: list[int], step: int) -> int | None:
    """The first snapshot at or after a step, or None."""
    return min((each for each in there if each >= step), default=None)


def bounds(evidence: Evidence) -> pd.DataFrame:
    """Theorem 3.2's bound along training against the error that it bounds.

    Class means and variances are those of every second test image, the error is that of the others, so that the bound
    is tried on images it has not seen. `train_full` is the bound with the statistics of the training images, which
    theorem 4.1 says to be near for many of them.
    """
    import pandas as pd

    runs = evidence.runs[SWEEP]
    return pd.DataFrame(evidence.rows("bounds", kept(runs), lambda at: [at.columns() | _bounds(runs, at)]))


def _bounds(runs: Runs, at: Kept) -> dict[str, float]:
    train, test = (runs.view(at.member, split, at.step) for split in ("train", "test"))
    wrong = test.logits[1::2].argmax(axis=1) != test.labels[1::2]
    held_out = (test.features[::2], test.labels[::2], test.head_weight, test.head_bias)
    full, directional = (theory.error_bound(*held_out, variance=kind) for kind in ("full", "directional"))
    known = theory.error_bound(train.features, train.labels, train.head_weight, train.head_bias)
    return {
        "test_error": float(wrong.mean()),
        "full": float(full.value),
        "directional": float(directional.value),
        "train_full": float(known.value),
        "rnc1_train": float(m.rnc1(train.features, train.labels)),
        "rnc1_test": float(m.rnc1(test.features, test.labels)),
    }


def chain(evidence: Evidence) -> pd.DataFrame:
    r"""Theorem 3.4's chain I(Z;X|Y) ≤ log-det ≤ trace along training, for several noises; Z = g(X) + B σ ε.

    Nearest neighbours are lost in 200 dimensions. So the estimate is I(P_c Z; P_c g(X) | Y), P_c onto the widest
    direction of class c: functions of Z and of X, so that by the data processing inequality it is at most I(Z;X|Y).
    In 1 + 1 dimensions with 900 samples a class docs/calibration.md vouches for it up to 1.95 nats; beyond there is a
    warning. `seen` is the log-det bound of this direction alone, which the estimate should be near.
    """
    import pandas as pd

    runs = evidence.runs[SWEEP]

    def of(at: Kept) -> list[dict[str, Any]]:
        view = runs.view(at.member, "test", at.step)
        return [at.columns() | _chain(view, noise) for noise in NOISES]

    return pd.DataFrame(evidence.rows("chain", kept(runs, first_seed=True), of))


def _chain(view: View, noise: float) -> dict[str, Any]:
    features, labels = np.asarray(view.features, dtype=float), np.asarray(view.labels)
    size = float(np.linalg.norm(features, axis=1).max())
    noisy = features + size * noise * np.random.default_rng(0).normal(size=features.shape)
    clean, seen = np.zeros((2, len(features), DIRECTIONS))
    for c in np.unique(labels):
        rows = labels == c
        directions = widest(features[rows], DIRECTIONS)
        clean[rows], seen[rows] = features[rows] @ directions, noisy[rows] @ directions
    estimate = m.conditional_mutual_information(clean, seen, labels)
    found = theory.superfluous_information(features, labels, noise)
    shown = float(np.linalg.norm(clean, axis=1).max()) or 1.0
    return {
        "noise": noise,
        "estimate": float(estimate),
        "standard_error": estimate.standard_error,
        "seen": float(theory.superfluous_information(clean, labels, noise * size / shown).log_det),
        "log_det": float(found.log_det),
        "trace": float(found.trace),
        "warning": estimate.warning or "",
    }


def widest(features: np.ndarray, count: int) -> np.ndarray:
    """The orthonormal directions (d, count) along which centred features vary most."""
    centred = features - features.mean(axis=0)
    return np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :count]


def margin_steps(runs: Runs, member: int) -> tuple[int, int] | None:
    """The two snapshots of figure 2, or the last one that is kept in place of the second; None without two."""
    there = kept_steps(runs, member)
    late = _first_from(there, LATE) or max(there, default=0)
    early = _first_from(there[:-1], EARLY) or min(there, default=0)
    return (early, late) if early < late else None


def margins(evidence: Evidence) -> pd.DataFrame:
    """(⟨w₀ − w₁, g⟩ + b₀ − b₁)/‖w₀ − w₁‖ of unseen images of the classes 0 and 1, first seed, as in figure 2."""
    import pandas as pd

    runs = evidence.runs[SWEEP]
    tables = []
    for at in _margin_snapshots(runs, first_seed=True):
        values, labels, _ = _margins(runs.view(at.member, "test", at.step))
        tables.append(pd.DataFrame(at.columns() | {"label": labels, "margin": values.round(4)}))
    return pd.concat(tables, ignore_index=True) if tables else _empty("label", "margin")


def margin_spreads(evidence: Evidence) -> pd.DataFrame:
    """How far margins spread within the two classes, between their means, and how large features are; every run."""
    import pandas as pd

    runs = evidence.runs[SWEEP]
    rows = []
    for at in _margin_snapshots(runs):
        values, labels, size = _margins(runs.view(at.member, "test", at.step))
        groups = [values[labels == c] for c in PAIR]
        gap = float(groups[0].mean() - groups[1].mean())
        spread = float(np.sqrt(np.mean([group.var() for group in groups])))
        rows.append(at.columns() | {"spread": spread, "gap": gap, "feature_norm": size})
    return pd.DataFrame(rows) if rows else _empty("spread", "gap", "feature_norm")


def _margin_snapshots(runs: Runs, *, first_seed: bool = False) -> Iterator[Kept]:
    first = min(record.seed for record in runs.members)
    for record in runs.members:
        wanted = margin_steps(runs, record.member) if record.varied[DECAY] == MARGIN_DECAY else None
        if wanted and (record.seed == first or not first_seed):
            yield from (Kept(record.member, record.seed, MARGIN_DECAY, step) for step in wanted)


def _margins(view: View) -> tuple[np.ndarray, np.ndarray, float]:
    """Margins of the images of both classes, their labels, and the mean norm of all features."""
    features, labels = np.asarray(view.features, dtype=float), np.asarray(view.labels)
    one, other = PAIR
    row = np.asarray(view.head_weight[one] - view.head_weight[other], dtype=float)
    offset = 0.0 if view.head_bias is None else float(view.head_bias[one] - view.head_bias[other])
    there = np.isin(labels, PAIR)
    size = float(np.linalg.norm(features, axis=1).mean())
    return (features[there] @ row + offset) / np.linalg.norm(row), labels[there], size


def rates(evidence: Evidence) -> pd.DataFrame:
    """Theorem 4.1's rate: how far the within-class variance of n images a class is from that of all test images.

    The features are those of the last snapshot, fixed; the n images of a class are drawn from its 1,000 with
    replacement, 200 times, anew for every run. `gap` is the mean distance, in units of the variance of all. Variances
    are divided by n − 1: divided by n they are too small by 1/n of themselves in every class alike, which over ten
    classes hides the fluctuations that the theorem is about. The theorem is about features
    that were trained on the n images: here only its sampling part can be tried, without training for every n.
    """
    import pandas as pd

    runs = evidence.runs[SWEEP]
    rows = []
    for record in runs.members:
        step = max(kept_steps(runs, record.member), default=None)
        if step is None:
            continue
        at = Kept(record.member, record.seed, float(record.varied[DECAY]), step)
        view = runs.view(at.member, "test", at.step)
        rows += [at.columns() | {"n": n, "gap": _rate(view, n, at.member)} for n in RATE_SIZES]
    return pd.DataFrame(rows)


def _rate(view: View, n: int, seed: int) -> float:
    """Mean over draws of |V_n − V|/V."""
    rng, labels = np.random.default_rng((seed, n)), np.asarray(view.labels)
    drawn, whole = np.zeros(RATE_DRAWS), 0.0
    for c in np.unique(labels):
        group = np.asarray(view.features, dtype=float)[labels == c]
        group = group - group.mean(axis=0)
        share, squares = len(group) / len(labels), np.sum(group**2, axis=1)
        weights = rng.multinomial(n, np.full(len(group), 1 / len(group)), RATE_DRAWS) / n
        drawn += share * (weights @ squares - np.sum((weights @ group) ** 2, axis=1)) * n / (n - 1)
        whole += share * float(squares.mean())
    return float(np.mean(np.abs(drawn - whole)) / whole) if whole > 0 else float("nan")


def _empty(*columns: str) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns=[*Kept._fields, *columns])
