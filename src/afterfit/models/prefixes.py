"""What recurs at each position of a task's sequences: tokens and prefixes. A part of a network's structure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Beyond this many, a position is computed a sample at a time: the minibatches of the presets are no larger.
MOST_PREFIXES = 512


class Recurring(NamedTuple):
    """The different tokens and the different prefixes at each position.

    Attributes:
        vocabulary: number of tokens.
        tokens: for each position, the tokens that occur there, rising.
        prefixes: for each position, the sequences that occur from the start up to and with it, in lexicographic order;
            only for the leading positions that have at most `MOST_PREFIXES` of them.
    """

    vocabulary: int
    tokens: tuple[tuple[int, ...], ...]
    prefixes: tuple[tuple[tuple[int, ...], ...], ...]

    @classmethod
    def of(cls, inputs: np.ndarray, vocabulary: int) -> Recurring:
        """Read it off all sequences of a task: tokens of shape (N, positions)."""
        tokens = tuple(tuple(map(int, np.unique(column))) for column in inputs.T)
        prefixes, found = [], np.unique(inputs[:, :1], axis=0)
        while len(found) <= MOST_PREFIXES and len(prefixes) < inputs.shape[1]:
            prefixes.append(tuple(tuple(map(int, row)) for row in found))
            if len(prefixes) < inputs.shape[1]:
                found = np.unique(inputs[:, : len(prefixes) + 1], axis=0)
        return cls(vocabulary, tokens, tuple(prefixes))

    def token_rows(self, position: int) -> np.ndarray:
        """For every token, its place among those at a position (0 where it does not occur): (vocabulary,)."""
        rows = np.zeros(self.vocabulary, np.int32)
        rows[list(self.tokens[position])] = np.arange(len(self.tokens[position]))
        return rows

    def next_prefix(self, position: int) -> np.ndarray:
        """For every prefix of the position before and every token, the prefix they make: (prefixes, vocabulary)."""
        before = self.prefixes[position - 1] if position else ((),)
        place = {prefix: index for index, prefix in enumerate(before)}
        rows = np.zeros((len(before), self.vocabulary), np.int32)
        for index, prefix in enumerate(self.prefixes[position]):
            rows[place[prefix[:-1]], prefix[-1]] = index
        return rows

    def ancestors(self, position: int, earlier: int) -> np.ndarray:
        """For every prefix at a position, the row of its own beginning at an earlier one: (prefixes,)."""
        place = {prefix: index for index, prefix in enumerate(self.prefixes[earlier])}
        return np.array([place[prefix[: earlier + 1]] for prefix in self.prefixes[position]], np.int32)

    def tokens_of(self, position: int, earlier: int) -> np.ndarray:
        """For every prefix at a position, its token at an earlier one: (prefixes,)."""
        return np.array([prefix[earlier] for prefix in self.prefixes[position]], np.int32)
