"""Reader of CIFAR-10's binary layout (there is also a layout of Python pickles, which is not safe to load).

A file is a sequence of rows of 3,073 bytes: the label, then 32x32 values of red, of green and of blue, each plane row
by row. The published set has five training files of 10,000 rows and a test file of 10,000; a folder with fewer or
smaller files, a subset, is read as well. Source: Krizhevsky 2009, the page of the CIFAR-10 data set.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from afterfit.tasks.files import DataError

TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)
ROW_BYTES = 1 + 3 * 32 * 32


def row_counts(paths: list[Path]) -> list[int]:
    """How many images each file holds, from its size alone."""
    return [_rows_in(path) for path in paths]


def read_labels(paths: list[Path]) -> np.ndarray:
    """The labels of all files in order, int32 of shape (N,)."""
    labels = [_mapped(path)[:, 0] for path in paths]
    for path, found in zip(paths, labels, strict=True):
        if found.max() > 9:
            row = int(np.argmax(found > 9))
            raise DataError(f"{path}: row {row} has label {found[row]}, expected 0 … 9; replace the file")
    return np.concatenate(labels).astype(np.int32)


def read_images(paths: list[Path], rows: np.ndarray) -> np.ndarray:
    """The images of the given rows, counted through all files: uint8 of shape (len(rows), 32, 32, 3)."""
    planes = np.empty((len(rows), ROW_BYTES - 1), dtype=np.uint8)
    edges = np.cumsum([0, *row_counts(paths)])
    for path, (start, stop) in zip(paths, pairwise(edges), strict=True):
        inside = (rows >= start) & (rows < stop)
        planes[inside] = _mapped(path)[rows[inside] - start, 1:]
    return planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _mapped(path: Path) -> np.ndarray:
    return np.memmap(path, dtype=np.uint8, mode="r", shape=(_rows_in(path), ROW_BYTES))


def _rows_in(path: Path) -> int:
    size = path.stat().st_size
    if size == 0 or size % ROW_BYTES:
        raise DataError(f"{path}: has {size} bytes, expected a multiple of {ROW_BYTES}, the bytes of one row")
    return size // ROW_BYTES
