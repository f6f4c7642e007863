"""Sparse parity: few of many bits decide, and no single bit says anything."""

from __future__ import annotations

import numpy as np

from afterfit.parts import part, require
from afterfit.tasks.splits import RELEVANT_BITS_STREAM, SAMPLES_STREAM, philox, random_split, shuffled
from afterfit.tasks.table import Table


@part
class SparseParity:
    """The parity of k fixed bits among n random ones: y = (1 − Π_{i in S} x_i) / 2 with x in {−1, +1}ⁿ and |S| = k.

    Inputs are float32 of shape (N, n), labels 0 (an even number of −1 in S) or 1 (an odd number). Members with
    different seeds share one table, so the relevant bits S and the samples are functions of `task_seed`; a member's
    seed draws which rows it trains on. Samples are drawn independently: for small n some occur twice, in the training
    and in the test rows.

    Args:
        bits: n.
        parity: k.
        train_size, test_size: number of samples.
        task_seed: draws S and the samples.

    Source: Barak et al. 2022, "Hidden progress in deep learning", section 2 (online there; here a finite sample).

    >>> task = SparseParity(bits=10, parity=2, task_seed=1)
    >>> table, relevant = task.table(), task.relevant_bits()
    >>> bool((table.labels == (table.inputs[:, relevant].prod(axis=1) < 0)).all())
    True
    """

    bits: int = 40
    parity: int = 3
    train_size: int = 1_000
    test_size: int = 1_000
    task_seed: int = 0

    def check(self) -> None:
        """Refuse a parity over more bits than there are, and empty sides."""
        require(self.bits >= 1, "bits", self.bits, "must be 1 or more")
        require(1 <= self.parity <= self.bits, "parity", self.parity, f"must lie in 1 … bits = {self.bits}")
        require(self.train_size >= 1, "train_size", self.train_size, "must be 1 or more")
        require(self.test_size >= 1, "test_size", self.test_size, "must be 1 or more")
        require(0 <= self.task_seed < 2**64, "task_seed", self.task_seed, "must lie in 0 … 2**64 - 1")

    def sizes(self) -> tuple[int, int]:
        """(train, test) number of samples."""
        return self.train_size, self.test_size

    def relevant_bits(self) -> np.ndarray:
        """The indices in S, ascending, shape (k,)."""
        return np.sort(shuffled(self.bits, self.task_seed, RELEVANT_BITS_STREAM)[: self.parity])

    def table(self) -> Table:
        """Train and test samples together: inputs (N, n) and labels (N,)."""
        count = self.train_size + self.test_size
        numbers = philox(self.task_seed, SAMPLES_STREAM).random_raw(count * self.bits).reshape(count, self.bits)
        inputs = np.where(numbers >= 2**63, -1, 1).astype(np.float32)
        labels = (inputs[:, self.relevant_bits()] < 0).sum(axis=1) % 2
        return Table(inputs, labels.astype(np.int32), 2, None)

    def split(self, table: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Random `train_size` rows to train on, the others to test on."""
        return random_split(*self.sizes(), seed)
