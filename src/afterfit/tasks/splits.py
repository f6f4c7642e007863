"""Random splits as pure functions of (seed, stream).

The generator is Philox 4x64-10 (Salmon et al. 2011), which is counter-based: its n-th number is a function of the key
and n alone, and the key is the pair (seed, stream). The rows are ordered by their raw 64-bit numbers. NumPy promises
that the raw stream of a bit generator never changes, which it does not for `Generator.permutation`, so a split is the
same for every version of NumPy.
"""

from __future__ import annotations

import math

import numpy as np

from afterfit.parts import require

# Fixed stream numbers. They enter the keys, so changing one changes published splits or data.
SPLIT_STREAM = 1
SAMPLES_STREAM = 2
RELEVANT_BITS_STREAM = 3


def philox(seed: int, stream: int) -> np.random.Philox:
    """The counter-based bit generator with key (seed, stream)."""
    require(0 <= seed < 2**64, "seed", seed, "must be a whole number from 0 to 2**64 - 1")
    return np.random.Philox(key=np.array([seed, stream], dtype=np.uint64))


def shuffled(count: int, seed: int, stream: int = SPLIT_STREAM) -> np.ndarray:
    """The numbers 0 … count − 1 in a random order, int32 of shape (count,).

    >>> shuffled(6, seed=0).tolist() == shuffled(6, seed=0).tolist()
    True
    """
    return np.argsort(philox(seed, stream).random_raw(count), kind="stable").astype(np.int32)


def random_split(train_size: int, test_size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train and to test on, drawn without replacement from the first train_size + test_size rows."""
    order = shuffled(train_size + test_size, seed)
    return order[:train_size], order[train_size:]


def fraction_sizes(count: int, train_fraction: float) -> tuple[int, int]:
    """How many of `count` examples train and test have: ⌊train_fraction · count⌋ and the rest.

    Rounded down, as published: 20 % of 97² = 9,409 are 1,881 (Truong et al.) and 50 % are 4,704 (Han et al.). The tiny
    term repairs products such as 0.29 · 100 = 28.999999999999996.

    >>> fraction_sizes(9409, 0.2), fraction_sizes(100, 0.29)
    ((1881, 7528), (29, 71))
    """
    require(0 < train_fraction < 1, "train_fraction", train_fraction, "must lie between 0 and 1, both excluded")
    train = math.floor(train_fraction * count + 1e-9 * count)
    right = f"leaves {train} of {count} examples to train and {count - train} to test on, both must have one at least"
    require(0 < train < count, "train_fraction", train_fraction, right)
    return train, count - train
