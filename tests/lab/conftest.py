"""A disk that is soon full."""

import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest


@contextmanager
def _small_disk(folder, size: str):
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs the rights of root")
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs the rights of root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_disk():
    """Context of a folder on a disk of this size."""
    return _small_disk
