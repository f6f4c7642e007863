"""The three array kinds in both precisions, by one fixture; nothing of it leaks into other tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch


@dataclass(frozen=True)
class ArrayKind:
    """How to make arrays of one library and precision, and how exact a measure of them must be."""

    library: str
    dtype: str

    def __call__(self, values: Any) -> Any:
        """The values as an array of this kind: real numbers in its precision, labels as integers."""
        values = np.asarray(values)
        if values.dtype.kind == "f":
            values = values.astype(self.dtype)
        return {"numpy": np.asarray, "torch": torch.asarray, "jax": jnp.asarray}[self.library](values)

    @property
    def tolerance(self) -> float:
        return 1e-4 if self.dtype == "float32" else 1e-9

    def owns(self, array: Any) -> bool:
        library = {"numpy": np.ndarray, "torch": torch.Tensor, "jax": jax.Array}[self.library]
        return isinstance(array, library) and str(array.dtype).endswith(self.dtype)


def _within(kind: ArrayKind) -> Iterator[ArrayKind]:
    doubles = kind.library == "jax" and kind.dtype == "float64"
    with jax.enable_x64(True) if doubles else nullcontext():
        yield kind


KINDS = [ArrayKind(library, dtype) for library in ("numpy", "torch", "jax") for dtype in ("float32", "float64")]


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind.library}-{kind.dtype}")
def kind(request: pytest.FixtureRequest) -> Iterator[ArrayKind]:
    """Each of the three libraries in each of the two precisions."""
    yield from _within(request.param)


@pytest.fixture(params=KINDS[::2], ids=lambda kind: kind.library)
def single(request: pytest.FixtureRequest) -> Iterator[ArrayKind]:
    """Each of the three libraries in float32."""
    yield from _within(request.param)
