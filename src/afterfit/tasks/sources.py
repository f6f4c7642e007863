"""The images of a published set as arrays, whatever the layout of its files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from afterfit.tasks import cifar
from afterfit.tasks.files import DataError, find, find_or_download, verify
from afterfit.tasks.idx import read_idx
from afterfit.tasks.published import CIFAR_10, DIGITS, ImageSet

Part = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Source:
    """One part of a set: all its labels, and a function that reads the images of the rows asked for.

    Attributes:
        labels: int32 of shape (N,).
        read: rows of shape (n,) to raw images of shape (n, H, W, C), in the order of the rows.
    """

    labels: np.ndarray
    read: Callable[[np.ndarray], np.ndarray]


def open_source(image_set: ImageSet, which: Part) -> Source:
    """The training or the test part of a set. The digits have one part only, called "train"."""
    if image_set is DIGITS:
        return _open_digits()
    if image_set is CIFAR_10:
        return _open_cifar(which)
    return _open_idx(image_set, which)


def count_images(image_set: ImageSet, which: Part) -> int:
    """How many images a part has, from file sizes at most.

    CIFAR-10 is what the files on this machine hold, a subset perhaps; without files, and for every other set, the
    published number.
    """
    if image_set is CIFAR_10 and (paths := _cifar_files(which)):
        return sum(cifar.row_counts(paths))
    return image_set.train_size if which == "train" else image_set.test_size


def _open_idx(image_set: ImageSet, which: Part) -> Source:
    prefix = {"train": "train", "test": "t10k"}[which]
    images, labels = (
        verify(image_set, find_or_download(image_set, (f"{name}.gz", name)))
        for name in (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    )
    shape = image_set.shape[:2]

    def read(rows: np.ndarray) -> np.ndarray:
        # A gzip file can only be read from its start: up to the last row needed, and no further.
        return read_idx(images, shape, count=int(rows.max()) + 1)[rows][..., np.newaxis]

    return Source(_checked_labels(labels, count_images(image_set, which)), read)


def _checked_labels(path: Path, count: int) -> np.ndarray:
    labels = read_idx(path)
    if len(labels) != count or labels.max() > 9:
        raise DataError(f"{path}: {len(labels)} labels up to {labels.max()}, expected {count} labels from 0 to 9")
    return labels.astype(np.int32)


def _open_cifar(which: Part) -> Source:
    if not _cifar_files(which):
        find_or_download(CIFAR_10, _cifar_names(which)[:1])
    paths = _cifar_files(which)
    return Source(cifar.read_labels(paths), lambda rows: cifar.read_images(paths, rows))


def _cifar_names(which: Part) -> tuple[str, ...]:
    return cifar.TRAIN_FILES if which == "train" else cifar.TEST_FILES


def _cifar_files(which: Part) -> list[Path]:
    """The files of a part, all from the folder in which the first one was found."""
    first = find(CIFAR_10, _cifar_names(which))
    return [] if first is None else [path for name in _cifar_names(which) if (path := first.parent / name).is_file()]


def _open_digits() -> Source:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = bunch.images.astype(np.uint8)[..., np.newaxis]  # type: ignore[attr-defined]
    return Source(bunch.target.astype(np.int32), lambda rows: images[rows])  # type: ignore[attr-defined]
