"""The studies: what each paper claims, what is run to test it, and the verdicts.

A study is one module with a `STUDY`; adding one is that module and its name below.
"""

from __future__ import annotations

from importlib import import_module

from afterfit.parts import SpecError, nearest
from afterfit.studies.study import Study

# Imported on first use.
STUDIES = {
    "sakamoto-2025": "sakamoto_2025",
    "han-2025": "han_2025",
    "truong-2026": "truong_2026",
    "adjudication": "adjudication",
}


def study(name: str) -> Study:
    """The study of this name, or SpecError with the nearest name."""
    if name not in STUDIES:
        raise SpecError("study", name, nearest(name, STUDIES))
    return import_module(f"afterfit.studies.{STUDIES[name]}").STUDY


__all__ = ["STUDIES", "Study", "study"]
