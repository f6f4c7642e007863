"""Subsets, normalisation and files of image sets: made-up files here, the published ones where they are."""

import gzip
import hashlib
import time

import numpy as np
import pytest
from sklearn.datasets import load_digits

from afterfit.parts import SpecError
from afterfit.tasks import DataError, Images

# --- CIFAR-10 from files written here ---------------------------------------------------------------------------


def cifar_rows(count, seed=0):
    """Labels in turn and random planes, shape (count, 3073)."""
    rows = np.random.default_rng(seed).integers(0, 256, (count, 3073), dtype=np.uint8)
    rows[:, 0] = np.arange(count) % 10
    return rows


@pytest.fixture
def small_cifar(no_data):
    """A subset: three training files of different lengths, numbered with a gap, and a test file."""
    folder = no_data / "cifar-10-batches-bin"
    folder.mkdir()
    train = [cifar_rows(count, seed=count) for count in (30, 7, 13)]
    for number, rows in zip((1, 2, 4), train, strict=True):
        (folder / f"data_batch_{number}.bin").write_bytes(rows.tobytes())
    test = cifar_rows(20, seed=99)
    (folder / "test_batch.bin").write_bytes(test.tobytes())
    return folder, np.concatenate(train), test


def pixels(rows):
    """Images (N, 32, 32, 3) by the layout's own words: planes R, G, B, each row by row."""
    return np.stack([rows[:, 1 + 1024 * c : 1025 + 1024 * c].reshape(-1, 32, 32) for c in range(3)], axis=-1)


def test_cifar_files_are_read_in_order_whatever_their_number(small_cifar):
    _, train, test = small_cifar
    task = Images(dataset="cifar-10", train_size=None, normalise="unit")
    table = task.table()
    assert task.sizes() == (50, 20)
    rows = np.concatenate([train, test])
    np.testing.assert_allclose(table.inputs, pixels(rows) / 255, rtol=1e-6)
    assert table.labels.tolist() == rows[:, 0].tolist()


def test_cifar_channels_are_normalised_each_by_its_own_constants(small_cifar):
    _, train, _ = small_cifar
    inputs = Images(dataset="cifar-10", train_size=35).table().inputs[:35]
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
    np.testing.assert_allclose(inputs, (pixels(train[:35]) / 255 - mean) / std, rtol=1e-5, atol=1e-6)


def test_balanced_takes_the_first_of_each_class_across_files(small_cifar):
    _, train, _ = small_cifar
    task = Images(dataset="cifar-10", train_size=40, subset="balanced", normalise="unit")
    rows = sorted(row for c in range(10) for row in np.flatnonzero(train[:, 0] == c)[:4])
    np.testing.assert_allclose(task.table().inputs[:40], pixels(train[rows]) / 255, rtol=1e-6)


def test_more_images_than_the_files_hold_are_refused(small_cifar, refused):
    with refused(SpecError, "train_size = 51", "1 … 50", "cifar-10"):
        Images(dataset="cifar-10", train_size=51).sizes()
    with refused(SpecError, "test_size = 21", "1 … 20"):
        Images(dataset="cifar-10", train_size=50, test_size=21).sizes()
    with refused(SpecError, "train_size = 60"):
        Images(dataset="cifar-10", train_size=60, subset="balanced").table()


def test_a_class_too_rare_in_the_files_is_named(small_cifar, refused):
    folder, train, _ = small_cifar
    train[train[:, 0] == 6, 0] = 5
    (folder / "data_batch_1.bin").write_bytes(train[:30].tobytes())
    with refused(SpecError, "train_size = 40", "class 6 has 2 images only", "at most 20"):
        Images(dataset="cifar-10", train_size=40, subset="balanced").table()


def test_a_label_out_of_range_is_refused_with_file_and_row(small_cifar, refused):
    folder, train, _ = small_cifar
    train[31, 0] = 10
    (folder / "data_batch_2.bin").write_bytes(train[30:37].tobytes())
    with refused(DataError, "data_batch_2.bin", "row 1 has label 10", "0 … 9"):
        Images(dataset="cifar-10", train_size=10).table()


@pytest.mark.parametrize("size", [0, 3072, 3074])
def test_a_file_cut_within_a_row_is_refused_before_any_work(small_cifar, size, refused):
    folder, _, _ = small_cifar
    (folder / "data_batch_2.bin").write_bytes(bytes(size))
    with refused(DataError, "data_batch_2.bin", f"{size} bytes", "3073"):
        Images(dataset="cifar-10", train_size=10).sizes()


def test_without_files_sizes_are_the_published_ones(no_data):
    assert Images(dataset="cifar-10", train_size=None).sizes() == (50_000, 10_000)
    assert Images(dataset="mnist", train_size=None).sizes() == (60_000, 10_000)
    assert Images().sizes() == (1_000, 10_000)


# --- Digits, which are always there -----------------------------------------------------------------------------


def test_digits_train_on_the_first_and_test_on_the_rest():
    bunch = load_digits()
    task = Images(dataset="digits", train_size=None)
    table = task.table()
    assert task.sizes() == (1_000, 797)
    np.testing.assert_allclose(table.inputs[..., 0], (bunch.images / 16 - 0.3053) / 0.3760, rtol=1e-5, atol=1e-6)
    assert table.labels.tolist() == bunch.target.tolist()
    assert table.inputs.mean() == pytest.approx(0, abs=0.001)
    assert table.inputs.std() == pytest.approx(1, abs=0.001)


def test_balanced_digits_are_the_first_of_each_class_and_are_not_tested_on():
    bunch = load_digits()
    task = Images(dataset="digits", train_size=200, test_size=100, subset="balanced", normalise="unit")
    table = task.table()
    train, test = task.split(table, seed=0)
    assert np.bincount(table.labels[train]).tolist() == [20] * 10
    chosen = sorted(row for c in range(10) for row in np.flatnonzero(bunch.target == c)[:20])
    others = [row for row in range(1797) if row not in set(chosen)][:100]
    np.testing.assert_allclose(table.inputs[train][..., 0], bunch.images[chosen] / 16)
    np.testing.assert_allclose(table.inputs[test][..., 0], bunch.images[others] / 16)


def test_random_digits_depend_on_the_seed_and_first_ones_do_not():
    random, first = (Images(dataset="digits", train_size=100, subset=subset) for subset in ("random", "first"))
    table = random.table()
    assert (random.split(table, 0)[0] != random.split(table, 1)[0]).any()
    table = first.table()
    assert (first.split(table, 0)[0] == first.split(table, 1)[0]).all()


# --- The published files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dataset", "mean", "std"), [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)])
def test_the_first_thousand_images_are_those_of_the_file_and_quickly_there(real_data, dataset, mean, std):
    folder = real_data(dataset)
    start = time.perf_counter()
    table = Images(dataset=dataset).table()
    assert time.perf_counter() - start < 5, "0.3 s on an idle core"
    assert table.inputs.shape == (11_000, 28, 28, 1)
    assert table.inputs.dtype == np.float32
    for rows, prefix in ((slice(0, 1000), "train"), (slice(1000, None), "t10k")):
        count = len(table.labels[rows])
        labels = gzip.decompress((folder / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())
        assert table.labels[rows].tolist() == list(labels[8 : 8 + count])
        images = gzip.decompress((folder / f"{prefix}-images-idx3-ubyte.gz").read_bytes())[16 : 16 + 784 * count]
        expected = (np.frombuffer(images, np.uint8).reshape(-1, 28, 28, 1) / 255 - mean) / std
        np.testing.assert_allclose(table.inputs[rows], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_normalisation_constants_are_those_of_the_training_images(real_data, dataset):
    real_data(dataset)
    inputs = Images(dataset=dataset, train_size=None, test_size=1).table().inputs[:-1]
    assert inputs.mean(dtype=np.float64) == pytest.approx(0, abs=2e-3)
    assert inputs.std(dtype=np.float64) == pytest.approx(1, abs=2e-3)


def test_the_first_mnist_labels_are_the_well_known_ones(real_data):
    real_data("mnist")
    table = Images(test_size=10).table()
    assert np.bincount(table.labels[:1000]).tolist() == [97, 116, 99, 93, 105, 92, 94, 117, 87, 100]
    assert table.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert table.labels[1000:].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist", "cifar-10"])
def test_balanced_classes_are_balanced_and_in_the_order_of_the_file(real_data, dataset):
    real_data("cifar-10-batches-bin" if dataset == "cifar-10" else dataset)
    balanced = Images(dataset=dataset, train_size=300, test_size=5, subset="balanced").table()
    assert np.bincount(balanced.labels[:300]).tolist() == [30] * 10
    first = Images(dataset=dataset, train_size=600, test_size=5).table()
    chosen = np.sort(np.concatenate([np.flatnonzero(first.labels[:600] == c)[:30] for c in range(10)]))
    assert (balanced.inputs[:300] == first.inputs[chosen]).all()


def test_random_images_are_drawn_by_the_seed_and_tested_on_the_test_file(real_data):
    real_data("mnist")
    task = Images(train_size=500, test_size=100, subset="random")
    table = task.table()
    assert len(table.labels) == 60_100
    train, test = task.split(table, seed=3)
    assert (len(train), len(test)) == (500, 100)
    assert train.max() < 60_000
    assert test.tolist() == list(range(60_000, 60_100))
    assert (train != task.split(table, seed=4)[0]).any()


def test_local_cifar_looks_like_cifar(real_data):
    real_data("cifar-10-batches-bin")
    task = Images(dataset="cifar-10", train_size=None)
    table = task.table()
    assert len(table.labels) == sum(task.sizes())
    assert len(set(np.bincount(table.labels).tolist())) == 1
    assert abs(table.inputs.mean(axis=(0, 1, 2))).max() < 0.03
    # Neighbouring pixels of photographs are alike, which a wrong layout would not show.
    assert np.abs(np.diff(table.inputs, axis=2)).mean() < 0.3


def test_files_that_somebody_unpacked_are_read_as_well(real_data, tmp_path, monkeypatch):
    packed = real_data("mnist")
    expected = Images(train_size=20, test_size=20).table()
    (tmp_path / "mnist").mkdir()
    for path in packed.glob("*.gz"):
        (tmp_path / "mnist" / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    monkeypatch.setenv("AFTERFIT_DATA", str(tmp_path))
    table = Images(train_size=20, test_size=20).table()
    assert (table.inputs == expected.inputs).all()
    assert (table.labels == expected.labels).all()


# --- Files that are missing or not as published -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "file"),
    [
        ("mnist", "mnist/train-images-idx3-ubyte.gz"),
        ("fashion-mnist", "fashion-mnist/train-images-idx3-ubyte.gz"),
        ("cifar-10", "cifar-10-batches-bin/data_batch_1.bin"),
    ],
)
def test_missing_data_say_where_to_put_them_or_how_to_get_them(no_data, dataset, file, refused):
    with refused(DataError, f"set AFTERFIT_DATA to a folder that has {file}", f"afterfit download {dataset}"):
        Images(dataset=dataset, train_size=100).table()


def test_a_file_with_another_checksum_is_refused(no_data, refused):
    (no_data / "mnist").mkdir()
    (no_data / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    got = hashlib.sha256(b"something else").hexdigest()
    expected = "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    with refused(DataError, "train-images-idx3-ubyte.gz", f"is {got}", f"expected {expected}", "delete it"):
        Images().table()


@pytest.mark.parametrize(
    ("fields", "parts"),
    [
        ({"dataset": "imagenet"}, ["dataset = 'imagenet'", "fashion-mnist"]),
        ({"train_size": 0}, ["train_size = 0", "1 … 60000", "mnist"]),
        ({"train_size": 60_001}, ["train_size = 60001", "1 … 60000"]),
        ({"test_size": 0}, ["test_size = 0", "1 … 10000"]),
        ({"test_size": 10_001}, ["test_size = 10001"]),
        ({"dataset": "cifar-10", "train_size": 50_001}, ["train_size = 50001", "1 … 50000"]),
        ({"dataset": "digits", "train_size": 1_797}, ["train_size = 1797", "1 … 1796"]),
        ({"dataset": "digits", "train_size": 1_000, "test_size": 798}, ["test_size = 798", "1 … 797"]),
        ({"subset": "balanced", "train_size": 1_005}, ["train_size = 1005", "multiple of 10", "54210"]),
        ({"subset": "balanced", "train_size": 60_000}, ["train_size = 60000", "54210"]),
        ({"subset": "balanced", "train_size": None}, ["train_size = None", "multiple of 10"]),
        ({"train_size": 1e3}, ["train_size = 1000.0", "whole number"]),
    ],
)
def test_a_spec_that_cannot_work_is_refused_in_one_line(fields, parts, refused):
    with refused(SpecError, *parts):
        Images(**fields)
