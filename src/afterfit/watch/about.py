"""What is said of a watched run in its folder."""

from __future__ import annotations

import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from afterfit._version import __version__

LIBRARIES = ("torch", "jax", "numpy", "lightning", "transformers", "equinox", "flax")


def about_run(
    name: str, kind: str, source: Any, measures: Sequence[str] | Mapping[str, Any], probe: int
) -> dict[str, Any]:
    """Name, model, head, measures, machine and versions, as plain values."""
    samples = {} if source is None else {split: each.count * source.ranks for split, each in source.samples.items()}
    return {
        "name": name,
        "experiment": {
            "model": kind, "head": None if source is None else source.head, "measures": list(measures),
            "probe": probe, "samples": samples, "ranks": 1 if source is None else source.ranks,
        },
        "environment": {"platform": platform.platform(), "python": platform.python_version()},
        "versions": {"afterfit": __version__} | dict(_versions()),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv and sys.argv[0] else "python",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def _versions() -> list[tuple[str, str]]:
    """Of the libraries that this process has loaded."""
    return [(name, metadata.version(name)) for name in LIBRARIES if name in sys.modules]
