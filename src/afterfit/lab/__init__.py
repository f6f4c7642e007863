"""Running experiments and looking at what came of them: `run`, `open_runs` and `Runs`."""

from afterfit.lab.run import Interrupted, run
from afterfit.lab.runs import Runs, open_runs

__all__ = ["Interrupted", "Runs", "open_runs", "run"]
