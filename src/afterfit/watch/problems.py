"""What goes wrong while watching is told once, and ends nobody's training."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class Problems:
    """The problems of a watch, each warned of once.

    Args:
        strict: raise what goes wrong instead.
    """

    def __init__(self, strict: bool):
        self.strict = strict
        self.known: dict[str, str] = {}

    def report(self, key: str, text: str) -> None:
        """Warn of a problem, unless one with this key was told before."""
        if key not in self.known:
            self.known[key] = text
            warnings.warn(f"afterfit: {text}", stacklevel=6)  # where the loop called the watch

    @contextmanager
    def told(self, text: str, key: str | None = None) -> Iterator[None]:
        """What goes wrong inside is reported with its reason, once for each reason or for one key, or raised."""
        try:
            yield
        except Exception as error:
            if self.strict:
                raise
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self.report(key or reason, f"{text} ({reason})")
