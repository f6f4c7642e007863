"""The IDX reader against files written here byte by byte, good and damaged."""

import gzip
import struct

import numpy as np
import pytest

from afterfit.tasks import DataError
from afterfit.tasks.idx import read_idx

ITEMS = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)


def idx_bytes(items, kind=8):
    return bytes([0, 0, kind, items.ndim]) + struct.pack(f">{items.ndim}I", *items.shape) + items.tobytes()


@pytest.fixture(params=["plain", "gzip"])
def write(request, tmp_path):
    """Write bytes as a plain or a gzip file."""

    def to_file(content):
        path = tmp_path / ("items" if request.param == "plain" else "items.gz")
        path.write_bytes(content if request.param == "plain" else gzip.compress(content))
        return path

    return to_file


@pytest.mark.parametrize("count", [None, 0, 1, 4, 5])
def test_items_come_back_as_written(write, count):
    read = read_idx(write(idx_bytes(ITEMS)), (2, 3), count)
    assert read.tolist() == ITEMS[:count].tolist()
    assert read.dtype == np.uint8


def test_labels_have_no_item_shape(write):
    assert read_idx(write(idx_bytes(np.array([3, 1, 2], np.uint8)))).tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["starts with bytes", "00000803"]),
        (b"PNG!" + bytes(40), ["504e4721", "00000803"]),
        (idx_bytes(ITEMS, kind=13), ["00000d03", "00000803"]),
        (idx_bytes(ITEMS)[:9], ["ends within its header"]),
        (idx_bytes(ITEMS)[:-1], ["ends after 29 of 30 bytes"]),
        (idx_bytes(ITEMS) + b"x", ["goes on after the 30 bytes"]),
        (idx_bytes(ITEMS.reshape(5, 3, 2)), ["shape (3, 2), expected (2, 3)"]),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_by_name(write, content, parts, refused):
    path = write(content)
    with refused(DataError, str(path), *parts):
        read_idx(path, (2, 3))


def test_more_items_than_there_are_is_refused(write, refused):
    with refused(DataError, "holds 5 items, 6 were asked for"):
        read_idx(write(idx_bytes(ITEMS)), (2, 3), 6)


def damaged(content, how):
    match how:
        case "cut off":
            return content[:-9]
        case "one byte changed":
            return content[:20] + bytes([content[20] ^ 0xFF]) + content[21:]
        case "wrong checksum":
            return content[:-8] + bytes(4) + content[-4:]
        case _:
            return b"not gzip at all"


@pytest.mark.parametrize("how", ["cut off", "one byte changed", "wrong checksum", "not gzip"])
def test_damaged_gzip_data_are_refused_by_name(tmp_path, how, refused):
    path = tmp_path / "items.gz"
    path.write_bytes(damaged(gzip.compress(idx_bytes(ITEMS)), how))
    with refused(DataError, str(path), "gzip data are damaged or cut off"):
        read_idx(path, (2, 3))


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path, refused):
    with refused(DataError, "nowhere", "cannot be read", "No such file"):
        read_idx(tmp_path / "nowhere")
