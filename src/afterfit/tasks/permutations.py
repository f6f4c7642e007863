"""Composition of permutations: the task of a group that is not commutative."""

from __future__ import annotations

import itertools
import math
from typing import Literal

import numpy as np

from afterfit.parts import part, require, static
from afterfit.tasks.modular import write_pairs
from afterfit.tasks.splits import fraction_sizes, random_split
from afterfit.tasks.table import Table

LARGEST_N = 6  # 720² = 518,400 examples; S₇ would have 25 million


@part
class PermutationComposition:
    """The product σ∘τ for every pair (σ, τ) of permutations of n things, the symmetric group S_n.

    (σ∘τ)(i) = σ(τ(i)): τ acts first. Token and class k stand for the k-th permutation in lexicographic order, so that 0
    is the identity; `elements` lists them. Rows are in the order of (σ, τ), τ fastest: n!² examples, n! classes (S₅:
    14,400 and 120).

    Args:
        n: how many things are permuted.
        train_fraction: share of the pairs to train on, drawn by the seed; rounded down to whole pairs.
        sequence: "pair" is (σ, τ), vocabulary n!; "equals" is (σ, τ, =), vocabulary n! + 1, "=" being token n!.

    Source: Power et al. 2022, "Grokking", appendix A.1 (x · y in S₅); Truong et al. 2026 (10 % for training).

    >>> task = PermutationComposition(n=5, train_fraction=0.1)
    >>> task.sizes()
    (1440, 12960)
    >>> PermutationComposition(n=3).elements().tolist()
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    """

    n: int = 5
    train_fraction: float = static(0.4)
    sequence: Literal["pair", "equals"] = "equals"

    def check(self) -> None:
        """Refuse groups too small or too large, and a split with an empty side."""
        require(2 <= self.n <= LARGEST_N, "n", self.n, f"must lie in 2 … {LARGEST_N}, S_n gives (n!)² examples")
        self.sizes()

    def sizes(self) -> tuple[int, int]:
        """(train, test) number of pairs."""
        return fraction_sizes(math.factorial(self.n) ** 2, self.train_fraction)

    def elements(self) -> np.ndarray:
        """The permutations in the order of their tokens, shape (n!, n): row k holds σ_k(0) … σ_k(n − 1)."""
        return np.array(list(itertools.permutations(range(self.n))))

    def table(self) -> Table:
        """All pairs: inputs (n!², 2 or 3) and labels (n!²,)."""
        elements = self.elements()
        order = len(elements)
        left, right = (grid.ravel() for grid in np.mgrid[:order, :order])
        products = np.take_along_axis(elements[left], elements[right], axis=1)
        # Read as numbers in base n, the elements ascend: a product's place among them is its index.
        digits = self.n ** np.arange(self.n)[::-1]
        labels = np.searchsorted(elements @ digits, products @ digits).astype(np.int32)
        vocabulary = order + (self.sequence == "equals")
        return Table(write_pairs(left, right, order, self.sequence), labels, order, vocabulary)

    def split(self, table: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """A random part of the pairs to train on, all others to test on."""
        return random_split(*self.sizes(), seed)
