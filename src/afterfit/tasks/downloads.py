"""Downloads of published image sets, checked by SHA-256, when and only when asked for."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, cast

from afterfit.tasks import cifar
from afterfit.tasks.files import DataError, cache_folder
from afterfit.tasks.published import CIFAR_10, DIGITS, IMAGE_SETS, ImageSet

CONNECT_AND_READ_SECONDS = (10, 60)


def download(dataset: str, folder: str | Path | None = None, *, progress: bool = True) -> Path:
    """Fetch the files of a set that are not there yet, and return the folder that holds them.

    Every file is checked against its published SHA-256 before it gets its name, so a transfer that breaks off, or a
    wrong file, leaves nothing behind. The addresses of a set are tried in turn.

    Args:
        dataset: "mnist", "fashion-mnist" or "cifar-10". The digits come with scikit-learn.
        folder: root that gets the folder of the set; default the user's cache, where `Images` looks as well.
        progress: whether to show progress bars on standard error.
    """
    if dataset == DIGITS.name:
        raise DataError("digits: nothing to download, these images come with scikit-learn")
    if dataset not in IMAGE_SETS:
        names = ", ".join(name for name in IMAGE_SETS if name != DIGITS.name)
        raise DataError(f"{dataset}: no such data set to download, there are {names}")
    image_set = IMAGE_SETS[dataset]
    target = (cache_folder() if folder is None else Path(folder)) / image_set.folder
    try:
        target.mkdir(parents=True, exist_ok=True)
        fetch_set(image_set, target, progress=progress)
    except OSError as error:  # of the network none is left here: `fetch` goes to the next address
        raise DataError(f"{target}: cannot be written ({_one_line(error)})") from None
    return target


def fetch_set(image_set: ImageSet, target: Path, *, progress: bool) -> None:
    """Fetch what is missing of a set into the existing folder `target`."""
    if image_set.name == CIFAR_10.name:
        _fetch_archive(image_set, target, (*cifar.TRAIN_FILES, *cifar.TEST_FILES), progress=progress)
        return
    for name in image_set.checksums:
        if name.endswith(".gz"):
            fetch(image_set, name, target, progress=progress)


def fetch(image_set: ImageSet, name: str, target: Path, *, progress: bool) -> Path:
    """Fetch one file from the first address that has it as published; a good file already there is kept."""
    import pooch
    import requests

    failures, downloader = [], cast(Any, partial(_transfer, name if progress else None))
    for address in image_set.addresses:
        try:
            pooch.retrieve(address + name, image_set.checksums[name], name, target, downloader=downloader)
            return target / name
        except (requests.RequestException, ValueError) as error:  # pooch raises ValueError for a wrong checksum
            failures.append(f"{address} ({_one_line(error)})")
    raise DataError(f"{name}: no address has the published file, nothing was kept; tried {', then '.join(failures)}")


def unpack(archive: Path, folder: str, members: tuple[str, ...], target: Path) -> None:
    """Write the named members of `folder` inside a tar.gz archive to `target`.

    Only the contents of regular files with these names are read, and the paths written are ours: what else an archive
    may contain (absolute paths, links, devices) has no effect.
    """
    with tarfile.open(archive, "r:gz") as tar:
        inside = {member.name: member for member in tar.getmembers() if member.isreg()}
        for name in members:
            member = inside.get(f"{folder}/{name}")
            content = member and tar.extractfile(member)
            if not content:
                raise DataError(f"{archive}: has no file {folder}/{name}")
            with (target / name).open("wb") as out:
                shutil.copyfileobj(content, out)


def _fetch_archive(image_set: ImageSet, target: Path, members: tuple[str, ...], *, progress: bool) -> None:
    """Fetch an archive and keep its members only; they appear in `target` complete or not at all."""
    if all((target / name).is_file() for name in members):
        return
    (archive,) = image_set.checksums
    with tempfile.TemporaryDirectory(dir=target, prefix="download-") as temporary:
        workplace = Path(temporary)
        unpack(fetch(image_set, archive, workplace, progress=progress), image_set.folder, members, workplace)
        for name in members:
            (workplace / name).replace(target / name)


def _transfer(bar_name: str | None, url: str, output_file: Any, pooch_instance: Any) -> None:
    """What pooch calls to fetch a file: its own way, with a bar of ours that is closed however the transfer ends."""
    import pooch

    from afterfit.tasks.progress import DownloadBar

    bar: Any = DownloadBar(bar_name) if bar_name else None
    try:
        pooch.HTTPDownloader(progressbar=bar or False, timeout=CONNECT_AND_READ_SECONDS)(
            url, output_file, pooch_instance
        )
    finally:
        if bar:
            bar.close()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
