"""Image classification: MNIST, Fashion-MNIST, CIFAR-10 and scikit-learn's digits."""

from __future__ import annotations

from typing import Literal

import numpy as np

from afterfit.parts import part, require
from afterfit.tasks.published import IMAGE_SETS, ImageSet
from afterfit.tasks.sources import count_images, open_source
from afterfit.tasks.splits import shuffled
from afterfit.tasks.table import Table

NUM_CLASSES = 10
DIGITS_TRAIN_SIZE = 1_000


@part
class Images:
    """A subset of the training images of a published set, tested on its test images.

    Inputs are float32 of shape (N, H, W, C): (N, 28, 28, 1) for "mnist" and "fashion-mnist", (N, 32, 32, 3) for
    "cifar-10", (N, 8, 8, 1) for "digits". Labels are 0 … 9.

    The training images are chosen by `subset`:

    - "first": the first `train_size` of the file, the same for every seed (Sakamoto & Sato 2025: the first 1,000);
    - "balanced": the first train_size / 10 of each class, in the order of the file, the same for every seed;
      train_size must be divisible by 10;
    - "random": `train_size` drawn by the seed, without replacement. The table then holds all training images.

    The test images are the first `test_size` of the published test file. The digits (1,797 images, bundled with
    scikit-learn, no file needed) have no published split: their test images are the first `test_size` of those that
    are not trained on, in the order of the file, and for "random" in the order drawn.

    CIFAR-10 is what its files hold: a folder with a subset of it, in the same layout, gives a smaller set.

    Args:
        dataset: which set.
        train_size: number of training images; none means all (digits: 1,000).
        test_size: number of test images; none means all.
        subset: how the training images are chosen.
        normalise: "standard" is (x / x_max − mean) / std with the constants of the set, by channel; "unit" is
            x / x_max, in [0, 1]. x_max is 255, for digits 16.

    >>> task = Images(dataset="digits", train_size=500)
    >>> task.sizes(), task.table().inputs.shape
    ((500, 1297), (1797, 8, 8, 1))
    """

    dataset: Literal["mnist", "fashion-mnist", "cifar-10", "digits"] = "mnist"
    train_size: int | None = 1_000
    test_size: int | None = None
    subset: Literal["first", "balanced", "random"] = "first"
    normalise: Literal["standard", "unit"] = "standard"

    def check(self) -> None:
        """Refuse sizes beyond the published ones; files are not looked at before `sizes`."""
        if self.subset == "balanced":
            self._check_balanced()
        self._sizes_out_of(self._image_set.train_size, self._image_set.test_size)

    def sizes(self) -> tuple[int, int]:
        """(train, test) number of images; of CIFAR-10 the sizes of the files are asked for, if they are there."""
        return self._sizes_out_of(count_images(self._image_set, "train"), count_images(self._image_set, "test"))

    def table(self) -> Table:
        """The images that may be trained on, then those to test on. Only the rows needed are read."""
        train = open_source(self._image_set, "train")
        train_rows = self._training_rows(train.labels)
        num_test = self.sizes()[1]
        if self._has_test_set:
            test, test_rows = open_source(self._image_set, "test"), np.arange(num_test)
        else:
            test, test_rows = train, np.setdiff1d(np.arange(len(train.labels)), train_rows)
            test_rows = test_rows if self.subset == "random" else test_rows[:num_test]
        inputs = np.concatenate([self._normalised(train.read(train_rows)), self._normalised(test.read(test_rows))])
        return Table(inputs, np.concatenate([train.labels[train_rows], test.labels[test_rows]]), NUM_CLASSES, None)

    def split(self, table: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of the table to train and to test on; only "random" depends on the seed."""
        num_train, num_test = self.sizes()
        rows = np.arange(len(table.labels), dtype=np.int32)
        if self.subset != "random":
            return rows[:num_train], rows[num_train:]
        if self._has_test_set:
            pool = len(rows) - num_test
            return shuffled(pool, seed)[:num_train], rows[pool:]
        order = shuffled(len(rows), seed)
        return order[:num_train], order[num_train : num_train + num_test]

    @property
    def _image_set(self) -> ImageSet:
        return IMAGE_SETS[self.dataset]

    @property
    def _has_test_set(self) -> bool:
        return self._image_set.test_size > 0

    def _check_balanced(self) -> None:
        size, most = self.train_size, NUM_CLASSES * self._image_set.smallest_class
        right = f"must be a multiple of {NUM_CLASSES}, up to {most}, for subset='balanced' on {self.dataset}"
        require(size is not None and size % NUM_CLASSES == 0 and size <= most, "train_size", size, right)

    def _sizes_out_of(self, train_images: int, test_images: int) -> tuple[int, int]:
        """(train, test) sizes when that many images are there, or SpecError when there are too few."""
        train = self.train_size
        if train is None:
            train = train_images if self._has_test_set else DIGITS_TRAIN_SIZE
        most = train_images if self._has_test_set else train_images - 1
        require(1 <= train <= most, "train_size", train, f"must lie in 1 … {most} for {self.dataset}")
        left = test_images if self._has_test_set else train_images - train
        test = left if self.test_size is None else self.test_size
        require(1 <= test <= left, "test_size", test, f"must lie in 1 … {left} for {self.dataset}")
        return train, test

    def _training_rows(self, labels: np.ndarray) -> np.ndarray:
        """Rows of the training file that the table holds."""
        if self.subset == "random":
            return np.arange(len(labels))
        num_train = self.sizes()[0]
        return balanced_rows(labels, num_train) if self.subset == "balanced" else np.arange(num_train)

    def _normalised(self, images: np.ndarray) -> np.ndarray:
        """Raw images to float32 by a table of all raw values for each channel, shapes (N, H, W, C)."""
        values = np.arange(256) / self._image_set.largest_value
        inputs = np.empty(images.shape, dtype=np.float32)
        for channel, (mean, std) in enumerate(zip(self._image_set.mean, self._image_set.std, strict=True)):
            scaled = (values - mean) / std if self.normalise == "standard" else values
            inputs[..., channel] = scaled.astype(np.float32)[images[..., channel]]
        return inputs


def balanced_rows(labels: np.ndarray, count: int) -> np.ndarray:
    """The first count / 10 rows of each class, in the order in which they come.

    >>> balanced_rows(np.array([1, 0, 1, *range(2, 10)]), 10).tolist()
    [0, 1, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    each = count // NUM_CLASSES
    found = np.bincount(labels, minlength=NUM_CLASSES)
    right = f"class {found.argmin()} has {found.min()} images only, so at most {NUM_CLASSES * found.min()}"
    require(int(found.min()) >= each, "train_size", count, right)
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:each] for c in range(NUM_CLASSES)]))
