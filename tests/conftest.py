"""All tests: most of their time would be XLA's, so programs are compiled without its optimisations, and once.

A test process computes in one thread, as a worker does: threads of several processes that wait for each other on the
same cores make small products hundreds of times slower.
"""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

# Libraries read them when they are imported; processes that tests start inherit them.
os.environ |= {"NPROC": "1", "PJRT_NPROC": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

COMPILED = TemporaryDirectory(prefix="afterfit-tests-", ignore_cleanup_errors=True)

# Learns p = 7 in no time: two thousand steps a second would be slow.
TINY = """
seeds = 2

[experiment]
steps = 400
measures = ["loss", "accuracy", "weight_norm"]

[experiment.task]
kind = "ModularArithmetic"
p = 7
train_fraction = 0.6
sequence = "pair"

[experiment.model]
kind = "MLP"
widths = [16]

[experiment.optimizer]
learning_rate = 0.01
weight_decay = 0.5

[experiment.minibatch]
size = 8

[experiment.schedule]
steps = 50
"""


def pytest_configure(config):
    """Before JAX is imported; processes that tests start inherit it."""
    threadpool_limits(1)  # of NumPy, where a plugin of pytest's imported it before us
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0 --xla_cpu_multi_thread_eigen=false"
    os.environ |= {
        "XLA_FLAGS": flags.strip(),
        "JAX_COMPILATION_CACHE_DIR": COMPILED.name,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        # Trackers write there; they read it once, when they are imported or first used.
        "TRACKIO_DIR": COMPILED.name,
        "WANDB_DIR": COMPILED.name,
    }


def pytest_unconfigure(config):
    """Leave nothing behind."""
    COMPILED.cleanup()


@pytest.fixture(scope="session")
def tiny_toml(tmp_path_factory) -> Path:
    """A spec file of an experiment that is over at once."""
    path = tmp_path_factory.mktemp("spec") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def command() -> list[str]:
    """How to start the command line in a process of its own."""
    return [sys.executable, "-m", "afterfit.cli"]


def _contents(folder: Path) -> dict:
    """All that must be the same to the last bit: every row, and every member's parameters."""
    from afterfit.store import read

    found = read(folder)
    table = found.table
    order = np.argsort(table.measures)
    return {
        "measures": tuple(np.array(table.measures)[order]),
        "rows": list(zip(table.member.tolist(), table.step.tolist(), strict=True)),
        "values": table.values[:, order].tobytes(),
        "ends": [(record.seed, record.varied, record.status, record.step) for record in found.members],
        "parameters": {path.name: path.read_bytes() for path in (folder / "parameters").iterdir()},
    }


@pytest.fixture(scope="session")
def contents():
    """What of a run folder must be the same to the last bit."""
    return _contents


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
