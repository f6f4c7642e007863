"""Where the files of a published image set are, and whether they are what was published.

A file is looked for in `$AFTERFIT_DATA/<folder of the set>/`, then in the cache of downloads. Nothing is downloaded
unless asked: by `download`, by `afterfit download`, or by AFTERFIT_DOWNLOAD=1 in the environment.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from afterfit.tasks.published import ImageSet


class DataError(RuntimeError):
    """Data that are missing or damaged: says the file, what is wrong and how to put it right, in one line."""


def cache_folder() -> Path:
    """Where downloads are kept: the user's cache folder, as the operating system names it."""
    import pooch

    return Path(pooch.os_cache("afterfit"))


def folders(image_set: ImageSet) -> list[Path]:
    """Where the files of a set may be, in the order in which they are looked for."""
    local = os.environ.get("AFTERFIT_DATA")
    return [Path(root).expanduser() / image_set.folder for root in ([local] if local else []) + [cache_folder()]]


def find(image_set: ImageSet, names: tuple[str, ...]) -> Path | None:
    """The first file that has one of the names (a gzip file may lie there unpacked), or None."""
    candidates = (folder / name for folder in folders(image_set) for name in names)
    return next(filter(Path.is_file, candidates), None)


def find_or_download(image_set: ImageSet, names: tuple[str, ...]) -> Path:
    """The file, downloaded if that is allowed, or DataError that says what to do."""
    found = find(image_set, names)
    if found is None and os.environ.get("AFTERFIT_DOWNLOAD") == "1":
        from afterfit.tasks.downloads import download

        download(image_set.name)
        found = find(image_set, names)
    if found is None:
        raise missing(image_set, names[0])
    return found


def missing(image_set: ImageSet, name: str) -> DataError:
    """The error for a file that is nowhere."""
    looked = " or ".join(map(str, folders(image_set)))
    return DataError(
        f"{image_set.name}: no file {name} in {looked}: set AFTERFIT_DATA to a folder that has "
        f"{image_set.folder}/{name}, or run `afterfit download {image_set.name}`"
    )


def verify(image_set: ImageSet, path: Path) -> Path:
    """The path, if the file has the published checksum; DataError if it has another one."""
    expected = image_set.checksums[path.name]
    with path.open("rb") as stream:
        got = hashlib.file_digest(stream, "sha256").hexdigest()
    if got != expected:
        raise DataError(
            f"{path}: SHA-256 is {got}, expected {expected}: the file is damaged or another one; delete it, then copy "
            f"the published file there or run `afterfit download {image_set.name}`"
        )
    return path
