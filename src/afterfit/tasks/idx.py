"""Reader of the IDX layout, in which MNIST and Fashion-MNIST are published.

A file is: two zero bytes, one byte for the type (8: unsigned bytes), one byte for the number of dimensions, the
dimensions as big-endian 32-bit numbers, then the values, the last dimension fastest. Source: LeCun, Cortes & Burges,
the page of the MNIST data set.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from io import BufferedReader
from pathlib import Path

import numpy as np

from afterfit.tasks.files import DataError

UNSIGNED_BYTE = 8
Stream = gzip.GzipFile | BufferedReader


def read_idx(path: Path, shape: tuple[int, ...] = (), count: int | None = None) -> np.ndarray:
    """The first `count` items of a file (all when None), uint8 of shape (count, *shape).

    Args:
        path: a plain file, or a gzip file if its name ends in .gz.
        shape: of one item, () for labels and (H, W) for images; another shape is refused.
        count: how many items to read; the file is not read, and not checked, beyond them.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return _read_items(stream, path, shape, count)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip data are damaged or cut off ({error}); replace the file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def _read_items(stream: Stream, path: Path, shape: tuple[int, ...], count: int | None) -> np.ndarray:
    dimensions = _read_header(stream, path, 1 + len(shape))
    if dimensions[1:] != shape:
        raise DataError(f"{path}: items have shape {dimensions[1:]}, expected {shape}")
    if count is not None and count > dimensions[0]:
        raise DataError(f"{path}: holds {dimensions[0]} items, {count} were asked for")
    items = dimensions[0] if count is None else count
    wanted = items * math.prod(shape)
    values = stream.read(wanted)
    if len(values) != wanted:
        raise DataError(f"{path}: ends after {len(values)} of {wanted} bytes of values; replace the file")
    if items == dimensions[0] and stream.read(1):
        raise DataError(f"{path}: goes on after the {wanted} bytes of values that its header announces")
    return np.frombuffer(values, dtype=np.uint8).reshape(items, *shape)


def _read_header(stream: Stream, path: Path, num_dimensions: int) -> tuple[int, ...]:
    magic, expected = stream.read(4), bytes([0, 0, UNSIGNED_BYTE, num_dimensions])
    if magic != expected:
        raise DataError(f"{path}: starts with bytes {magic.hex()}, expected {expected.hex()} of an IDX file")
    header = stream.read(4 * num_dimensions)
    if len(header) != 4 * num_dimensions:
        raise DataError(f"{path}: ends within its header; replace the file")
    return struct.unpack(f">{num_dimensions}I", header)
