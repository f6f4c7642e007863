"""The question that none of the papers asks: which explanation holds, when all are measured on the same runs.

Collapse (Sakamoto & Sato 2025), flatness (Han et al. 2025), the collapse of the spectral entropy (Truong et al. 2026)
and the norm of the weights (Liu et al. 2022) each were shown with runs of their own. Here each is asked the same five
questions: how early does it come before generalisation, how well does it tell on new seeds whether and when a run will
generalise, how often does it come for nothing, and what happens when it alone is pushed.
"""

from __future__ import annotations

from functools import partial

from afterfit.studies.adjudication.claims import (
    judge_collapse_leads,
    judge_early_and_specific,
    judge_entropy_leads_and_is_specific,
    judge_flatness_comes_with,
    judge_no_better_than_baselines,
    judge_tells_more_than_elapsed,
)
from afterfit.studies.adjudication.claims_pushed import judge_needed, judge_not_needed
from afterfit.studies.adjudication.figures import draw_leads, draw_moved, draw_pushes, draw_side_by_side
from afterfit.studies.adjudication.sweeps import SWEEPS, TASKS, sweeps
from afterfit.studies.study import Choice, Claim, Drawing, Study

OURS = "none: a question of our own"
RULE_OF_PUSHES = (
    "Later than the control (of the norm: the control later than the baseline), seed by seed, by the whole 95 % "
    "interval of the mean difference of min(T, budget), and with p ≤ .05 after Holm over the explanations: "
    "reproduced. The interval below 0, or the ratio of times within .8 to 1.25 with its whole interval: not "
    "reproduced. Else inconclusive. Several tasks: all of them."
)

CLAIMS = (
    Claim(
        "X1",
        "Collapse leads: RNC1 has fallen by half before a network generalises, in every task",
        "RNC1 falls when test accuracy rises (Sakamoto & Sato 2025, Fig 3)",
        OURS,
        "In every arm (task and weight decay) of which half of the runs generalise, the whole 95 % interval of the "
        "median lead lies above 0: reproduced; below 0 in one of them: not reproduced. A run that generalises without "
        "the event has a lead of −∞. Says nothing about runs that do not generalise: see X4.",
        TASKS,
        judge_collapse_leads,
        ("fall", "collapse"),
    ),
    Claim(
        "X2",
        "The collapse of the spectral entropy leads generalisation in every task, and does not come where a network "
        "never generalises",
        "T_collapse before T_grok in 10 of 10 runs; no false-positive rate (Truong et al. 2026)",
        OURS,
        "The lead as in X1, and the whole 95 % interval of the share of false alarms, over all runs that do not "
        "generalise within the budget, below one half.",
        TASKS,
        judge_entropy_leads_and_is_specific,
        ("fall",),
    ),
    Claim(
        "X3",
        "Flatness comes with generalisation, neither before nor after",
        "flatness improves only with generalisation (Han et al. 2025, Fig 1)",
        OURS,
        "In every arm as in X1, the whole interval of the median of (T − t)/T within ±.25: reproduced; outside in one "
        "of them: not reproduced.",
        TASKS,
        judge_flatness_comes_with,
        ("fall", "flatness"),
    ),
    Claim(
        "X4",
        "No measure is both early and specific",
        "",
        OURS,
        "A measure is both if, over the runs of all tasks, the 95 % interval of the share of generalising runs in "
        "which its event came first lies above one half, and that of the share of runs without generalisation in which "
        "it came lies below one half. One measure is both: not reproduced. Every measure fails one of the two by the "
        "whole interval: reproduced.",
        TASKS,
        judge_early_and_specific,
        ("fall",),
    ),
    Claim(
        "X5",
        "No measure forecasts the time to generalisation on new seeds with less error than the steps elapsed, or the "
        "weight norm, alone",
        "",
        OURS,
        "Errors |T̂ − T|/T of the same held-out runs, paired, as ratios. A measure that has less error than both "
        "baselines, p ≤ .05 after Holm over all comparisons: not reproduced. For every measure the ratio to one of the "
        "baselines above .8 with its whole interval: reproduced.",
        TASKS,
        judge_no_better_than_baselines,
        ("forecast",),
    ),
    Claim(
        "X6",
        "Collapse, flatness and spectral entropy each tell more than the steps elapsed about whether a run will "
        "generalise soon",
        "",
        OURS,
        "Area under the ROC for “within h steps” on held-out seeds less that of the steps elapsed, the mean over tasks "
        "with its 95 % interval above 0, for each of the three.",
        TASKS,
        judge_tells_more_than_elapsed,
        ("forecast", "window", "collapse", "flatness"),
    ),
    Claim(
        "X7",
        "Collapse is not needed: pushed against it, networks generalise as soon as controls",
        "generalises as well with collapse suppressed (Han et al. 2025)",
        OURS,
        "The ratio of times to generalisation of arm and control, paired by seed, within .8 to 1.25 with its whole "
        "95 % interval: reproduced; outside with its whole interval: not reproduced.",
        SWEEPS,
        partial(judge_not_needed, name="collapse"),
        ("control", "collapse"),
    ),
    Claim(
        "X8",
        "Flatness is needed: pushed against it, networks generalise later",
        "models pushed away from flatness generalise later (Han et al. 2025)",
        OURS,
        RULE_OF_PUSHES,
        SWEEPS,
        partial(judge_needed, name="flatness"),
        ("control", "flatness"),
    ),
    Claim(
        "X9",
        "The collapse of the spectral entropy is needed: with the entropy held up, networks generalise later",
        "mixing delays grokking by 5,020 steps (Truong et al. 2026)",
        OURS,
        RULE_OF_PUSHES,
        SWEEPS,
        partial(judge_needed, name="entropy"),
        ("control",),
    ),
    Claim(
        "X10",
        "A falling norm is needed: with the norm held up, networks generalise later",
        "grokking from a large norm (Liu et al. 2022)",
        OURS,
        RULE_OF_PUSHES,
        SWEEPS,
        partial(judge_needed, name="norm"),
        ("control",),
    ),
)

CHOICES = (
    Choice(
        "fall",
        "by how much a measure must fall, and from when on its largest value counts",
        "halved",
        ("down to 4/5", "quartered", "halved since memorised"),
    ),
    Choice("collapse", "which measure of collapse", "rnc1", ("nc1", "cdnv")),
    Choice(
        "flatness", "exact relative flatness, or the published bound", "relative_flatness", ("relative_flatness_bound",)
    ),
    Choice(
        "forecast",
        "the model that forecasts, and whether runs without weight decay are among those fitted and judged",
        "failure times",
        ("hazards", "with decay"),
    ),
    Choice("window", "h, as a share of the median time to generalisation", 0.25, (0.1, 0.5)),
    Choice(
        "control", "against what a push is held: its matched control, or the run without it", "control", ("baseline",)
    ),
)

DRAWINGS = (
    Drawing(
        "side_by_side",
        "The rival explanations side by side: every measure's lead over generalisation, area under the ROC on held-out "
        "seeds, false alarms, forecast error, and the factor on the time to generalisation when it alone is pushed, "
        "against the matched control (of the norm: the control, whose steps are as long as the baseline's, against the "
        "baseline). Dots with 95 % intervals over all tasks, small marks single tasks. A lead of the "
        "measure says little where it comes in runs that never generalise as well.",
        SWEEPS,
        draw_side_by_side,
    ),
    Drawing(
        "leads",
        "The median lead of every measure's event over generalisation, as a share of the time to generalisation, by "
        "task and weight decay; an arrow where the event did not come in half of the runs.",
        TASKS,
        draw_leads,
    ),
    Drawing(
        "pushes",
        "Times to generalisation with one measure pushed against or along what its explanation says would help, with "
        "the matched control and the baseline: one mark a seed, hollow where a run did not generalise.",
        SWEEPS,
        draw_pushes,
    ),
    Drawing(
        "moved",
        "What each push did to each measure while the outcome was open: by what factor it differs from the matched "
        "control (of the norm, whose control has it held too: from the baseline), on average. The pushed measure is "
        "framed; what else is coloured was pushed as well.",
        SWEEPS,
        draw_moved,
    ),
)

STUDY = Study(
    name="adjudication",
    title="Rival explanations of late generalisation on the same runs",
    reference="Our own question; after Sakamoto & Sato 2025, Han et al. 2025, Truong et al. 2026, Liu et al. 2022",
    about="All measures on the same runs, over tasks, architectures and weight decays: which one leads, which one "
    "tells, which one comes for nothing, and which one matters when it alone is pushed?",
    sweeps=sweeps,
    claims=CLAIMS,
    drawings=DRAWINGS,
    choices=CHOICES,
)
