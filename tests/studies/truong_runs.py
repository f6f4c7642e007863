"""Runs whose truth is known, made without training: what the claims of Truong et al. are tried on."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from types import SimpleNamespace

import numpy as np
import xarray as xr

from afterfit.analysis import events
from afterfit.studies.evidence import Evidence
from afterfit.studies.truong_2026 import STUDY
from afterfit.studies.truong_2026.sweeps import EVENTS

STEPS = np.arange(0, 20_001, 200)


@dataclass
class Made:
    """What a claim reads of runs: observations, and their events by any rules."""

    observations: xr.Dataset
    rules: dict = field(default_factory=lambda: {rule.name: rule for rule in EVENTS})
    meta: dict = field(default_factory=lambda: {"experiment": "made up"})
    members: list = field(default_factory=list)

    taught: np.ndarray = field(default_factory=lambda: np.array([0, 1, 2, 2]))
    said: np.ndarray = field(default_factory=lambda: np.eye(3)[[0, 1, 2, 0]])

    def taught_labels(self, member):
        return self.taught

    def view(self, member, split):
        return SimpleNamespace(logits=self.said)

    def events(self, rules=None):
        return events.table(self.observations, self.rules if rules is None else rules)


def course(
    t_grok=None, t_collapse=None, *, start=0.8, plateau=0.8, at_event=0.61, end=0.5, budget=20_000, patience=1_000,
    noise=None,
):  # fmt: skip
    """One run: H̃ on a plateau to just before T_collapse, down a line to `at_event` at T_grok, then to its end."""
    known = {
        "train/accuracy": np.where(STEPS >= 600, 1.0, 0.3),
        "test/accuracy": np.where((t_grok or np.inf) <= STEPS, 1.0, 0.02),
        "weight_norm": 100 - 0.002 * STEPS,
        "train/loss": np.exp(-STEPS / 500),
    }
    entropy = np.full(len(STEPS), plateau)
    if t_collapse is not None:
        last = (t_grok or t_collapse + 2_000) if t_grok is None or t_grok > t_collapse else t_collapse + 2_000
        down = [(t_collapse - 200, plateau), (t_collapse, plateau - 0.06), (max(last, t_collapse + 200), at_event)]
        xs, ys = zip(*down, (max(last, t_collapse + 200) + 1_000, end), strict=True)
        entropy = np.where(xs[0] > STEPS, plateau, np.interp(STEPS, xs, ys))
    entropy[0] = start
    if noise is not None:
        entropy = entropy + 0.001 * noise.standard_normal(len(STEPS))
    known |= {"train/spectral_entropy": entropy, "train/spectral_entropy[center=false]": entropy}
    known |= {"train/fourier_alignment": 1 - entropy, "train/fourier_alignment[characters=operands]": entropy}
    after = (budget < STEPS) | ((np.inf if t_grok is None else t_grok + patience) < STEPS)
    return {name: np.where(after, np.nan, values) for name, values in known.items()}


def made(courses, *, seeds=None, varied=None, status=None):
    """A sweep of such runs."""
    names = list(courses[0])
    data = {name: (("member", "step"), np.array([each[name] for each in courses])) for name in names}
    coords = {
        "member": np.arange(len(courses)),
        "step": STEPS,
        "seed": ("member", np.arange(len(courses)) if seeds is None else np.asarray(seeds)),
        "status": ("member", np.array(status or ["finished"] * len(courses))),
    }
    coords |= {name: ("member", np.asarray(values)) for name, values in (varied or {}).items()}
    return Made(xr.Dataset(data, coords=coords))


FOLDERS = TemporaryDirectory(prefix="afterfit-made-up-", ignore_cleanup_errors=True)


def evidence(folder=None, scale="quick", choices=None, **sweeps):
    """Evidence of such sweeps under the study's choices; sweeps are named with _ for -."""
    runs = {name.replace("_", "-"): sweep for name, sweep in sweeps.items()}
    defaults = {choice.name: choice.default for choice in STUDY.choices}
    folder = folder or Path(mkdtemp(dir=FOLDERS.name))  # of its own: tables are kept by what runs say of themselves
    return Evidence(scale, folder, runs, {**defaults, **(choices or {})})


def judged(claim, shown):
    """What a claim finds."""
    return next(each for each in STUDY.claims if each.id == claim).judge(shown)
