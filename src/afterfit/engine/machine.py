"""What this machine offers, found without starting JAX's backends (which would take an accelerator's memory)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from afterfit._version import __version__

LIBRARIES = ("jax", "jaxlib", "equinox", "optax", "numpy", "scipy", "xarray", "safetensors")
# One thread to a worker: the cores scale best as one process each.
SINGLE_THREAD = {"NPROC": "1", "PJRT_NPROC": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def xla_threads() -> int:
    """Threads in which XLA computes on this process's cores."""
    return int(os.environ.get("PJRT_NPROC") or os.environ.get("NPROC") or cores())


def has_accelerator() -> bool:
    """Whether JAX will find a CUDA GPU: one is there, JAX's plugin is installed, and JAX is not told otherwise."""
    if os.environ.get("JAX_PLATFORMS", "") not in ("", "cuda", "gpu"):
        return False
    plugins = ("jax_cuda13_plugin", "jax_cuda12_plugin")
    return shutil.which("nvidia-smi") is not None and any(map(importlib.util.find_spec, plugins))


def memory_bytes() -> int:
    """Memory free for training: of the first accelerator, or else of the machine."""
    return accelerator_bytes() or machine_bytes()


def machine_bytes() -> int:
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def accelerator_bytes() -> int | None:
    """Memory that is free now on the first accelerator; None without one."""
    if not has_accelerator():
        return None
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()[0]) * 2**20


def versions() -> dict[str, str]:
    """The versions on which the bits of a result depend."""
    return {"afterfit": __version__} | {name: metadata.version(name) for name in LIBRARIES}


def worker_environment(compilation_cache: str | None) -> dict[str, str]:
    """The environment of a worker process: it finds modules where this process does."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)}
    if not has_accelerator():
        flags = environment.get("XLA_FLAGS", "")
        environment |= SINGLE_THREAD | {"XLA_FLAGS": f"{flags} --xla_cpu_multi_thread_eigen=false".strip()}
        environment.setdefault("JAX_PLATFORMS", "cpu")
    for name, value in compilation_settings(compilation_cache).items() if compilation_cache else ():
        environment.setdefault(name, value)
    return environment


def compilation_settings(folder: str) -> dict[str, str]:
    """What tells JAX, in the environment, to keep compiled programs in a folder."""
    return {
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }


def compilation_cache() -> str:
    """The folder of compiled programs: AFTERFIT_CACHE, or the user's cache folder."""
    base = os.environ.get("AFTERFIT_CACHE") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return str(Path(base).expanduser() / "afterfit" / "compiled")
