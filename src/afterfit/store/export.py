"""Runs for other programs: Parquet, CSV and netCDF."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import StoreError, explained
from .files import written_whole
from .reader import Contents, attributes

if TYPE_CHECKING:
    import xarray

NAMES = "afterfit_names"


def export(contents: Contents, to: str, out: str | Path) -> Path:
    """Write a run as one file, whole or not at all.

    parquet and csv hold one row an observation (`Contents.rows`); parquet carries meta in its schema. netcdf holds the
    grid (`Contents.observations`) with meta as attributes; there '/' parts groups, so it is written as '.' in names,
    the original is the attribute `long_name`, and `original_names` undoes it.

    Args:
        contents: what `read` gave.
        to: "parquet", "netcdf" or "csv".
        out: the file to write; for a folder that exists, `observations` with the usual suffix inside it.

    Returns:
        The file written.
    """
    if to not in FORMATS:
        raise StoreError(f"cannot export to {to!r}; choose one of {', '.join(FORMATS)}")
    suffix, write = FORMATS[to]
    path = Path(out) / f"observations{suffix}" if Path(out).is_dir() else Path(out)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as partial:
            write(contents, partial)
    return path


def _parquet(contents: Contents, path: Path) -> None:
    rows = contents.rows.copy(deep=False)
    rows.attrs.update(attributes(contents.meta))
    rows.to_parquet(path, index=False)


def _csv(contents: Contents, path: Path) -> None:
    contents.rows.to_csv(path, index=False)


def _netcdf(contents: Contents, path: Path) -> None:
    if find_spec("h5py") is None:
        raise StoreError("export to netcdf needs h5py, with which h5netcdf writes: pip install h5py")
    portable_names(contents.observations).to_netcdf(path, engine="h5netcdf")


FORMATS: dict[str, tuple[str, Callable[[Contents, Path], None]]] = {
    "parquet": (".parquet", _parquet),
    "netcdf": (".nc", _netcdf),
    "csv": (".csv", _csv),
}


def portable_names(observations: "xarray.Dataset") -> "xarray.Dataset":
    """The same data with '.' for '/' in names, and `original_names` able to undo it."""
    names: dict[str, str] = {}
    taken = {str(name) for name in observations.variables if "/" not in str(name)}
    for name in map(str, observations.data_vars):
        plain = name.replace("/", ".")
        while "/" in name and plain in taken:
            plain += "_"
        taken.add(plain)
        names[name] = plain
    result = observations.rename({name: plain for name, plain in names.items() if name != plain})
    for name, plain in names.items():
        result[plain].attrs["long_name"] = name
    result.attrs[NAMES] = json.dumps({plain: name for name, plain in names.items() if name != plain})
    return result


def original_names(observations: "xarray.Dataset") -> "xarray.Dataset":
    """Undo `portable_names`, for a data set read back from netCDF."""
    result = observations.rename(json.loads(observations.attrs[NAMES]))
    del result.attrs[NAMES]
    for name in result.data_vars:
        result[name].attrs.pop("long_name", None)
    return result
