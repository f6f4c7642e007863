"""With what a run was made."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from afterfit.engine.machine import cores, has_accelerator, versions


def describe() -> dict[str, Any]:
    """Machine, versions, code version, command and time, as plain values."""
    return {
        "environment": {
            "platform": platform.platform(),
            "processor": _processor(),
            "cores": cores(),
            "accelerator": has_accelerator(),
            "python": platform.python_version(),
        },
        "versions": versions(),
        "code_version": _commit(),
        "command": command(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def command() -> str:
    """The command that started this process, as a person would type it."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv and sys.argv[0] else "python"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _commit() -> str | None:
    """The commit of afterfit's own source, with "+changes" if it was modified; None when it is not under git."""
    here = Path(__file__)
    # Installed into somebody's project, this file would lie inside their checkout but not be tracked by it.
    if shutil.which("git") is None or _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    commit = _git(here.parent, "rev-parse", "HEAD")
    return commit and commit + ("+changes" if _git(here.parent, "status", "--porcelain", "..") else "")


def _git(folder: Path, *arguments: str) -> str | None:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        check=False,
    )
    return None if done.returncode else done.stdout.strip()
