"""A mixture of Gaussians whose variances and best accuracy are known: the task to test measures with."""

from __future__ import annotations

import math

import numpy as np

from afterfit.parts import part, require, static
from afterfit.tasks.splits import SAMPLES_STREAM, philox, random_split
from afterfit.tasks.table import Table


@part
class GaussianMixture:
    """Classes x | c ~ N(μ_c, σ² I) in d dimensions, the K means the corners of a regular simplex of radius R around 0.

    ‖μ_c‖ = R, Σ_c μ_c = 0, and ⟨μ_c, μ_k⟩ = −R² / (K − 1) for c ≠ k: the frame to which features collapse, so that
    every answer below is exact. The simplex lies in the first K − 1 coordinates. Inputs are float32 of shape (N, d);
    row i of the table is of class i mod K. Members with different seeds share one table, drawn by `task_seed`; a
    member's seed draws which rows it trains on.

    Args:
        num_classes: K.
        dim: d, at least K − 1.
        separation: R. Two class means are R √(2K / (K − 1)) apart.
        noise_std: σ.
        train_size, test_size: number of samples.
        task_seed: draws the noise.

    >>> task = GaussianMixture(num_classes=3, dim=5, separation=2.0, noise_std=0.5)
    >>> task.within_class_variance(), task.between_class_variance()
    (1.25, 4.0)
    >>> round(GaussianMixture(num_classes=2, separation=1.0, noise_std=1.0).best_accuracy(), 6)  # Φ(R / σ)
    0.841345
    """

    num_classes: int = 4
    dim: int = 16
    separation: float = static(3.0)
    noise_std: float = static(1.0)
    train_size: int = 1_000
    test_size: int = 1_000
    task_seed: int = 0

    def check(self) -> None:
        """Refuse a simplex that does not fit, and empty sides."""
        classes, std = self.num_classes, self.noise_std
        require(classes >= 2, "num_classes", classes, "must be 2 or more")
        right = f"must be num_classes - 1 = {classes - 1} or more to hold a simplex of {classes} corners"
        require(self.dim >= classes - 1, "dim", self.dim, right)
        require(0 <= self.separation < math.inf, "separation", self.separation, "must be finite and 0 or more")
        require(0 <= std < math.inf, "noise_std", std, "must be finite and 0 or more")
        require(self.train_size >= 1, "train_size", self.train_size, "must be 1 or more")
        require(self.test_size >= 1, "test_size", self.test_size, "must be 1 or more")
        require(0 <= self.task_seed < 2**64, "task_seed", self.task_seed, "must lie in 0 … 2**64 - 1")

    def sizes(self) -> tuple[int, int]:
        """(train, test) number of samples."""
        return self.train_size, self.test_size

    def table(self) -> Table:
        """Train and test samples together: inputs (N, d) and labels (N,)."""
        labels = np.arange(self.train_size + self.test_size) % self.num_classes
        # Not the raw stream: NumPy may change how it makes normal numbers of it (it has not since 1.17).
        noise = np.random.Generator(philox(self.task_seed, SAMPLES_STREAM)).standard_normal((len(labels), self.dim))
        inputs = self.class_means()[labels] + self.noise_std * noise
        return Table(inputs.astype(np.float32), labels.astype(np.int32), self.num_classes, None)

    def split(self, table: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Random `train_size` rows to train on, the others to test on."""
        return random_split(*self.sizes(), seed)

    def class_means(self) -> np.ndarray:
        """μ, shape (K, d)."""
        means = np.zeros((self.num_classes, self.dim))
        means[:, : self.num_classes - 1] = self.separation * simplex(self.num_classes)
        return means

    def within_class_variance(self) -> float:
        """E‖x − μ_y‖² = d σ², of the population.

        Around the class means of N samples, and divided by N, its expectation is d σ² (1 − K / N).
        """
        return self.dim * self.noise_std**2

    def between_class_variance(self) -> float:
        """E‖μ_y − E μ_y‖² = R², of the population with equal classes."""
        return self.separation**2

    def best_accuracy(self) -> float:
        """Of the nearest class mean, the best rule for equal classes: ∫ φ(t) Φ(t + δ)^(K−1) dt, δ = R √(K/(K−1)) / σ.

        A simplex differs from K orthogonal vectors of length R √(K/(K−1)) by a shift, which changes no decision; for
        orthogonal ones the K projections are independent normal numbers, of which the right one must be the largest.
        For K = 2 this is Φ(R / σ). The trapezoid rule is exact to rounding for so smooth an integrand.
        """
        if self.noise_std == 0:
            return 1.0 if self.separation > 0 else 1 / self.num_classes
        shift = self.separation * math.sqrt(self.num_classes / (self.num_classes - 1)) / self.noise_std
        t = np.linspace(-12, 12, 4801)
        density = np.exp(-(t**2) / 2) / math.sqrt(2 * math.pi)
        below = np.array([math.erfc(-(value + shift) / math.sqrt(2)) / 2 for value in t])
        return float(np.trapezoid(density * below ** (self.num_classes - 1), t))


def simplex(corners: int) -> np.ndarray:
    """The corners of a regular simplex around 0 with radius 1, shape (K, K − 1), by Helmert's orthogonal basis.

    Column j (from 1) of the basis is (1, …, 1, −j, 0, …, 0) / √(j (j + 1)) with j ones: orthonormal and orthogonal to
    (1, …, 1). Its rows have length √((K − 1) / K), which the factor makes 1.
    """
    j = np.arange(1, corners)
    row = np.arange(corners)[:, np.newaxis]
    basis = ((row < j) - j * (row == j)) / np.sqrt(j * (j + 1))
    return basis * math.sqrt(corners / (corners - 1))
