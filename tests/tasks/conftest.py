"""Data on this machine, or none at all, and errors of one line."""

import os
import re
from contextlib import contextmanager
from pathlib import Path

import pytest

from afterfit.tasks import files


@contextmanager
def _refused(kind: type[Exception], *parts: str):
    with pytest.raises(kind) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert re.search(re.escape(part), message), f"{part!r} is not in {message!r}"


@pytest.fixture
def refused():
    """Context in which an error of this kind must come, its one line containing every part."""
    return _refused


@pytest.fixture
def no_data(tmp_path, monkeypatch) -> Path:
    """An empty AFTERFIT_DATA folder and an empty cache; downloads are not allowed."""
    local, cache = tmp_path / "data", tmp_path / "cache"
    local.mkdir()
    monkeypatch.setenv("AFTERFIT_DATA", str(local))
    monkeypatch.delenv("AFTERFIT_DOWNLOAD", raising=False)
    monkeypatch.setattr(files, "cache_folder", lambda: cache)
    return local


@pytest.fixture
def real_data():
    """Skip unless AFTERFIT_DATA has the folder of a set; call with the folder's name."""

    def folder(name: str) -> Path:
        root = os.environ.get("AFTERFIT_DATA")
        if root is None:
            pytest.skip("AFTERFIT_DATA is not set: it should name a folder with the published data sets")
        if not (Path(root) / name).is_dir():
            pytest.skip(f"the folder that AFTERFIT_DATA names has no {name}/")
        return Path(root) / name

    return folder
