"""All tests: most of their time would be XLA's, so programs are compiled without its optimisations, and once."""

import os
from tempfile import TemporaryDirectory

COMPILED = TemporaryDirectory(prefix="afterfit-tests-", ignore_cleanup_errors=True)


def pytest_configure(config):
    """Before JAX is imported; processes that tests start inherit it."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
    os.environ |= {
        "XLA_FLAGS": flags.strip(),
        "JAX_COMPILATION_CACHE_DIR": COMPILED.name,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }


def pytest_unconfigure(config):
    """Leave nothing behind."""
    COMPILED.cleanup()
