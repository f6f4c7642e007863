"""Where arrays are kept: a folder, or any address that fsspec knows, such as an s3:// bucket."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EIO
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from afterfit.parts import SpecError
from afterfit.store.files import sync

WRITING = ".writing-"  # how the name of a file begins that is not whole yet


class Place(Protocol):
    """Files by name, in folders one below the other: "parameters/member-00003-….safetensors"."""

    @property
    def address(self) -> str:
        """What another process makes the same place of, by `place_of`."""
        ...

    def names(self, folder: str) -> list[str]:
        """The files of a folder, without the folder's name; none if there is no such folder."""
        ...

    def read(self, name: str) -> bytes:
        """What a file holds; FileNotFoundError if there is none."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Keep a file durably."""
        ...

    def remove(self, name: str) -> None:
        """Let a file go, if it is there."""
        ...

    def rename(self, name: str, new: str) -> None:
        """Give a file another name in its folder."""
        ...


class Folder:
    """A folder of this machine, or one that several machines share.

    Args:
        path: the folder; made when something is written.
    """

    def __init__(self, path: Path):
        self.path = path

    @property
    def address(self) -> str:
        """Its absolute path."""
        return str(self.path.absolute())

    def names(self, folder: str) -> list[str]:
        """The files of a folder in it."""
        try:
            with os.scandir(self.path / folder) as entries:
                return [entry.name for entry in entries if entry.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, name: str) -> bytes:
        """What a file holds."""
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write beside the file's place, make it durable, rename: it is whole or not there."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(WRITING + target.name.rpartition("-")[0])
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise OSError(error.errno, error.strerror, str(target)) from error
        sync(target.parent)

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self.path / name).unlink(missing_ok=True)

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""
        (self.path / name).replace(self.path / new)


class Remote:
    """An address that fsspec knows. A file that is cut off there is found damaged by the digest in its name.

    Args:
        address: such as "s3://bucket/afterfit"; the file system's own package (here s3fs) must be installed.
    """

    def __init__(self, address: str):
        self.address = address.rstrip("/")

    @cached_property
    def opened(self) -> tuple[Any, str]:
        """The file system and the path in it; SpecError if there is no such file system here."""
        try:
            from fsspec.core import url_to_fs

            return url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise SpecError("checkpoints", self.address, f"cannot be opened: {error}") from error

    @contextmanager
    def _asked(self, name: str) -> Iterator[tuple[Any, str]]:
        """The file system and a path in it; whatever kind of error its makers chose comes out as an OSError."""
        files, root = self.opened
        try:
            yield files, f"{root}/{name}" if name else root
        except OSError as error:
            if error.filename is not None or isinstance(error, FileNotFoundError):
                raise
            raise OSError(error.errno or EIO, error.strerror or _line(error), f"{self.address}/{name}") from error
        except Exception as error:
            raise OSError(EIO, _line(error), f"{self.address}/{name}") from error

    def names(self, folder: str) -> list[str]:
        """The files of a folder, as they are now: what fsspec remembers of it is forgotten first."""
        try:
            with self._asked(folder) as (files, path):
                files.invalidate_cache()
                found = files.ls(path, detail=True)
        except FileNotFoundError:
            return []
        return [entry["name"].rstrip("/").rpartition("/")[2] for entry in found if entry["type"] == "file"]

    def read(self, name: str) -> bytes:
        """What a file holds."""
        with self._asked(name) as (files, path):
            return files.cat_file(path)

    def write(self, name: str, content: bytes) -> None:
        """Write a file; whole or not at all where the file system promises that, as object stores do."""
        with self._asked(name) as (files, path):
            files.makedirs(path.rpartition("/")[0], exist_ok=True)
            files.pipe_file(path, content)

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        with suppress(FileNotFoundError), self._asked(name) as (files, path):
            files.rm_file(path)

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""
        with self._asked(name) as (files, path), self._asked(new) as (_, other):
            files.mv(path, other)


def _line(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def place_of(where: Place | Path | str) -> Place:
    """The place at an address; a place is its own."""
    if isinstance(where, Path):
        return Folder(where)
    if isinstance(where, str):
        return Remote(where) if "://" in where else Folder(Path(where))
    return where
