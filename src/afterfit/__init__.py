"""Measure, forecast and steer what a network keeps learning after it has fit its training data.

>>> import afterfit as af
>>> runs = af.run("modular-addition", seeds=4, out="runs/first")  # doctest: +SKIP
>>> runs.observations, runs.events(), runs.report()  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from afterfit._version import __version__

if TYPE_CHECKING:
    from afterfit.lab.branch import branch
    from afterfit.lab.plan import plan
    from afterfit.lab.run import run
    from afterfit.lab.runs import Runs
    from afterfit.lab.runs import open_runs as open
    from afterfit.spec import Experiment
    from afterfit.studies.reproduce import reproduce
    from afterfit.watch.watch import Watch

# Imported on first use: `afterfit --help` and `from afterfit import measures` need none of it.
_WHERE = {
    "run": ("afterfit.lab.run", "run"),
    "branch": ("afterfit.lab.branch", "branch"),
    "plan": ("afterfit.lab.plan", "plan"),
    "reproduce": ("afterfit.studies.reproduce", "reproduce"),
    "open": ("afterfit.lab.runs", "open_runs"),
    "Runs": ("afterfit.lab.runs", "Runs"),
    "Watch": ("afterfit.watch.watch", "Watch"),
    "Experiment": ("afterfit.spec", "Experiment"),
}

__all__ = ["Experiment", "Runs", "Watch", "__version__", "branch", "open", "plan", "reproduce", "run"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'afterfit' has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)
